"""The operator's page: sets up, starts, watches and stops runs through the session layer."""
