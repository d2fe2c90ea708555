"""The Python API: what scripts, the page and the command line do with an instrument."""
