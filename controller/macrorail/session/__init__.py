"""The Python API through which scripts, the page and the command line use an instrument."""
