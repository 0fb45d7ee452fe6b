"""``pfi:`` in ``site.yaml``: who publishes and sends documents to the national services, and by which policy.

Values that the national texts leave open are settings with the cautious default; ``docs/pfi-settings.md`` lists them.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from channels.fields import Settings
from channels.laboratory import Oid
from channels.numbers import NumberKind

StructureId = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Z]{8,14}$"), NumberKind("IDNST")]
"""Struct_IdNat: ``1`` + FINESS, ``2`` + SIREN, ``3`` + SIRET."""
ProfessionalId = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9A-Z/]{8,30}$"), NumberKind("IDNPS")]
"""PS_IdNat: ``8`` + RPPS, ``0`` + ADELI, ``3`` + FINESS/internal number..."""
Mailbox = Annotated[str, StringConstraints(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
TypeCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class PfiOrganization(Settings):
    """The structure in whose name documents are published."""

    id: StructureId = Field(description="National number: `1` + FINESS (9), `2` + SIREN, `3` + SIRET.")
    name: str = Field(min_length=1, description="Name, as in the certificate of the structure.")
    sector: str = Field("SA01", pattern=r"^[A-Z]{2}[0-9]{2}$", description="Sector of activity (JDV_J02), `SA01`...")


class PfiPerson(Settings):
    """A professional who answers for what leaves without an author of its own."""

    id: ProfessionalId = Field(description="National number: `8` + RPPS.")
    family: str = Field(min_length=1, description="Family name.")
    given: str = Field("", description="Given name.")
    profession: str = Field("10", description="Profession (TRE_G15), `10` physician, `21` pharmacist.")
    specialty: str = Field("", description="Specialty (TRE_R38), such as `SM03`; empty for none.")


class PfiDevice(Settings):
    """The engine as an author."""

    id: str = Field(min_length=1, description="Number of the device in the structure, such as `VAGUEMESTRE-1`.")
    name: str = Field("Vaguemestre", description="Name or model.")


class PfiProduct(Settings):
    """The product, as the national services know it."""

    name: str = Field("Vaguemestre", description="Name of the product.")
    version: str = Field("1.0", description="Version declared.")
    approval: str = Field("", description="Approval number (DMP-compatibility); asked for by production services.")


class PrescriberRule(Settings):
    """A rule on who gets a report by mail, when the report is ours."""

    role: Literal["prescriber", "copy"] = Field(description="`prescriber`, or `copy`: who the message says gets one.")
    send: bool = Field(True, description="false: nothing is sent to them.")
    table: str | None = Field(
        None,
        description="Table of the site's `mappings/`: national number (`8` + RPPS) -> address. Absent, or a number "
        "that it lacks: the step `annuaire` finds the address.",
    )


class MaskRule(Settings):
    """Visibility of reports that hold one of these: all flags that are true are set."""

    chapters: tuple[str, ...] = Field(
        (), description="LOINC codes of chapters or sub-chapters (`18725-2`); empty: every report."
    )
    codes: tuple[str, ...] = Field((), description="LOINC codes of results, such as `7917-8` (HIV); empty: any.")
    masked_professionals: bool = Field(False, description="Hidden from professionals (`MASQUE_PS`).")
    hidden_patient: bool = Field(
        False, description="Hidden from the patient until a consultation (`INVISIBLE_PATIENT`); never mailed to them."
    )
    hidden_representatives: bool = Field(False, description="Hidden from legal representatives.")
    withheld: bool = Field(False, description="Sent nowhere: neither to the DMP nor by mail.")


class ReportPolicy(Settings):
    """What becomes of the reports that the engine writes from a laboratory's messages (`pfi.from_report`)."""

    dmp: bool = Field(False, description="Publish to the DMP.")
    recipients: tuple[PrescriberRule, ...] = Field((), description="Professionals who get it by MSSanté.")
    others: tuple[Mailbox, ...] = Field((), description="Mailboxes that always get a copy (organisation, application).")
    patient: bool = Field(False, description="Send it to the patient's Mon espace santé mailbox.")
    patient_may_answer: bool = Field(False, description="false: the mail to the patient closes the conversation (FIN).")
    reception: bool = Field(True, description="Return reception acknowledgements to the laboratory (ZAM Z01, Z02).")
    reading: bool = Field(False, description="Return reading acknowledgements (ZAM Z03).")
    reply_to: Mailbox | None = Field(None, description="Where answers to the mails go.")
    partial: bool = Field(False, description="Publish reports that are not complete too.")
    masks: tuple[MaskRule, ...] = Field((), description="Visibility, by what the report holds.")

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables that the rules read."""
        return tuple(one.table for one in self.recipients if one.table)


class PfiSettings(Settings):
    """The engine as intermediation platform (PFI): identity towards the national services, and policies."""

    organization: PfiOrganization
    source_oid: Oid = Field(description="OID of this engine: source of lots, root of their numbers.")
    responsible: PfiPerson | None = Field(None, description="Author of requests that name no person.")
    device: PfiDevice | None = Field(None, description="The engine as author, when nobody is responsible.")
    product: PfiProduct = PfiProduct()
    patient_oid: Oid | None = Field(
        None, description="OID of patient numbers (IPP) whose authority is not an OID; absent: that of `laboratory`."
    )
    dmp_types: tuple[TypeCode, ...] = Field(
        (), description="Types of documents that the DMP takes, instead of the built-in list (JDV_J66)."
    )
    reports: ReportPolicy = ReportPolicy()

    @model_validator(mode="after")
    def _somebody_is_the_author(self) -> PfiSettings:
        if self.reports.dmp and self.responsible is None and self.device is None:
            raise ValueError("`reports.dmp` needs an author: `responsible` or `device`")
        return self
