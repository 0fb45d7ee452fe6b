"""INSi, as strict as its public texts tell, with invented people.

It shares no code with the connector.
"""
