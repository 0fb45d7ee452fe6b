"""Input and output: one protocol a file; no connector knows another."""
