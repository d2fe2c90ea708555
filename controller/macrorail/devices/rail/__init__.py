"""A rail behind an Arduino with macrorail's firmware."""
