"""The LOINC subset of the French biology circuit."""
