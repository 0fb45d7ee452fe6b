"""INSi, the national teleservice: the INS of an identity looked for by its traits, or verified."""

from connectors.insi.lookup import InsiLookup

__all__ = ["InsiLookup"]
