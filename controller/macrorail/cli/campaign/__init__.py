"""Campaigns from the command line: planned, begun, resumed."""
