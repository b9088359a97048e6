"""The steps of the workflow, one command each: read tables, call the module that knows, write tables."""
