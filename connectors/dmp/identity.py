"""In whose name a call is made: the assertion's content, from the request, ``site.yaml`` and the settings."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from channels.errors import ConfigError, ProfileError
from channels.pfi_settings import PfiPerson, PfiSettings
from channels.site import Site
from connectors.dmp.existence import Question
from connectors.dmp.settings import DmpSettings
from connectors.dmp.vihf import Assertion, Coded
from transforms.identifiers import professional
from transforms.submission import Organization, Person, Submission
from transforms.xds.values import values

_NORMAL = Coded("normal", "1.2.250.1.213.1.1.4.248", "mode acces VIHF 1.0", "Accès normal")
_AUTOMATON = Coded("AUTOMATE", "1.2.250.1.213.1.1.4.6", "", "Automate")
_PROFESSION_SYSTEM = "1.2.250.1.71.1.2.7"
_SPECIALTY_SYSTEM = "1.2.250.1.71.4.2.5"


class Identity:
    """Who we are for the DMP, and who asks through us."""

    def __init__(self, settings: DmpSettings, site: Site) -> None:
        """Raises ConfigError when ``site.yaml`` has no ``pfi``."""
        if site.pfi is None:
            raise ConfigError("the connector `dmp` needs `pfi` in site.yaml")
        self._options, self._pfi, self._site = settings, site.pfi, site

    @property
    def pfi(self) -> PfiSettings:
        """``pfi`` of ``site.yaml``."""
        return self._pfi

    @property
    def structure(self) -> str:
        """Struct_IdNat of the establishment."""
        return self._pfi.organization.id

    def question(self, ins: str, ins_oid: str, reason: str) -> Question:
        """The existence test of a patient."""
        processing = "P" if self._site.ins_domain == "production" else "D"
        return Question(ins, ins_oid, processing, self._pfi.source_oid, self._pfi.product.name, reason)

    def assertion(self, submission: Submission, number: str, at: datetime) -> Assertion:
        """What the assertion of one call says.

        Raises:
            ProfileError: nobody answers for the request, or the structure is not the one of our certificate.

        Source: ANS, "Transmission de documents CDA en HL7v2" 2.1.3, VIHF: PRT-5 and PRT-8 of the sender.
        """
        options, product, sender = self._options.vihf, self._pfi.product, submission.sender
        subject, name = self._subject(sender.person, sender.device)
        secret = submission.visibility.secret_connection
        if secret and options.secret is None:
            raise ProfileError("secret connections are not set up (`vihf.secret`)", "OBX[CONNEXION_SECRETE]")
        patient = submission.patient
        return Assertion(
            id=number,
            at=at,
            subject=subject,
            subject_name=name,
            structure=self._structure(sender.organization),
            sector=f"{self._pfi.organization.sector}^{options.sector_system}",
            patient=f"{patient.ins}^^^&{patient.ins_oid}&ISO^NH",
            # a clock that is ahead, or a message without a time: nobody has logged in later than now
            authenticated=min(_moment(submission.request.time, self._site) or at, at),
            context=options.context,
            roles=self._roles(automatic=sender.person is None),
            purpose=_NORMAL,
            product=product.name,
            product_version=product.version,
            approval=product.approval,
            installation=self._pfi.source_oid if options.installation else "",
            version=options.version,
            mode=options.mode,
            confidentiality=(options.secret or "") if secret else "",
            validity=options.validity,
        )

    def _subject(self, person: Person | None, device: str) -> tuple[str, str]:
        """Identifier and names; of an automatic flow, who is responsible, and software and model."""
        if person is not None and person.id:
            number = f"8{person.id}" if re.fullmatch(r"\d{11}", person.id) else person.id
            rpps = re.fullmatch(r"8[0-9]{11}", number)
            if self._site.ins_domain == "production" and rpps and not professional(number):
                raise ProfileError("the key of the RPPS number is wrong", "PRT[SB]-5.1", "102")
            return number, " ".join(one for one in (person.given, person.family) if one) or number
        responsible = self._pfi.responsible
        if responsible is None:
            raise ProfileError("the request names no person, and `pfi.responsible` is not set", "PRT[SB]-5")
        model = device or (self._pfi.device.name if self._pfi.device is not None else "")
        return responsible.id, " ".join(one for one in (self._pfi.product.name, model) if one)

    def _structure(self, organization: Organization | None) -> str:
        if organization is None or not organization.id:
            return self.structure
        number = f"1{organization.id}" if re.fullmatch(r"[0-9AB]{9}", organization.id) else organization.id
        if self._options.check_structure and number != self.structure:
            raise ProfileError("the structure is not the one that our certificate is for", "PRT[SB]-8.10")
        return number

    def _roles(self, *, automatic: bool) -> Sequence[Coded]:
        if self._options.vihf.roles:
            return [Coded(one.code, one.system, one.system_name, one.label) for one in self._options.vihf.roles]
        if automatic or self._pfi.responsible is None:
            return [_AUTOMATON]
        return _of_person(self._pfi.responsible)


def _of_person(person: PfiPerson) -> list[Coded]:
    """The profession, then the specialty; each with its label, which the DMP wants (JDV_J01 has both in one code)."""
    known, profession = values("specialties"), f"G15_{person.profession}"
    label = known[profession].display if profession in known else person.profession
    roles = [Coded(person.profession, _PROFESSION_SYSTEM, "professions", label)]
    if person.specialty:
        both = f"{profession}/{person.specialty}"
        label = known[both].display if both in known else person.specialty
        roles.append(Coded(person.specialty, _SPECIALTY_SYSTEM, "specialites RPPS", label))
    return roles


def _moment(text: str, site: Site) -> datetime | None:
    """MSH-7, to the second; local time when it has no zone. None when it is no such time."""
    match = re.fullmatch(r"(\d{14})(?:\.\d{1,4})?([+-]\d{4})?", text)
    if match is None:
        return None
    try:
        if match[2]:
            return datetime.strptime(match[1] + match[2], "%Y%m%d%H%M%S%z").astimezone(UTC)
        return datetime.strptime(match[1], "%Y%m%d%H%M%S").replace(tzinfo=site.timezone).astimezone(UTC)
    except ValueError:
        return None
