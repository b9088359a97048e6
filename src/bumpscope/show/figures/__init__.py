"""Figures: each module draws one, from tables to a matplotlib Figure and the tidy data behind it."""
