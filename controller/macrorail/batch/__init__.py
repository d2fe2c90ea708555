"""Many stacks: found, grouped, aligned and blended here or on a cluster, each once."""
