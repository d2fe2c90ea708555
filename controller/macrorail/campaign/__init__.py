"""Campaigns: many stacks, such as those of a tray, planned, shot and reported as one."""
