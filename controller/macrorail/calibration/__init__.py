"""Measures what the instrument's files say of it: procedures that move it and look."""
