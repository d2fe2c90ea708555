"""Proof from the images: what each frame shows of its own faults and of where it was taken."""
