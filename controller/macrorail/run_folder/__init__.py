"""The run folder: written ahead by the journal, read back by everybody else."""
