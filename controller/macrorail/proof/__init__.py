"""Proof of coverage from the images: faults of each frame, and where it was truly taken."""
