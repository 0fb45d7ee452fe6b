"""A simulated MSSanté operator: mailboxes of professionals and patients, for rehearsals, the demo and tests.

Shares no code with the connector: its SMTP server, its checks and its reports are its own.
"""

from vaguemestre.simulators.mssante.operator import Manners, MssanteSimulator, Received

__all__ = ["Manners", "MssanteSimulator", "Received"]
