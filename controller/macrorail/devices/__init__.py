"""Drivers: each turns one kind of device into an interface of ``macrorail.devices.interfaces``."""
