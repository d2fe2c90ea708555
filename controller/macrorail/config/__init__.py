"""YAML files: protocols, rigs and lens files, read strictly and checked against their schemas."""
