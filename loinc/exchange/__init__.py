"""The catalogue and its transcoding for others: spreadsheets, and FHIR R4."""
