"""Delivery of finished runs: a verified package with metadata in standard formats."""
