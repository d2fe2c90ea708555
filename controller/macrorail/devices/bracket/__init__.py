"""Exposure bracketing: several exposures of one slice, merged into the frame that is stacked."""
