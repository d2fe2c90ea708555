"""Cameras driven by libgphoto2, in a worker process."""
