"""Simulated camera bodies: one model each, served over PTP/IP or used in process."""
