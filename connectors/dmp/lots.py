"""A submission as a call: metadata, signature of the lot, documents beside it; or a deletion."""

from __future__ import annotations

import base64
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from xml.sax.saxutils import quoteattr

from lxml import etree

from channels.errors import ConfigError
from connectors.dmp import outcomes
from connectors.dmp.mtom import Part
from connectors.dmp.service import Call, Dmp
from connectors.dmp.settings import DmpDestinationSettings
from connectors.dmp.xades import Signed, lot_signature
from connectors.dmp.xml import XDS, XOP
from transforms import xds
from transforms.submission import Submission

_CONFIDENTIALITY = "2.16.840.1.113883.5.25"
_LONGEST_ROOT = 30
"""Characters of ``pfi.source_oid``: what is put behind it takes 34, and an OID has 64 at most."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A call that may leave. lot: uniqueId of its lot."""

    lot: str
    call: Call


class Lots:
    """Makes lots; heavy: signatures and digests of whole documents."""

    def __init__(self, settings: DmpDestinationSettings, dmp: Dmp) -> None:
        """Raises ConfigError when the source's OID leaves no room for numbers behind it."""
        self._options, self._dmp = settings, dmp
        self._source = dmp.identity.pfi.source_oid
        if len(self._source) > _LONGEST_ROOT:
            raise ConfigError(f"pfi.source_oid is longer than {_LONGEST_ROOT} characters: no room for numbers of lots")

    def ready(self, submission: Submission, entries: Mapping[str, str]) -> Ready:
        """A new lot, with identifiers that no lot had before.

        entries: unique id -> entryUUID of what is replaced or deleted.

        Raises:
            Denied: a document's confidentiality is raised.
            MessageError: the metadata cannot be written, or a document cannot be signed.
        """
        now = datetime.now(UTC)
        number = f"{time.time_ns()}.{secrets.randbelow(1_000_000)}"
        lot = f"{self._source}.3.{number}"
        if submission.action == "delete":
            return self._deletion(submission, lot, now, list(entries.values()))
        return self._publication(submission, lot, f"{self._source}.4.{number}", now, entries)

    def _publication(
        self, submission: Submission, lot: str, signature_id: str, now: datetime, entries: Mapping[str, str]
    ) -> Ready:
        """TD2.1, TD2.2: metadata, documents, and the signature as one more document."""
        made = xds.lot(
            submission, unique_id=lot, source_id=self._source, at=now, settings=self._options.xds, parents=entries,
            zone=self._dmp.zone,
        )  # fmt: skip
        raised = {"R", "V"} - set(self._options.confidentiality)
        if any(one.code in raised for entry in made.entries for one in entry.confidentiality if _is_cda(one)):
            raise outcomes.confidential()
        signer = self._dmp.signer()
        signature = lot_signature(
            signer if self._options.signature.chain else replace(signer, chain=()),
            [Signed(one.unique_id, one.content) for one in submission.documents],
            lot=lot, unique_id=signature_id, at=now, algorithm=self._options.signature.digest,
        )  # fmt: skip
        signed = xds.signed(made, unique_id=signature_id, at=now)
        whole = replace(signed, entries=(*made.entries, signed.entries[-1].of(signature)))
        contents = [*(one.content for one in submission.documents), signature]
        parts = [
            Part(f"{entry.id}@vaguemestre", content) for entry, content in zip(whole.entries, contents, strict=True)
        ]
        body = [
            f'<xds:ProvideAndRegisterDocumentSetRequest xmlns:xds="{XDS}">'.encode(),
            etree.tostring(xds.submit_objects(whole)),
            *(self._document(entry.id, part) for entry, part in zip(whole.entries, parts, strict=True)),
            b"</xds:ProvideAndRegisterDocumentSetRequest>",
        ]
        options = self._options
        call = Call("repository", options.repository, options.actions.submit, body, parts if options.mtom else ())
        return Ready(lot, call)

    def _document(self, name: str, part: Part) -> bytes:
        """One ``xds:Document``: a reference to the part beside the envelope, or the content itself."""
        if self._options.mtom:
            inside = f'<xop:Include xmlns:xop="{XOP}" href={quoteattr("cid:" + part.content_id)}/>'.encode()
        else:
            inside = base64.b64encode(part.content)
        return b"<xds:Document id=" + quoteattr(name).encode() + b">" + inside + b"</xds:Document>"

    def _deletion(self, submission: Submission, lot: str, now: datetime, entries: list[str]) -> Ready:
        """TD3.3c: to the registry, without signature and without documents."""
        made = xds.deletion(
            submission, unique_id=lot, source_id=self._source, at=now, entries=entries, settings=self._options.xds
        )
        body = [etree.tostring(xds.submit_objects(made))]
        return Ready(lot, Call("registry", self._options.registry, self._options.actions.delete, body))


def _is_cda(code: xds.Code) -> bool:
    return code.system == _CONFIDENTIALITY
