"""Device drivers: each implements an interface of ``macrorail.devices.interfaces``."""
