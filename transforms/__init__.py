"""Pure functions from a message to a message: no network, no disk, no clock."""
