"""Code tables, and how they are read."""
