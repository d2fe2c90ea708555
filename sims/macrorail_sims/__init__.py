"""Simulators of rail, stage, camera and specimen, for demos and hardware-in-the-loop tests."""
