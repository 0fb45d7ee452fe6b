"""Requests and the versions of their documents."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence

import apsw

from channels.errors import MessageError
from channels.journal.sqlite import one, row
from connectors.shared.submissions.records import KnownDocument
from transforms.submission import Document, Submission

SCHEMA = """
CREATE TABLE IF NOT EXISTS submission(
  key TEXT PRIMARY KEY, at REAL NOT NULL, action TEXT NOT NULL, control_id TEXT NOT NULL, profile TEXT NOT NULL,
  application TEXT NOT NULL, facility TEXT NOT NULL, to_application TEXT NOT NULL, to_facility TEXT NOT NULL,
  processing_id TEXT NOT NULL, wants_reception INTEGER NOT NULL, wants_reading INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document(
  unique_id TEXT PRIMARY KEY, key TEXT NOT NULL, patient INTEGER NOT NULL, institution TEXT NOT NULL,
  author TEXT NOT NULL, replaces TEXT NOT NULL, digest TEXT NOT NULL, replaced_by TEXT NOT NULL DEFAULT '',
  deleted_by TEXT NOT NULL DEFAULT '', lot TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS document_patient ON document(patient);
"""


def register(
    db: apsw.Connection,
    submission: Submission,
    patient: int,
    addresses: Sequence[bytes],
    *,
    known_parents_only: bool,
) -> None:
    """See ``Submissions.register``."""
    request = submission.request
    if one(db, "SELECT 1 FROM submission WHERE key=?", (request.key,)):
        return
    for number, document in enumerate(submission.documents, 1):
        if submission.action == "delete":
            _delete(db, submission, document, patient, number, known_parents_only=known_parents_only)
        else:
            if submission.action == "replace":
                _replace(db, submission, document, patient, number, known_parents_only=known_parents_only)
            _add(db, submission, document, patient, number)
    values = (
        request.key, time.time(), submission.action, request.control_id, request.profile, request.sending_application,
        request.sending_facility, request.receiving_application, request.receiving_facility, request.processing_id,
        submission.wants_reception, submission.wants_reading,
    )  # fmt: skip
    db.execute(f"INSERT INTO submission VALUES({','.join('?' * len(values))})", values)
    names = ["dmp"] if submission.to_dmp else []
    found = [(request.key, name, b"") for name in names]
    found += [(request.key, f"mail {number}", address) for number, address in enumerate(addresses, 1)]
    db.executemany("INSERT INTO target(key, name, state, address) VALUES(?,?,'waiting',?)", found)


def document(db: apsw.Connection, unique_id: str) -> KnownDocument | None:
    """A document by its identifier."""
    found = row(
        db,
        "SELECT unique_id, key, institution, author, replaces, replaced_by, digest, lot, deleted_by FROM document "
        "WHERE unique_id=?",
        (unique_id,),
    )
    if found is None:
        return None
    own_id, key, institution, author, replaces, replaced_by, digest, lot, deleted_by = found
    return KnownDocument(
        own_id, key, institution, author, replaces, replaced_by, digest, lot, published=bool(lot),
        deleted=bool(deleted_by),
    )  # fmt: skip


def published(db: apsw.Connection, unique_ids: tuple[str, ...], lot: str) -> None:
    """Note the lot that holds these documents."""
    db.executemany("UPDATE document SET lot=? WHERE unique_id=?", [(lot, one) for one in unique_ids])


def _add(db: apsw.Connection, submission: Submission, document: Document, patient: int, number: int) -> None:
    digest = hashlib.sha1(document.content, usedforsecurity=False).hexdigest()
    known = one(db, "SELECT digest FROM document WHERE unique_id=?", (document.unique_id,))
    if known is None:
        values = (
            document.unique_id, submission.request.key, patient, _institution(submission), _author(submission),
            document.replaces, digest,
        )  # fmt: skip
        columns = "unique_id, key, patient, institution, author, replaces, digest"
        db.execute(f"INSERT INTO document({columns}) VALUES(?,?,?,?,?,?,?)", values)
    elif known != digest:
        raise MessageError("another document was sent with this identifier", _place(number), "205")


def _replace(
    db: apsw.Connection, submission: Submission, document: Document, patient: int, number: int, *,
    known_parents_only: bool,
) -> None:  # fmt: skip
    parent = _latest(db, submission, document.replaces, patient, number, known_parents_only=known_parents_only)
    if parent and parent.replaced_by and parent.replaced_by != document.unique_id and _stands(db, _key(db, parent)):
        raise MessageError("the version replaced is not the latest one", _place(number), "900")
    if parent:
        db.execute("UPDATE document SET replaced_by=? WHERE unique_id=?", (document.unique_id, parent.unique_id))


def _delete(
    db: apsw.Connection, submission: Submission, document: Document, patient: int, number: int, *,
    known_parents_only: bool,
) -> None:  # fmt: skip
    known = _latest(db, submission, document.unique_id, patient, number, known_parents_only=known_parents_only)
    if known and known.replaced_by and _stands(db, _key(db, known)):
        raise MessageError("the version deleted is not the latest one", _place(number), "900")
    if known:
        sql = "UPDATE document SET deleted_by=? WHERE unique_id=?"
        db.execute(sql, (submission.request.key, document.unique_id))


def _latest(
    db: apsw.Connection, submission: Submission, unique_id: str, patient: int, number: int, *, known_parents_only: bool
) -> KnownDocument | None:
    """The document that a request is about, which its sender may change. Raises MessageError 900 or 901."""
    known = document(db, unique_id)
    if known is None:
        if known_parents_only:
            raise MessageError("the version that this is about never came here", _place(number), "900")
        return None
    if one(db, "SELECT patient FROM document WHERE unique_id=?", (unique_id,)) != patient:
        raise MessageError("the version that this is about is another patient's", _place(number), "904")
    deleted_by = one(db, "SELECT deleted_by FROM document WHERE unique_id=?", (unique_id,))
    if deleted_by and _stands(db, deleted_by):
        raise MessageError("the version that this is about was deleted", _place(number), "900")
    institution, author = _institution(submission), _author(submission)
    same = (known.institution and known.institution == institution) or (known.author and known.author == author)
    if not same and (known.institution or known.author):
        raise MessageError("the document is neither of this author nor of this structure", _place(number), "901")
    return known


def _key(db: apsw.Connection, replaced: KnownDocument) -> str:
    return one(db, "SELECT key FROM document WHERE unique_id=?", (replaced.replaced_by,)) or ""


def _stands(db: apsw.Connection, key: str) -> bool:
    """A request stands unless every target of it refused: then what it asked for has not come about."""
    states = [state for (state,) in db.execute("SELECT state FROM target WHERE key=?", (key,))]
    return not states or any(state != "refused" for state in states)


def _institution(submission: Submission) -> str:
    organization = submission.sender.organization
    return organization.id if organization else ""


def _author(submission: Submission) -> str:
    person = submission.sender.person
    return person.id if person else submission.sender.device


def _place(number: int) -> str:
    return f"OBX[{number}]-5"
