"""What the engine remembers of requests to publish or send: documents, targets, acknowledgements due, consents.

One file, ``pfi.db``, beside the journal; what an awaited method says is on disk when it returns.
"""

from connectors.shared.submissions.records import Consent, Due, KnownDocument, Outcome, Sent, State, Target
from connectors.shared.submissions.store import Submissions, open_submissions

__all__ = ["Consent", "Due", "KnownDocument", "Outcome", "Sent", "State", "Submissions", "Target", "open_submissions"]
