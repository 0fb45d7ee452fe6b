"""The laboratory in ``site.yaml``: what a report needs and its messages do not say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from channels.fields import Settings
from channels.numbers import NumberKind

Finess = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9AB][0-9]{7}$"), NumberKind("FINESS")]
Rpps = Annotated[str, StringConstraints(pattern=r"^[0-9]{11}$"), NumberKind("RPPS")]
Oid = Annotated[str, StringConstraints(pattern=r"^[0-2](\.(0|[1-9][0-9]*))+$")]
Telecom = Annotated[str, StringConstraints(pattern=r"^\+?[0-9]{3,15}$")]
PracticeSetting = Literal["ETABLISSEMENT", "AMBULATOIRE"]
LABORATORY_TABLES = (
    "chapters", "sub_chapters", "units", "flags", "methods", "specimens", "microorganisms", "antibiotics",
)  # fmt: skip
"""Settings that name a table of the site's ``mappings/``."""
_PROFESSION = r"^G[0-9]{2}_[0-9]{2}(/[A-Z0-9]+)?$"
FacilityType = Literal["SA01", "SA04", "SA25", "SA29", "SA59"]


class Biologist(Settings):
    """A biologist: who signs, who directs."""

    rpps: Rpps = Field(description="RPPS number, 11 digits.")
    family: str = Field(min_length=1, description="Family name.")
    given: str | None = Field(None, description="Given name.")
    civility: Literal["M", "MME"] | None = Field(None, description="`M` or `MME`.")
    title: Literal["DR", "PR", "MC", "MG", "PC", "PG"] | None = Field(None, description="`DR`, `PR`...")
    profession: str = Field(
        pattern=_PROFESSION,
        description="Profession and speciality (TRE_A02): `G15_10/SM03` physician, `G15_21/G` pharmacist.",
    )
    aliases: tuple[str, ...] = Field((), description="Identifiers by which the laboratory system names this person.")


class Organization(Settings):
    """A laboratory or hospital, as printed on its reports."""

    finess: Finess = Field(description="Geographic FINESS number, 9 characters.")
    name: str = Field(min_length=1, description="Name.")
    address: tuple[str, ...] = Field((), max_length=7, description="Postal address, line by line.")
    telecom: Telecom | None = Field(None, description="Telephone, digits.")


class OtherLaboratory(Organization):
    """A laboratory that makes part of the tests (subcontractor)."""

    aliases: tuple[str, ...] = Field((), description="How messages name it: OBX-15.1, OBX-23.1 or OBX-23.10.")
    director: Biologist = Field(description="Its director.")
    practice_setting: PracticeSetting = Field("AMBULATOIRE", description="`ETABLISSEMENT` (hospital) or `AMBULATOIRE`.")


class Oids(Settings):
    """Numbering spaces of identifiers whose message names no OID."""

    patient: Oid | None = Field(None, description="Patient numbers (IPP): PID-3 of type PI.")
    visit: Oid | None = Field(None, description="Visit numbers: PV1-19.")
    placer_order: Oid | None = Field(None, description="Order numbers of the prescriber: OBR-2, ORC-2, else ORC-4.")
    filler_order: Oid | None = Field(None, description="Request numbers of the laboratory: OBR-3, ORC-3.")
    specimen: Oid | None = Field(None, description="Tube numbers: SPM-2.")
    local_codes: Oid | None = Field(None, description="The laboratory's own codes of tests, panels and answers.")


class Sender(Settings):
    """One laboratory system among several: its own numbering spaces, before those of `laboratory`."""

    application: str = Field(min_length=1, description="Its name in messages: MSH-3.1.")
    facility: str | None = Field(None, description="Its facility: MSH-4.1. Absent: whatever the facility.")
    oids: Oids = Oids()
    authorities: dict[str, Oid] = Field({}, description="As `laboratory.authorities`, for this sender.")
    code_systems: dict[str, Oid] = Field({}, description="As `laboratory.code_systems`, for this sender.")


