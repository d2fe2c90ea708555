"""Align/blend: fuses the frames of a stack into one sharp picture and a depth map."""
