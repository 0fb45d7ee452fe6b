"""Messages of a realistic French laboratory, drawn by hypothesis: twelve families, accents, charsets, absent fields."""

from dataclasses import dataclass

from hypothesis import strategies as st

from channels.message import Message
from tests.transforms.generated_cultures import cultures
from tests.transforms.laboratory import fixture
from transforms import er7

Row = tuple[str, str, str, str, str, str]
"""Local code, label, LOINC, unit, usual range, how values are drawn."""

FAMILIES: dict[str, tuple[str, list[Row]]] = {
    "Hémogramme": (
        "HM",
        [
            ("GB", "Leucocytes", "6690-2", "G/L", "4.00 - 10.00", "number"),
            ("HB", "Hémoglobine", "718-7", "g/dL", "11.5 à 15.0", "number"),
            ("FROT", "Frottis sanguin", "", "", "", "words"),
        ],
    ),
    "Hémostase": (
        "COAG",
        [
            ("TP", "Taux de prothrombine", "5894-1", "%", "70 - 100", "number"),
            ("INR", "INR", "6301-6", "", "2 - 3", "number"),
            ("DDI", "D-dimères", "48065-7", "ng/mL", "< 500", "compared"),
        ],
    ),
    "Ionogramme": (
        "CH",
        [
            ("NA", "Sodium", "2951-2", "mmol/L", "136 - 145", "number"),
            ("K", "Potassium", "2823-3", "mmol/L", "3,5 - 5,1", "number"),
            ("DFG", "DFG estimé", "62238-1", "mL/min/1,73m²", ">= 90", "compared"),
        ],
    ),
    "Bilan hépatique": (
        "CH",
        [
            ("ASAT", "ASAT (TGO)", "1920-8", "UI/L", "< 35", "number"),
            ("BILI", "Bilirubine totale", "14631-6", "µmol/L", "<= 21", "number"),
        ],
    ),
    "Bilan lipidique": ("CH", [("CHOL", "Cholestérol total", "14647-2", "mmol/L", "", "number")]),
    "Marqueurs": ("CH", [("CRP", "Protéine C réactive", "1988-5", "mg/L", "< 5.0", "compared")]),
    "Hormonologie": ("CH", [("TSH", "TSH ultrasensible", "3016-3", "mUI/L", "0.27 - 4.20", "compared")]),
    "Gaz du sang": ("BG", [("PH", "pH artériel", "2744-1", "", "7.35 - 7.45", "number")]),
    "Sérologie": (
        "SR",
        [
            ("AGHBS", "Antigène HBs", "5196-1", "", "", "answer"),
            ("TOXO", "Toxoplasmose IgG", "", "UI/mL", "", "compared"),
            ("TPHA", "TPHA", "", "titre", "", "ratio"),
        ],
    ),
    "Immuno-hématologie": ("BLB", [("GRP", "Groupe ABO-RH1", "", "", "", "answer")]),
    "Urines": ("CH", [("LEUU", "Leucocytes urinaires", "", "/mL", "< 10000", "number")]),
    "Toxicologie": ("TOX", [("ETH", "Éthanol", "5643-2", "g/L", "selon contexte", "number")]),
}
_LATIN = "abcdefghijklmnopqrstuvwxyzéèêàâçùûîïôœABCDEFGÉÈÀÇ0123456789 '(),;:%/+-°²µ"
WORDS = st.text(_LATIN, min_size=1, max_size=30).map(str.strip).filter(bool)
NUMBERS = st.from_regex(r"(0|[1-9][0-9]{0,3})([.,][0-9]{1,3})?", fullmatch=True).filter(lambda text: text != "0,000")
_SEPARATORS = er7.Separators("|", "^", "~", "\\", "&")
_ANSWERS = ["POS^Positif^L", "NEG^Négatif^L", "260385009^Négatif^SCT^NEG^Négatif^L", "^Équivoque", "AP^A positif^L"]
_FLAGS = ["", "N", "H", "L", "HH", "LL", "A", "H~U", "MS", "ZZ"]
_TECHNIQUES = ["", "ECL^Électrochimiluminescence^L", "^Immunonéphélémétrie"]
_DEVICES = ["", "XN-1000^SYSMEX", "C8^COBAS^1.2.3.4^ISO"]
_VALIDATORS = [
    "",
    "801000000058^DURAND^ANNE^^^DR^^^X&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS",
    "801000000066^AUTRE^JO^^^^^^X&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS",
]
CHARSETS = [
    ("UNICODE UTF-8", "utf-8"),
    ("8859/15", "iso8859-15"),
    ("8859/1", "cp1252"),  # what senders that declare it really write
    ("", "cp1252"),
    ("", "utf-8"),
]
"""What MSH-18 says, and how the message is written."""


def _escaped(text: str) -> str:
    return er7.escape(text, _SEPARATORS)


@dataclass(frozen=True)
class _Drawn:
    kind: str
    value: str


@st.composite
def _value(draw: st.DrawFn, how: str, status: str) -> _Drawn:
    if status in ("X", "I"):
        return _Drawn("NM", "")
    number = draw(NUMBERS)
    if how == "answer":
        return _Drawn(draw(st.sampled_from(["CE", "CWE"])), draw(st.sampled_from(_ANSWERS)))
    if how == "words":
        kind = draw(st.sampled_from(["ST", "TX", "FT"]))
        lines = draw(st.lists(WORDS.map(_escaped), min_size=1, max_size=1 if kind == "ST" else 3))
        return _Drawn(kind, ("~" if kind == "TX" else "\\.br\\").join(lines))
    if how == "ratio":
        return _Drawn("SN", f"^1^:^{draw(st.integers(10, 5120))}")
    sign = draw(st.sampled_from(["", "", "<", ">", "<=", ">="])) if how == "compared" else ""
    form = draw(st.sampled_from(["NM", "SN", "ST"]))
    if form == "SN":
        return _Drawn("SN", f"{_escaped(sign)}^{number}")
    return _Drawn(form, f"{_escaped(sign)} {number}".strip())


