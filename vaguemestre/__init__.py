"""The application: command line, simulators; it uses every layer below and nothing imports it."""
