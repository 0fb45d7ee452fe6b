"""IHE_XDM.ZIP: documents and their metadata in one archive, as mails of MSSanté carry them.

Source: IHE ITI TF-2, 3.32 (Distribute Document Set on Media); Référentiel socle MSSanté #2.
"""

from transforms.xdm.files import Limits
from transforms.xdm.reading import Archive, Received, read
from transforms.xdm.writing import SenderInfo, write

__all__ = ["Archive", "Limits", "Received", "SenderInfo", "read", "write"]
