"""Specimen ids: from a list, a keyboard, a barcode scanner or the label in a frame."""
