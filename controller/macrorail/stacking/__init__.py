"""Align/blend: frames of one stack in, one sharp picture and its depth map out."""
