"""What is drawn and asked for, and how it is read back from an image."""
