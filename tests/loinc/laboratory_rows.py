"""Catalogues and transcodings that nobody wrote, for properties."""

from hypothesis import strategies as st

from loinc.catalogue import Catalogue, Entry
from loinc.tabular import clean
from loinc.terms import check_digit
from loinc.transcoding import RELATIONSHIPS, Row, Transcoding

TEXTS = st.one_of(
    st.sampled_from(
        [
            "",
            "",
            "GLU",
            "Glycémie à jeun",
            "=1+1",
            "1-8",
            "007",
            "a;b",
            'dit "oui"',
            "#N/A",
            "_x0041_",
            "é|%",
            "-",
            "12,5",
        ]
    ),
    st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=12).map(clean),
)
CODES = st.one_of(st.sampled_from(["GLU", "1-8", "007", "A|B", "=A", "Créat"]), TEXTS.filter(bool))
LOINC = st.integers(1, 99999).map(lambda number: f"{number}-{check_digit(str(number))}")
DAYS = st.one_of(st.just(""), st.dates().map(lambda day: day.isoformat()).filter(lambda day: day >= "1000"))

ENTRIES = st.builds(
    Entry,
    local_code=CODES,
    label=TEXTS,
    short_label=TEXTS,
    specimen=TEXTS,
    unit=TEXTS,
    technique=TEXTS,
    analyser=TEXTS,
    value_type=st.sampled_from(["", "numeric", "coded", "text", "titre", "image"]),
    decimals=st.sampled_from(["", "0", "2"]),
    range=TEXTS,
    section=TEXTS,
    sub_section=TEXTS,
    nabm=TEXTS,
    frequency=st.integers(0, 10**9),
    active=st.booleans(),
    comment=TEXTS,
)


@st.composite
def row(draw: st.DrawFn) -> Row:
    status = draw(st.sampled_from(["proposed", "checked", "refused", "without_loinc"]))
    days = sorted(draw(st.tuples(DAYS, DAYS)))
    return Row(
        local_code=draw(CODES),
        specimen=draw(TEXTS),
        unit=draw(TEXTS),
        technique=draw(TEXTS),
        loinc="" if status == "without_loinc" else draw(LOINC),
        loinc_name=draw(TEXTS),
        status=status,
        relationship="" if status == "without_loinc" else draw(st.sampled_from(["", *RELATIONSHIPS[1:]])),
        ucum=draw(st.sampled_from(["", "mmol/L", "10*9/L"])),
        molar_mass=draw(st.sampled_from(["", "Glucose"])),
        decimals=draw(st.sampled_from(["", "0", "3"])),
        since=days[0],
        until=days[1],
        author=draw(TEXTS),
        date=draw(DAYS),
        evidence=draw(TEXTS),
        comment=draw(TEXTS),
    )


CATALOGUES = st.lists(ENTRIES, max_size=8).map(Catalogue)
TRANSCODINGS = st.lists(row(), max_size=8).map(Transcoding)
