"""Messages to measure with: prebuilt, only a control id and a patient id of fixed width are written in their place.

Every patient is invented.
"""

from __future__ import annotations

from dataclasses import dataclass

START, END = b"\x0b", b"\x1c\r"
CONTROL_WIDTH = 12
PATIENT_WIDTH = 8

_CONTROL = b"@" * CONTROL_WIDTH
_PATIENT = b"#" * PATIENT_WIDTH

_ADT = (
    b"MSH|^~\\&|GAP|CH|DPI|CH|20260310101500||ADT^A01^ADT_A01|@@@@@@@@@@@@|P|2.5^FRA^2.11||||||UNICODE UTF-8\r"
    b"EVN||20260310101500||||20260310101400\r"
    b"PID|1||########^^^CH&1.2.250.1.71.4.2.1&ISO^PI||ESSAI^CAMILLE^CAMILLE A^^^^L~ESSAI^CAMILLE^^^^^D||19800229|F|||"
    b"12 RUE DES MESURES^^SAINT-ESSAI^^75000^FRA^H~^^PARIS^^75000^FRA^BDL^^75101||^PRN^PH^^^^^^^^^0100000000|||||"
    b"D26########^^^CH&1.2.250.1.71.4.2.1&ISO^AN|||||||||||N||VALI\r"
    b"PD1|||||||||||N\r"
    b"PV1|1|I|4120^101^1^CH^^N|R|||10000000018^MESURE^DOMINIQUE^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^L^^^RPPS|||"
    b"MED||||||N|||D26########^^^CH&1.2.250.1.71.4.2.1&ISO^VN|||||||||||||||||||||||||20260310101400\r"
    b"PV2||P|^^^|||||20260310101400|||||||||||||N\r"
    b"NK1|1|ESSAI^DANIEL^^^^^L|SPO^Conjoint|12 RUE DES MESURES^^SAINT-ESSAI^^75000^FRA^H|^PRN^PH^^^^^^^^^0100000001|"
    b"|||||||||F|19790512\r"
    b"ROL|1|UC|ODRP|10000000026^MESURE^CLAUDE^^^^^^ASIP-SANTE-PS&1.2.250.1.71.4.2.1&ISO^L^^^RPPS|||||||"
    b"3 PLACE DU TEST^^SAINT-ESSAI^^75000^FRA^O|^WPN^PH^^^^^^^^^0100000002\r"
    b"ZBE|M########^CH^1.2.250.1.71.4.2.1^ISO|20260310101400||INSERT|N||4120^^^^^CH^UF^^^4120|4120^^^^^CH^UF^^^4120|HMS\r"
    b"ZFV|||20260310101400^1\r"
    b"ZFM|8|6||\r"
)
_ORU_HEAD = (
    b"MSH|^~\\&|SGL|LABO|DPI|CH|20260310101500||ORU^R01^ORU_R01|@@@@@@@@@@@@|P|2.5^FRA||||||UNICODE UTF-8\r"
    b"PID|1||########^^^CH&1.2.250.1.71.4.2.1&ISO^PI||ESSAI^CAMILLE^^^^^L||19800229|F|||||||||"
    b"D26########^^^CH&1.2.250.1.71.4.2.1&ISO^AN|||||||||||||||VALI\r"
    b"PV1|1|I|4120^101^1^CH||||||||||||||||D26########\r"
    b"ORC|RE|P########^DPI|F########^SGL||CM||||20260310080000|||10000000018^MESURE^DOMINIQUE\r"
    b"OBR|1|P########^DPI|F########^SGL|58410-2^NFS^LN|||20260310074500||||||||BLD|10000000018^MESURE^DOMINIQUE||||||"
    b"20260310101000||LAB|F\r"
)
_OBX = (
    b"OBX|%d|NM|718-7^Hemoglobine [masse/volume] sang ; numerique^LN^HGB^Hemoglobine^L||13.%d|g/dL^g/dL^UCUM|"
    b"12.0-16.0|N|||F|||20260310095500|LABO^Laboratoire^L\r"
)
_DOCUMENT = b"OBX|1|ED|11502-2^CR d'examens biologiques^LN||^application^pdf^Base64^"


@dataclass(frozen=True, slots=True)
class Template:
    """A framed message in which the control id and the patient id can be written in place.

    frame: the bytes with their MLLP envelope. control: where MSH-10 begins. patients: every place of the patient id.
    """

    name: str
    frame: bytes
    control: int
    patients: tuple[int, ...]

    def filled(self, control_id: bytes, patient: bytes) -> bytes:
        """The framed message of one patient; both identifiers have the template's width."""
        frame = bytearray(self.frame)
        frame[self.control : self.control + CONTROL_WIDTH] = control_id
        for at in self.patients:
            frame[at : at + PATIENT_WIDTH] = patient
        return bytes(frame)

    def body(self, control_id: bytes, patient: bytes) -> bytes:
        """The same without its envelope."""
        return self.filled(control_id, patient)[len(START) : -len(END)]


def _template(name: str, body: bytes) -> Template:
    frame = START + body + END
    places = []
    at = frame.find(_PATIENT)
    while at >= 0:
        places.append(at)
        at = frame.find(_PATIENT, at + PATIENT_WIDTH)
    return Template(name, frame, frame.index(_CONTROL), tuple(places))


def _oru() -> bytes:
    return _ORU_HEAD + b"".join(_OBX % (number, number % 10) for number in range(1, 21))


def _document(size: int) -> bytes:
    """An ORU whose OBX-5 is a document: ``size`` bytes of base64."""
    return _ORU_HEAD + _DOCUMENT + (b"JVBERi0xLjQKMSAwIG9iago8PCAv" * (size // 28 + 1))[:size] + b"||||||F\r"


def template(name: str) -> Template:
    """``adt`` (1 kB), ``oru`` (3 kB), ``300kB`` or ``10MB`` (an ORU that carries a document of that size)."""
    if name == "adt":
        return _template(name, _ADT)
    if name == "oru":
        return _template(name, _oru())
    sizes = {"300kB": 300_000, "10MB": 10_000_000}
    return _template(name, _document(sizes[name]))


NAMES = ("adt", "oru", "300kB", "10MB")
