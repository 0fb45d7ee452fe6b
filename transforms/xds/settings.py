"""What the texts leave open of XDS metadata, and what messages may not say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from channels.fields import Settings
from transforms.xds.values import FRENCH_FORMATS, SETS, values


def _of(name: str) -> AfterValidator:
    """A code that its value set has."""

    def checked(code: str) -> str:
        if code not in values(name):
            raise ValueError(f"the code is not of the value set {SETS[name]}")
        return code

    return AfterValidator(checked)


class ContentType(Settings):
    """Kind of stay of a lot, where the built-in table does not have it."""

    code: str = Field(min_length=1, description="Code, such as `03` (JDV_J59).")
    label: str = Field("", description="Label; that of JDV_J03 when absent.")
    system: str = Field("1.2.250.1.213.2.2", description="OID of its terminology.")


class XdsSettings(Settings):
    """XDS metadata of what is published and mailed."""

    content_types: dict[str, ContentType] = Field(
        default_factory=dict,
        description="PV1-2 -> contentTypeCode, over the built-in `I` 03, `O` 07, `R` 19, `N` 97, `E` 07; an empty "
        "name: when the message says nothing.",
    )
    facility: Annotated[str, _of("facilities")] | None = Field(
        None, description="healthcareFacilityTypeCode (JDV_J02) of documents that lack it."
    )
    practice_setting: Annotated[str, _of("practice_settings")] | None = Field(
        None, description="practiceSettingCode (JDV_J04) of documents that lack it."
    )
    specialty: Annotated[str, _of("specialties")] | None = Field(
        None,
        description="authorSpecialty (JDV_J01) of the lot; absent: that of the document's author of the same number.",
    )
    formats: dict[str, str] = Field(
        default_factory=dict, description="CDA template (OID) -> formatCode, before the built-in table (ASS_A11)."
    )
    format_system: str = Field(FRENCH_FORMATS, description="codingScheme of the French format codes (TRE_A06).")
    classes: dict[str, Annotated[str, _of("class_codes")]] = Field(
        default_factory=dict, description="Document type -> classCode, before the built-in table (ASS_X04)."
    )
    unknown_code: Literal["refuse", "pass"] = Field(
        "refuse",
        description="A code that its value set lacks, or has in another system: refuse the document, or send it as it "
        "is written.",
    )
    title: str = Field("Documents de santé", max_length=128, description="Title of lots.")
    order_numbers: bool = Field(True, description="Numbers of the order in referenceIdList.")
    traits: bool = Field(True, description="Name, birth date and sex of the patient in sourcePatientInfo.")
    digest: Literal["send", "leave_out"] = Field(
        "send", description="hash and size of the documents; `leave_out`: the repository computes them."
    )
