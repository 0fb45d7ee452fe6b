"""IHE_XDM.zip of a request: the lot of its documents, written the same at every try."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime

from channels.pfi_settings import PfiSettings
from transforms import xdm, xds
from transforms.submission import Submission


def archive(
    submission: Submission, *, pfi: PfiSettings, settings: xds.XdsSettings, establishment: str, at: datetime
) -> bytes:
    """The ZIP. An entry's identifier comes from its document's, so that a later mail can name it (RPLC, deletion).

    at: in the establishment's zone, which is that of times without one.

    Raises:
        MessageError: see ``xds.lot``.
    """
    number = f"2.25.{uuid.uuid5(uuid.UUID(submission.request.key), 'mssante').int}"
    sender = xdm.SenderInfo(establishment, product=f"{pfi.product.name} {pfi.product.version}")
    known = {one.replaces: entry_id(one.replaces) for one in submission.documents if one.replaces}
    if submission.action == "delete":
        entries = [entry_id(one.unique_id) for one in submission.documents]
        lot = xds.deletion(
            submission, unique_id=number, source_id=pfi.source_oid, at=at, entries=entries, settings=settings
        )
        return xdm.write(lot, (), sender=sender)
    lot = xds.lot(
        submission, unique_id=number, source_id=pfi.source_oid, at=at, settings=settings, parents=known,
        zone=at.tzinfo or UTC,
    )  # fmt: skip
    return xdm.write(_named(lot), [one.content for one in submission.documents], sender=sender)


def entry_id(unique_id: str) -> str:
    """The identifier of a document's entry in our mails."""
    return uuid.uuid5(uuid.NAMESPACE_OID, unique_id).urn


def _named(lot: xds.Lot) -> xds.Lot:
    names = {one.id: entry_id(one.unique_id) for one in lot.entries}
    entries = tuple(replace(one, id=names[one.id]) for one in lot.entries)
    associations = tuple(
        replace(one, source=names.get(one.source, one.source), target=names.get(one.target, one.target))
        for one in lot.associations
    )
    return replace(lot, entries=entries, associations=associations)