@st.composite
def _line(draw: st.DrawFn, number: int, row: Row, order_status: str) -> list[str]:
    code, label, loinc, unit, usual, how = row
    choices = {"F": "FFFCX", "P": "FPRSIX", "C": "FC"}[order_status]
    status = draw(st.sampled_from(choices))
    drawn = draw(_value(how, status))
    third = f"{code}^{label}^L^{loinc}^{label}^LN" if loinc else f"{code}^{label}^L"
    if loinc and draw(st.booleans()):
        third = f"{loinc}^{label}^LN^{code}^{label}^L"
    measured = unit if how not in ("answer", "words") else ""
    flag = draw(st.sampled_from(_FLAGS)) if drawn.value else ""
    subcontractor = draw(st.sampled_from(["", "", "", "LABX^Laboratoire X^L"]))
    fields = [
        *("OBX", str(number), drawn.kind, third, draw(st.sampled_from(["", "", "1"])), drawn.value, _escaped(measured)),
        *(usual, flag, "", "", status, "", "", "20260310071500", subcontractor),
        *(draw(st.sampled_from(_VALIDATORS)), draw(st.sampled_from(_TECHNIQUES)), draw(st.sampled_from(_DEVICES))),
        draw(st.sampled_from(["", "20260310103000", "202603101030+0100"])),
    ]
    lines = ["|".join(fields)]
    if draw(st.integers(0, 3)) == 0:
        notes = draw(st.lists(WORDS.map(_escaped), min_size=1, max_size=3))
        lines += [f"NTE|{rank}|L|{note}" for rank, note in enumerate(notes, 1)]
    return lines


def messages() -> st.SearchStrategy[Message]:
    """One ORU^R01 of one patient, with one to five panels and perhaps a culture, in one of the charsets."""
    return st.builds(written, texts(), st.sampled_from(CHARSETS))


def written(text: str, charset: tuple[str, str]) -> Message:
    """The message in a charset: what MSH-18 says, and the codec."""
    declared, codec = charset
    return er7.message(text.replace("UNICODE UTF-8", declared, 1).encode(codec, "replace"))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """The text of such a message."""
    base = fixture("oru_crp").body.decode().split("\r")
    lines = [base[0], draw(_patient(base[1]))]
    if draw(st.booleans()):
        lines.append(f"NTE|1|L|{_escaped(draw(WORDS))}")
    if draw(st.booleans()):
        lines.append(base[2])
    names = draw(st.lists(st.sampled_from(sorted(FAMILIES)), min_size=1, max_size=5, unique=True))
    for rank, name in enumerate(names, 1):
        lines += draw(_order(rank, name, base))
    if draw(st.integers(0, 3)) == 0:
        lines += draw(cultures(len(names) + 1, base[4].split("|")))
    return "\r".join(lines) + "\r"


@st.composite
def _patient(draw: st.DrawFn, line: str) -> str:
    """The patient, with an INS or without; without, more may lack."""
    fields = line.split("|")
    if draw(st.booleans()):
        fields[13] = ""
    if draw(st.booleans()):
        fields[5] = fields[5].partition("~")[0]
    if draw(st.booleans()):
        fields[32] = "PROV"
        if draw(st.booleans()):
            fields[11] = ""
    return "|".join(fields)


@st.composite
def _order(draw: st.DrawFn, rank: int, name: str, base: list[str]) -> list[str]:
    discipline, rows = FAMILIES[name]
    status = draw(st.sampled_from("FFFPC"))
    fields = base[4].split("|")
    fields[1:5] = [str(rank), f"DPI-{rank}^DPI", f"LAB-{rank}^SGL", f"P{rank}^{name}^L"]
    fields[24:26] = [discipline, status]
    for optional in (10, 16, 22, 32):
        if draw(st.integers(0, 4)) == 0:
            fields[optional] = ""
    if draw(st.booleans()):
        fields[13] = _escaped(draw(WORDS))
    lines = [base[3]] if draw(st.booleans()) else []
    lines.append("|".join(fields))
    chosen = draw(st.lists(st.sampled_from(rows), min_size=1, max_size=len(rows), unique=True))
    for number, row in enumerate(chosen, 1):
        lines += draw(_line(number, row, status))
        if draw(st.integers(0, 9)) == 0 and lines[-1].startswith("OBX"):
            lines += _earlier(lines[-1])
    if draw(st.booleans()):
        lines.append(draw(_specimen(base[-2], rank)))
    return lines


def _earlier(line: str) -> list[str]:
    """The same result of six months before."""
    fields = line.split("|")
    fields[11], fields[14], fields[19] = "F", "20250911080000", ""
    return ["|".join(fields)] if fields[5] else []


@st.composite
def _specimen(draw: st.DrawFn, line: str, rank: int) -> str:
    fields = line.split("|")
    fields += [""] * (25 - len(fields))
    fields[2] = draw(st.sampled_from([f"^2603100{rank}&SGL", ""]))
    fields[4] = draw(st.sampled_from([fields[4], "TUBEJ^Tube jaune^L", "^Sérum"]))
    fields[8] = draw(st.sampled_from(["", "", "368208006^Bras gauche^SCT"]))
    fields[draw(st.sampled_from([21, 24]))] = draw(st.sampled_from(["", "", "HEM^Hémolysé^L", "^Coagulé"]))
    if draw(st.booleans()):
        fields[18] = ""
    return "|".join(fields).rstrip("|")
