"""The Annuaire Santé: who a number is, whether they practise, and their MSSanté addresses."""

from connectors.annuaire.lookup import AnnuaireLookup

__all__ = ["AnnuaireLookup"]
