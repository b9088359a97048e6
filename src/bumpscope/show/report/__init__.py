"""The report: one page with the claims, the figures and how they were made, that opens from disk with no network."""
