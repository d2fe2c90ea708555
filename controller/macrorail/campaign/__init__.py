"""Campaigns: many stacks of one tray, planned, shot, accounted for and reported as one."""
