"""What the texts leave open of XDS metadata, and what messages may not say."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from channels.fields import Settings


class ContentType(Settings):
    """Kind of stay of a lot (JDV_J59)."""

    code: str = Field(min_length=1, description="Code, such as `03`.")
    label: str = Field("", description="Label.")


class XdsSettings(Settings):
    """XDS metadata of what is published and mailed."""

    content_types: dict[str, ContentType] = Field(
        default_factory=dict,
        description="PV1-2 -> contentTypeCode, over the built-in `I` 03, `O` 07, `R` 19, `N` 97, `E` 07; an empty "
        "name: when the message says nothing.",
    )
    facility: str | None = Field(None, description="healthcareFacilityTypeCode (JDV_J02) of documents that lack it.")
    practice_setting: str | None = Field(None, description="practiceSettingCode (JDV_J04) of documents that lack it.")
    specialty: str | None = Field(
        None,
        description="authorSpecialty (JDV_J01) of the lot; absent: that of the document's author of the same number.",
    )
    formats: dict[str, str] = Field(
        default_factory=dict, description="CDA template (OID) -> formatCode, over the built-in table (ASS_A11)."
    )
    format_system: str = Field(
        "TRE_A06", description="codingScheme of French format codes; its OID is not in the public texts."
    )
    classes: dict[str, str] = Field(
        default_factory=dict, description="Document type -> classCode, over the built-in table (ASS_X04)."
    )
    unknown_code: Literal["refuse", "pass"] = Field(
        "refuse", description="A code that its value set lacks: refuse the document, or send the code as it is."
    )
    title: str = Field("Documents de santé", description="Title of lots.")
    order_numbers: bool = Field(True, description="Numbers of the order in referenceIdList.")
