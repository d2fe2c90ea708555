"""Rails and stages driven by grbl."""
