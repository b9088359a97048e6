"""Arrays to numbers."""
