"""Requests of the ANS volet for tests: an invented patient, a small CDA, every part replaceable."""

import base64
from dataclasses import dataclass, field, replace
from typing import Any

from channels.site import Site

INS, INS_OID = "279035121518989", "1.2.250.1.213.1.4.10"
OTHER_INS = "290067505600227"
DOCUMENT, BEFORE = "1.2.250.1.999999.1.8.2", "1.2.250.1.999999.1.8.1"
SITE: dict[str, Any] = {
    "site": "essai",
    "establishment": {"name": "CH de Testville", "finess": "990000001"},
    "ins_domain": "test",
}
SENDER = (
    "801000000057^DURAND^ANNE^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS|||"
    "CH-TEST^^^^^ASIP-SANTE-ST&1.2.250.1.71.4.2.2&ISO^IDNST^^^1990000002"
)
COLLEAGUE = "801000000065^MEDICO^CAMILLE^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
FLAGS = (
    "MASQUE_PS", "INVISIBLE_PATIENT", "INVISIBLE_REP_LEGAUX", "CONNEXION_SECRETE", "MODIF_CONF_CODE", "DESTDMP",
    "DESTMSSANTEPS", "DESTMSSANTEPAT", "ACK_RECEPTION", "ACK_LECTURE_MSS",
)  # fmt: skip
ACTIONS = {"create": ("T02", "NW", "F"), "replace": ("T10", "RO", "C"), "delete": ("T04", "CA", "D")}


def site(**changes: Any) -> Site:
    return Site.model_validate({**SITE, **changes})


@dataclass(frozen=True)
class Cda:
    """A document; every value is written as it is."""

    unique_id: str = f'root="{DOCUMENT}"'
    code: str = "11502-2"
    confidentiality: str = "N"
    patient_ids: str = f'<id root="{INS_OID}" extension="{INS}"/><id root="1.2.250.1.999999.1.1" extension="700123"/>'
    family: str = "FICTIVE"
    given: str = "RUTH"
    birth: str = "19790328"
    sex: str = "F"
    place: str = "51215"
    replaces: str = ""
    body: str = "<structuredBody/>"

    def bytes(self) -> bytes:
        related = (
            f'<relatedDocument typeCode="RPLC"><parentDocument><id {self.replaces}/></parentDocument></relatedDocument>'
            if self.replaces
            else ""
        )
        place = f"<birthplace><place><addr><county>{self.place}</county></addr></place></birthplace>"
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3">'
            f'<id {self.unique_id}/><code code="{self.code}" codeSystem="2.16.840.1.113883.6.1" displayName="CR"/>'
            f'<title>Compte rendu</title><effectiveTime value="20260310120000+0100"/>'
            f'<confidentialityCode code="{self.confidentiality}" codeSystem="2.16.840.1.113883.5.25"/>'
            f"<recordTarget><patientRole>{self.patient_ids}<patient><name>"
            f'<family qualifier="BR">{self.family}</family><given qualifier="BR">{self.given}</given>'
            f'<given>{self.given} ISABELLE</given></name><administrativeGenderCode code="{self.sex}"/>'
            f'<birthTime value="{self.birth}"/>{place if self.place else ""}</patient></patientRole></recordTarget>'
            f"{related}<component>{self.body}</component></ClinicalDocument>"
        ).encode()

    def with_(self, **changes: str) -> "Cda":
        return replace(self, **changes)


@dataclass(frozen=True)
class Ask:
    """A request; ``lines`` gives its segments."""

    kind: str = "MDM"
    action: str = "create"
    documents: tuple[bytes, ...] = (Cda().bytes(),)
    profile: str = "2.1^CISIS_CDA_HL7_V2"
    control_id: str = "DPI900"
    flags: dict[str, str] = field(default_factory=lambda: {"DESTDMP": "Y", "DESTMSSANTEPS": "Y"})
    pid3: str = f"700123^^^CH-TEST&1.2.250.1.999999.1.1&ISO^PI~{INS}^^^ASIP-SANTE-INS-NIR&{INS_OID}&ISO^INS"
    status: str = "VALI"
    code: str = "11502-2"
    unique_id: str = DOCUMENT
    replaced: str = BEFORE
    sender: str = SENDER
    recipients: tuple[str, ...] = (f"{COLLEAGUE}||||||||||^^X.400^camille.medico@exemple.mssante.fr",)
    extra: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        trigger, order, status = ACTIONS[self.action]
        mdm = self.kind == "MDM"
        event = f"MDM^{trigger}^MDM_T02" if mdm else "ORU^R01^ORU_R01"
        name = f"{self.code}^CR d'examens biologiques^LN"
        replaced = self.replaced if self.action == "replace" else ""
        txa = f"TXA|1|{self.code}|TEXT|||||||||{self.unique_id}|{replaced}||||AU"
        lines = [
            (
                f"MSH|^~\\&|DPI|CH-TEST|PFI|CH-TEST|20260312150000||{event}|{self.control_id}|P|"
                f"{'2.6' if mdm else '2.5'}|||||FRA|UNICODE UTF-8|||{self.profile}"
            ),
            *(["EVN||20260312150000"] if mdm else []),
            (
                f"PID|1||{self.pid3}||FICTIVE^RUTH^RUTH ISABELLE^^Mme^^L||19790328|F|||^^^^^^BDL^^51215|||||||"
                f"A26000045^^^CH-TEST&990000001&M^AN||||||||||||||{self.status}"
            ),
            "PV1|1|I|3120||||||||||||||||V26000045^^^CH-TEST&990000001&M^VN",
            f"ORC|{order}|77^DPI^1.2.250.1.999999.1.3^ISO",
            f"OBR|1|||{name}",
            *([txa] if mdm else []),
        ]
        sign = "text" if mdm else "TEXT"
        for number, document in enumerate(self.documents, 1):
            data = base64.b64encode(document).decode()
            lines.append(f"OBX|{number}|ED|{name}||^{sign}^XML^Base64^{data}||||||{status}")
        lines += [f"PRT||UC||SB^Send by^participation|{self.sender}"] if self.sender else []
        lines += [f"PRT||UC||RCT^Result Copies To^participation|{one}" for one in self.recipients]
        kind = "CWE" if mdm else "CE"
        for number, flag in enumerate(FLAGS, len(self.documents) + 1):
            value = self.flags.get(flag, "N")
            lines.append(f"OBX|{number}|{kind}|{flag}^-^MetaDMPMSS||{value}^^expandedYes-NoIndicator||||||F")
        return [*lines, *self.extra]

    def bytes(self) -> bytes:
        return ("\r".join(self.lines()) + "\r").encode()

    def with_(self, **changes: Any) -> "Ask":
        return replace(self, **changes)
