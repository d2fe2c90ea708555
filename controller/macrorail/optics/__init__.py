"""Formulas for depth of field, overlap and the scale bar, each with its source."""
