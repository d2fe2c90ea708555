"""Cameras through libgphoto2, which runs in a process of its own."""
