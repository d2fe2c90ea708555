"""Simulated camera bodies, served over PTP/IP or used in the same process."""
