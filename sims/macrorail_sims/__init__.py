"""The simulated bench: rail, camera and specimen, good enough for hardware-in-the-loop tests."""
