"""What several connectors have in common: how a message arrives, folders of files, names of files."""
