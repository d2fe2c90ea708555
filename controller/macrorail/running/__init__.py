"""One run: the loop that walks a plan, and all that keeps it safe on its way."""
