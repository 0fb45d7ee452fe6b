"""The Annuaire Santé (FHIR R4), with invented professionals and structures.

It shares no code with the connector.
"""
