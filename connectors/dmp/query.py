"""TD3.1b: which entry of the registry holds a document of ours (ITI-18, GetDocuments)."""

from __future__ import annotations

from typing import Literal

from lxml import etree

from connectors.dmp.xml import QUERY, RIM, add

_GET_DOCUMENTS = "urn:uuid:5c4f972b-d56b-40ac-a5fc-c8ca9b40b9d4"
Returns = Literal["LeafClass", "ObjectRef"]


def get_documents(unique_id: str, returns: Returns) -> bytes:
    """The question about one document, by its unique id.

    Source: IHE ITI TF-2, 3.18.4.1.2.3.7.5; a text is quoted, and a quote in it doubled.
    """
    root = etree.Element(f"{{{QUERY}}}AdhocQueryRequest", nsmap={"query": QUERY, "rim": RIM})
    add(root, f"{{{QUERY}}}ResponseOption", returnComposedObjects="true", returnType=returns)
    asked = add(root, f"{{{RIM}}}AdhocQuery", id=_GET_DOCUMENTS)
    values = add(add(asked, f"{{{RIM}}}Slot", name="$XDSDocumentEntryUniqueId"), f"{{{RIM}}}ValueList")
    quoted = unique_id.replace("'", "''")
    add(values, f"{{{RIM}}}Value", f"('{quoted}')")
    return etree.tostring(root)
