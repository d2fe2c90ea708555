"""Range search: finds the near and far end of the specimen from pictures along the axis."""
