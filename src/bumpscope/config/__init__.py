"""What may be configured, checked before any work starts; knows nothing of files or networks."""
