"""The catalogue: what laboratories export is read as they mean it, and written the same way each time."""

import pytest
from hypothesis import given

from channels.errors import ChannelFileError, ConfigErrors
from loinc.catalogue import Catalogue, Entry, Key, entries_of, value_kind
from loinc.columns import FRENCH, recognised
from loinc.learn import Seen, Traffic, learned
from loinc.tabular import clean, decode, read_csv
from tests.loinc.laboratory_rows import CATALOGUES

EXPORT = """Code examen;Libellé;Nature;Unités;Méthode;Type résultat;Famille;Nb résultats;Code NABM;Actif
NA;Sodium;Sérum;mmol/L;Potentiométrie;N;Biochimie;9 000;1610;oui
HBS;"Ag HBs; dépistage";Sérum;;CMIA;Qualitatif;Sérologie;600;;
OLD;Ancien;;;;TX;;;;Non
"""


def test_the_export_of_a_laboratory_system_is_read_by_the_names_of_its_columns() -> None:
    sodium, hbs, old = entries_of(read_csv(EXPORT, "sgl.csv"))
    assert sodium == Entry(
        local_code="NA", label="Sodium", specimen="Sérum", unit="mmol/L", technique="Potentiométrie",
        value_type="numeric", section="Biochimie", frequency=9000, nabm="1610", line=2,
    )  # fmt: skip
    assert (hbs.label, hbs.value_type, hbs.active) == ("Ag HBs; dépistage", "coded", True)
    assert (old.value_type, old.active, old.line) == ("text", False, 4)


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_delimiters_and_encodings_are_seen(delimiter: str, encoding: str) -> None:
    text = f"Code{delimiter}Libellé{delimiter}Unité\r\nGLU{delimiter}Glycémie{delimiter}µmol/L\r\n"
    (entry,) = entries_of(read_csv(decode(text.encode(encoding), "x.csv"), "x.csv"))
    assert (entry.label, entry.unit) == ("Glycémie", "µmol/L")


def test_a_byte_of_no_encoding_is_a_fault_at_its_line() -> None:
    with pytest.raises(ChannelFileError) as caught:
        decode(b"Code;Libell\xe9\nA;b\n\x81;c\n", "x.csv")
    assert (caught.value.file, caught.value.line) == ("x.csv", 3)


def test_every_fault_of_a_catalogue_is_told_at_its_line() -> None:
    text = (
        "code;libelle;frequence;actif;decimales\nNA;Sodium;12,5;;\nK;Potassium;;peut-être;\n;Sans code;;;\n"
        "CL;;;;deux\nMG;a;1;;\nMG;b;1;;\n"
    )
    with pytest.raises(ConfigErrors) as caught:
        entries_of(read_csv(text, "sgl.csv"))
    assert [(fault.line, fault.problem.split(" ")[0]) for fault in caught.value.faults] == [
        (2, "the"),
        (3, "whether"),
        (4, "a"),
        (5, "the"),
        (7, "this"),
    ]


def test_a_table_without_codes_says_which_columns_it_has() -> None:
    with pytest.raises(ConfigErrors, match="no column of local codes; the columns are: Truc, Machin"):
        entries_of(read_csv("Truc;Machin\n1;2\n", "x.csv"))
    (entry,) = entries_of(read_csv("Truc;Machin\n1;2\n", "x.csv"), {"local_code": "truc", "label": "Machin"})
    assert (entry.local_code, entry.label) == ("1", "2")


def test_the_same_code_may_have_several_specimens_units_and_techniques() -> None:
    text = "code;milieu;unite;technique\nPROT;Sérum;g/L;\nPROT;Urine;g/L;\nPROT;Urine;g/24h;\n"
    catalogue = Catalogue(entries_of(read_csv(text, "x")))
    assert [entry.key for entry in catalogue.of("PROT")] == [
        Key("PROT", "Sérum", "g/L"),
        Key("PROT", "Urine", "g/24h"),
        Key("PROT", "Urine", "g/L"),
    ]


def test_every_field_has_one_french_name_that_is_recognised() -> None:
    assert recognised(FRENCH.values()) == dict(FRENCH)
    assert recognised(FRENCH) == {field: field for field in FRENCH}


