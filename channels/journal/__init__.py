"""The journal: messages, deliveries, attempts, receipts; the only state that outlives the process."""

from channels.journal.keys import MasterKeys
from channels.journal.records import Delivery, Record, Row
from channels.journal.store import Journal

__all__ = ["Delivery", "Journal", "MasterKeys", "Record", "Row"]
