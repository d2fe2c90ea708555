"""Finished runs handed over: a checked package with metadata that other systems read."""
