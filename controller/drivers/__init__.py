"""Drivers: each turns one kind of device into an interface of ``controller.interfaces``."""
