"""One piece of work with an instrument or with photographs, from any face: the Python API."""
