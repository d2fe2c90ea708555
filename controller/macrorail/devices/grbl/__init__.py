"""Rails and stages behind grbl."""
