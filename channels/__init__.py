"""The core: what a message, a channel and an error are, and how a channel runs."""
