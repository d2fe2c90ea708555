"""Finding the range: where the specimen begins and ends, from looks through the lens."""
