"""The commands: the wing that prints, and sets exit codes."""
