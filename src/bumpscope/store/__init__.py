"""Files, tables, checkpoints and results: written whole or not at all, checked when read."""
