"""The run folder: its write-ahead journal, its other files, and how they are read back."""