class LaboratorySettings(Organization):
    """The laboratory that signs the reports, and how its messages are read.

    A message that needs a setting which is absent is refused with the name of the setting.
    """

    aliases: tuple[str, ...] = Field(
        (), description="How messages name this laboratory: OBX-15.1, OBX-23.1 or OBX-23.10."
    )
    director: Biologist | None = Field(None, description="Director of the laboratory.")
    biologist: Biologist | None = Field(
        None, description="Responsible biologist of a report whose message names none (OBR-32); the director if absent."
    )
    biologists: tuple[Biologist, ...] = Field((), description="Other biologists, found by RPPS or alias.")
    profession: str | None = Field(
        None,
        pattern=_PROFESSION,
        description="Profession of a biologist whom the message names with an RPPS that is not listed here.",
    )
    practice_setting: PracticeSetting = Field(
        "ETABLISSEMENT", description="`ETABLISSEMENT` (hospital) or `AMBULATOIRE`."
    )
    facility_type: FacilityType = Field("SA01", description="`SA01` public hospital, `SA25` private laboratory...")
    accreditation: str | None = Field(None, description="COFRAC accreditation number.")
    custodian: Organization | None = Field(None, description="Who keeps the document; the laboratory if absent.")
    subcontractors: tuple[OtherLaboratory, ...] = Field((), description="Laboratories that make some of the tests.")
    oids: Oids = Oids()
    authorities: dict[str, Oid] = Field(
        {}, description="OIDs of assigning authorities by the name or FINESS that messages give (CX-4, EI-2)."
    )
    code_systems: dict[str, Oid] = Field(
        {}, description="OIDs of code systems by the name that messages give (OBX-3.3)."
    )
    senders: tuple[Sender, ...] = Field(
        (), description="Numbering spaces of one laboratory system among several, by MSH-3 and MSH-4."
    )
    chapters: str | None = Field(None, description="Table of the site: OBR-24 or OBR-4 code -> LOINC chapter.")
    sub_chapters: str | None = Field(None, description="Table of the site: OBR-4 code -> LOINC sub-chapter.")
    units: str | None = Field(None, description="Table of the site: unit as written -> UCUM.")
    flags: str | None = Field(None, description="Table of the site: OBX-8 -> HL7 interpretation code.")
    methods: str | None = Field(None, description="Table of the site: OBX-17 code -> technique (ANSM).")
    specimens: str | None = Field(None, description="Table of the site: SPM-4 or OBR-15 code -> HL7 table 0487.")
    microorganisms: str | None = Field(None, description="Table of the site: code of a germ -> SNOMED CT.")
    antibiotics: str | None = Field(None, description="Table of the site: code of an antibiotic -> LOINC.")
    germ_codes: tuple[str, ...] = Field(
        (), description="OBX-3.1 that names a germ, besides the LOINC codes of cultures: each is an isolate."
    )
    decimal_comma: bool = Field(
        False, description="Read `1,234` as a decimal number. Without it, only commas that cannot be thousands are."
    )
    faulty_ins: Literal["refuse", "withhold"] = Field(
        "refuse",
        description="A validated identity whose INS has a wrong key or lacks a trait: refuse it, or drop the INS.",
    )
    unknown_unit: Literal["refuse", "text"] = Field(
        "refuse", description="A unit that no table knows: refuse the message, or keep the unit as text."
    )
    other_values: Literal["refuse", "text"] = Field(
        "refuse",
        description="A value whose type a report has no place for (XPN, MA...): refuse the message, or keep its words.",
    )
    outside_group: Literal["refuse", "keep"] = Field(
        "refuse", description="A result before any OBR: refuse the message, or keep it in a panel of its own."
    )
    previous_results: Literal["earlier_day", "separate"] = Field(
        "earlier_day",
        description="A result of a day before the sampling, with another of its code: previous result, or one more.",
    )
    no_loinc: Literal["refuse", "keep"] = Field(
        "keep", description="A result without LOINC code: refuse, or local code only."
    )
    pdf_codes: tuple[str, ...] = Field(
        ("11502-2", "PDF", "CR"), description="OBX-3.1 of the PDF copy of the whole report that the laboratory sends."
    )

    def of(self, application: str, facility: str) -> LaboratorySettings:
        """As they are for a sender: what `senders` say of it, the most particular first, else what is said here."""
        for wanted in (facility, None):
            for one in self.senders:
                if one.application == application and one.facility == wanted:
                    return self.model_copy(
                        update={
                            "oids": self.oids.model_copy(update=one.oids.model_dump(exclude_none=True)),
                            "authorities": {**self.authorities, **one.authorities},
                            "code_systems": {**self.code_systems, **one.code_systems},
                        }
                    )
        return self
