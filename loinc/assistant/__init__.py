"""The transcoding assistant: which LOINC terms may be this local analysis, why, and how sure.

``suggest.Assistant`` is the entry; ``loinc/README.md`` tells how it works.
"""
