"""Campaigns: many stacks, such as all specimens of a tray, planned, shot and reported together."""
