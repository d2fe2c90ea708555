"""Delivers finished runs as a verified package with metadata in standard formats."""
