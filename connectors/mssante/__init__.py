"""MSSanté: mails of requests sent by SMTP, mails received by IMAP.

The steps ``mssante.mails``, ``mssante.mdm`` and ``mssante.mdn`` (``transforms.mail``) make and open the mails.
"""

from connectors.mssante.destination import MssanteDestination, MssanteDestinationSettings
from connectors.mssante.source import MssanteSource, MssanteSourceSettings

__all__ = ["MssanteDestination", "MssanteDestinationSettings", "MssanteSource", "MssanteSourceSettings"]