@pytest.mark.parametrize(
    "text,kind",
    [
        ("N", "numeric"),
        ("NM", "numeric"),
        ("Numérique", "numeric"),
        ("CE", "coded"),
        ("Qualitatif", "coded"),
        ("TX", "text"),
        ("Titre", "titre"),
        ("ED", "image"),
        ("", ""),
        ("Zut", ""),
    ],
)
def test_the_kind_of_a_result_is_read_from_its_words(text: str, kind: str) -> None:
    assert value_kind(text) == kind


@given(CATALOGUES)
def test_the_file_loses_nothing_and_does_not_depend_on_the_order(catalogue: Catalogue) -> None:
    assert Catalogue.read(catalogue.text()) == catalogue
    assert Catalogue(reversed(list(catalogue))).text() == catalogue.text()
    assert not catalogue.difference(Catalogue.read(catalogue.text()))


def test_a_difference_names_what_comes_changes_and_goes() -> None:
    one = Catalogue([Entry(local_code="A"), Entry(local_code="B", label="b")])
    other = Catalogue([Entry(local_code="B", label="c"), Entry(local_code="C")])
    difference = one.difference(other)
    assert [entry.local_code for entry in difference.added] == ["C"]
    assert [(old.label, new.label) for old, new in difference.changed] == [("b", "c")]
    assert [entry.local_code for entry in difference.removed] == ["A"]


def test_cells_are_one_line_of_text() -> None:
    assert clean(" a\r\n b\t\x00c\u00a0\u2028 ") == "a b c"


# traffic


def seen(code: str = "NA", unit: str = "mmol/L", day: str = "2026-11-01", **more: str) -> Seen:
    base = {
        "label": "Sodium",
        "specimen": "Sérum",
        "technique": "",
        "section": "CH",
        "value_type": "NM",
        "range": "136-145",
    }
    return Seen(local_code=code, unit=unit, day=day, loinc="", **(base | more))


def test_traffic_counts_each_code_with_its_specimen_and_unit() -> None:
    traffic = Traffic()
    for one in [seen(), seen(day="2026-11-03"), seen(unit="mEq/L"), seen(value_type="ST"), seen(code="")]:
        traffic.add(one)
    (first, observed), (second, _) = traffic.of("NA")[::-1]
    assert (first.unit, second.unit, observed.count, observed.first, observed.last) == (
        "mmol/L",
        "mEq/L",
        3,
        "2026-11-01",
        "2026-11-03",
    )
    assert (observed.kind, traffic.counts(), traffic.days()) == ("numeric", {"NA": 4}, ("2026-11-01", "2026-11-03"))
    assert Traffic.read(traffic.text()).text() == traffic.text()


def test_traffic_keeps_within_its_limit_however_many_codes_and_texts_come() -> None:
    traffic = Traffic(limit=100)
    for number in range(5000):
        traffic.add(seen(code=f"C{number % 300}", range=f"{number}-{number + 1}", label="x" * 500))
    assert len(traffic) == 100
    assert traffic.left_out == 5000 - sum(traffic.counts().values())
    assert max(len(observed.ranges) for _, observed in traffic) <= 20
    assert max(len(label) for _, observed in traffic for label in observed.labels) == 200
    assert all(len(line) < 1500 for line in traffic.text().splitlines())


def test_a_catalogue_learns_the_codes_that_it_lacks_and_their_frequency() -> None:
    traffic = Traffic()
    for _ in range(10):
        traffic.add(seen())
        traffic.add(seen(code="NEW", label="Nouveau"))
    entries = learned(Catalogue([Entry(local_code="NA", unit="mmol/L")]), traffic, 73)
    assert [(entry.local_code, entry.frequency) for entry in entries] == [("NEW", 50), ("NA", 50)]
    assert (entries[0].label, entries[0].value_type, entries[0].comment) == (
        "Nouveau",
        "numeric",
        "vu dans les messages",
    )


def test_a_spoilt_traffic_file_is_a_fault_at_its_line() -> None:
    with pytest.raises(ConfigErrors, match=r"traffic\.csv:2:1"):
        Traffic.read("local_code;count\nNA;beaucoup\n")
