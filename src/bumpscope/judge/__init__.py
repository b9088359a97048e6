"""Numbers to verdicts."""
