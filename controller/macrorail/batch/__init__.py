"""Batches: many stacks found, grouped, aligned and blended, on this machine or on a cluster."""
