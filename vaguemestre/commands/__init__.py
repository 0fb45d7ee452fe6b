"""The commands, one group a file; loaded when they are called."""
