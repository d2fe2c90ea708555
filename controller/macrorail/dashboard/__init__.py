"""The operator's page: watches and commands runs through the CLI's verbs, never a device itself."""
