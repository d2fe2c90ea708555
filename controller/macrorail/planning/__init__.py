"""From a protocol and a rig to slices: positions, apertures, and the search for a range."""
