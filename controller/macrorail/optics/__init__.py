"""Depth of field, overlap and scale: plain formulas, each with its source."""
