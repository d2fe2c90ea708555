"""Calibration: measures the values in rig and lens files by moving the instrument and shooting."""
