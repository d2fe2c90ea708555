"""Plans a stack from a protocol and a rig: positions, apertures, and the search for a range."""
