"""MLLP: HL7 v2 over TCP, with or without TLS.

Source: HL7 v2.5 appendix C (lower layer protocols); MLLP release 1.
"""

from connectors.mllp.destination import MllpDestination
from connectors.mllp.settings import MllpDestinationSettings, MllpSourceSettings
from connectors.mllp.source import MllpSource

__all__ = ["MllpDestination", "MllpDestinationSettings", "MllpSource", "MllpSourceSettings"]
