"""An ORU^R01 becomes a report: everything clinical is in it, or the message is refused with the place."""

from dataclasses import replace
from typing import Any

import pytest

from channels.errors import MappingError, MessageError, ParseError, ProfileError, UnsupportedError
from channels.message import Message
from tests.transforms.laboratory import ANNE, MESSAGES, context, edited, fixture
from transforms import er7
from transforms.oru import read_report
from transforms.report import Answer, Instant, Interval, Quantity, Ratio, Report, Result, Text, Value


def read(message: Message, domain: str = "test", **laboratory: Any) -> Report:
    return read_report(message, context(domain, **laboratory))


def crp(*changes: tuple[str, int, str], **laboratory: Any) -> Report:
    return read(edited("oru_crp", *changes), **laboratory)


def only(report: Report) -> Result:
    (result,) = report.results()
    return result


def value(*changes: tuple[str, int, str]) -> Value:
    (found,) = only(crp(*changes)).values
    return found


def test_a_blood_count_is_read_whole() -> None:
    report = read(fixture("oru_nfs"))
    (chapter,) = report.chapters
    assert (chapter.code.code, chapter.code.label) == ("18723-7", "Hématologie")
    (panel,) = chapter.panels
    assert (panel.code.text, panel.code.standard and panel.code.standard.code, panel.status) == (
        "Hémogramme",
        "58410-2",
        "F",
    )
    assert [value.source for result in panel.results for value in result.values] == (
        ["11.20", "4.31", "11.0", "33.9", "78.7", "32.4", "25.5", "412", "71.2", "1.8", "0.4", "19.9", "6.7"]
    )
    haemoglobin = panel.results[2]
    assert haemoglobin.code.standard is not None
    assert (haemoglobin.code.standard.code, haemoglobin.code.standard.label) == (
        "718-7",
        "Hémoglobine [Masse/Volume] Sang ; Numérique",
    )
    assert [(one.code, one.system) for one in haemoglobin.code.others] == [("HB", "1.2.250.1.999999.2.6")]
    assert haemoglobin.unit is not None
    assert (haemoglobin.unit.source, haemoglobin.unit.ucum) == ("g/dL", "g/dL")
    assert haemoglobin.range is not None
    assert haemoglobin.range.source == "11.5 - 15.0"
    assert [(flag.code, flag.label) for flag in haemoglobin.flags] == [("L", "Anormalement bas")]
    assert haemoglobin.notes[0].lines == ("Anémie microcytaire modérée : à confronter au bilan martial.",)
    assert haemoglobin.place == "OBX[3]"


def test_groups_of_one_discipline_share_a_chapter_and_notes_stay_where_they_are() -> None:
    report = read(fixture("oru_multi"))
    assert [(chapter.code.label, [len(panel.results) for panel in chapter.panels]) for chapter in report.chapters] == [
        ("Hématologie", [13]),
        ("Biochimie", [8, 1]),
    ]
    assert report.notes[0].lines == ("Patiente à jeun.",)
    assert report.chapters[1].panels[0].notes[0].lines == ("Prélèvement sur tube hépariné, non hémolysé.",)
    assert [one.value for one in report.requested] == ["LAB-900104", "LAB-900105", "LAB-900106"]
    assert [one.value for one in report.prescription.orders] == ["DPI-77004", "DPI-77005", "DPI-77006"]


def test_the_patient_is_read_with_qualified_traits() -> None:
    patient = read(fixture("oru_crp")).patient
    assert patient.ins is not None
    assert (patient.ins.number, patient.ins.root) == ("290067505600227", "1.2.250.1.213.1.4.10")
    assert [(one.value, one.root) for one in patient.ids] == [("700123", "1.2.250.1.999999.1.1")]
    assert (patient.family, patient.given, patient.birth_given_names) == ("MODELE", "ALIX", "ALIX LOU")
    assert (patient.used_family, patient.used_given) == ("MODELE-ESSAI", "ALIX")
    assert (patient.sex, patient.birth_date.digits, patient.birth_place, patient.birth_city) == (
        "F",
        "19900615",
        "75056",
        "PARIS",
    )
    assert [(one.uri, one.use) for one in patient.telecoms] == [
        ("tel:0600000000", "MC"),
        ("mailto:alix.modele@exemple.fr", ""),
    ]
    assert patient.addresses[0].shown() == ("4 rue des Essais", "Bâtiment B", "75013 TESTVILLE", "FRA")


def test_people_and_times_have_their_roles() -> None:
    report = read(fixture("oru_crp"))
    assert (report.responsible.shown(), report.responsible.id) == ("Dr Anne DURAND", "801000000058")
    assert [one.id for one in report.prescription.prescribers] == ["801000000017"]
    assert [(person.family, moment and moment.digits) for person, moment in report.collectors] == [
        ("PIQUE", "20260310071500")
    ]
    assert (report.received.digits, report.released and report.released.digits) == ("20260310081200", "20260310110500")
    assert report.encounter.code is not None
    assert (report.encounter.code.code, report.encounter.id and report.encounter.id.value) == ("IMP", "V26000045")
    (specimen,) = report.chapters[0].panels[0].specimens
    assert specimen.type is not None
    assert (specimen.type.text, specimen.id and specimen.id.value) == ("Sérum", "26031000453")


@pytest.mark.parametrize(
    "domain, status, identifier, taken",
    [
        ("test", "VALI", "290067505600227^^^X&1.2.250.1.213.1.4.10&ISO^INS", True),
        ("test", "HOMA~VALI", "290067505600227^^^X&1.2.250.1.213.1.4.11&ISO^INS", True),
        ("test", "PROV", "290067505600227^^^X&1.2.250.1.213.1.4.10&ISO^INS", False),
        ("test", "PROV", "290067505600228^^^X&1.2.250.1.213.1.4.10&ISO^INS", False),
        ("test", "", "290067505600227^^^X&1.2.250.1.213.1.4.10&ISO^INS", False),
        ("test", "VALI", "290067505600227^^^X&1.2.250.1.213.1.4.8&ISO^INS", False),
        ("production", "VALI", "290067505600227^^^X&1.2.250.1.213.1.4.10&ISO^INS", False),
        ("production", "VALI", "290067505600227^^^X&1.2.250.1.213.1.4.8&ISO^INS", True),
        ("production", "VALI", "290067505600227^^^X&1.2.250.1.213.1.4.9&ISO^INS", True),
        ("production", "VALI", "290067505600227^^^X&1.2.250.1.213.1.4.8&ISO^NH", False),
    ],
)
def test_the_ins_is_taken_only_when_qualified_and_of_the_domain(
    domain: str, status: str, identifier: str, taken: bool
) -> None:
    ipp = "700123^^^CH-TEST&1.2.250.1.999999.1.1&ISO^PI"
    message = edited("oru_crp", ("PID", 3, f"{ipp}~{identifier}"), ("PID", 32, status))
    assert (read(message, domain).patient.ins is not None) is taken


@pytest.mark.parametrize(
    "changes, place",
    [
        ([("PID", 3, "7^^^CH^PI~290067505600228^^^X&1.2.250.1.213.1.4.10&ISO^INS")], "PID-3[2].1"),
        ([("PID", 3, "7^^^CH^PI~2900675056002^^^X&1.2.250.1.213.1.4.10&ISO^INS")], "PID-3[2].1"),
        ([("PID", 11, "^^PARIS^^^^BDL^^75")], "PID-11"),
        ([("PID", 8, "U")], "PID-5"),
        ([("PID", 7, "1990")], "PID-5"),
    ],
)
def test_a_faulty_ins_is_refused_or_withheld_as_the_site_says(changes: list[tuple[str, int, str]], place: str) -> None:
    with pytest.raises(ProfileError) as caught:
        crp(*changes)
    assert caught.value.place == place
    assert crp(*changes, faulty_ins="withhold").patient.ins is None


def test_of_two_ins_the_nir_is_taken() -> None:
    nia = "290067505600227^^^X&1.2.250.1.213.1.4.9&ISO^INS"
    nir = "290067505600227^^^X&1.2.250.1.213.1.4.8&ISO^INS"
    message = edited("oru_crp", ("PID", 3, f"700123^^^CH^PI~{nia}~{nir}"))
    ins = read(message, "production").patient.ins
    assert ins is not None
    assert (ins.root, ins.place) == ("1.2.250.1.213.1.4.8", "PID-3[3]")


@pytest.mark.parametrize(
    "kind, raw, expected, shown",
    [
        ("NM", "12.50", Quantity, "12.50"),
        ("NM", "12,50", Quantity, "12,50"),
        ("NM", "< 0,5", Interval, "< 0,5"),
        ("NM", "1,234", Text, "1,234"),
        ("NM", "Négatif", Text, "Négatif"),
        ("SN", "<^0.5", Interval, "<0.5"),
        ("SN", "^1^:^160", Ratio, "1:160"),
        ("SN", "^3^+", Text, "3+"),
        ("ST", "12.5", Quantity, "12.5"),
        ("ST", "traces", Text, "traces"),
        ("TXT", "inconnu", Text, "inconnu"),
        ("", "sans type", Text, "sans type"),
        ("TX", "un~deux\\.br\\trois", Text, "un\ndeux\ntrois"),
        ("FT", "\\H\\gras\\N\\\\.sp1\\suite", Text, "gras\nsuite"),
        ("CE", "POS^Positif^L", Answer, "Positif"),
        ("CWE", "260385009^Négatif^SCT", Answer, "Négatif"),
        ("TS", "20260310071500", Instant, "20260310071500"),
        ("DT", "hier", Text, "hier"),
    ],
)
def test_every_value_keeps_its_words(kind: str, raw: str, expected: type, shown: str) -> None:
    found = value(("OBX", 2, kind), ("OBX", 5, raw))
    assert isinstance(found, expected)
    assert found.source == shown


def test_a_string_without_unit_stays_a_string() -> None:
    assert isinstance(value(("OBX", 2, "ST"), ("OBX", 5, "12"), ("OBX", 6, "")), Text)


def test_repetitions_are_several_values() -> None:
    result = only(crp(("OBX", 2, "NM"), ("OBX", 5, "12.0~13.0")))
    assert [one.source for one in result.values] == ["12.0", "13.0"]


def test_the_loinc_code_is_found_on_either_side_and_the_laboratorys_words_are_shown() -> None:
    for field in ("CRP^Protéine C^L^1988-5^C reactive protein^LN", "1988-5^C reactive protein^LN^CRP^Protéine C^L"):
        code = only(crp(("OBX", 3, field))).code
        assert code.standard is not None
        assert (code.text, code.standard.code, [one.code for one in code.others]) == ("Protéine C", "1988-5", ["CRP"])


def test_a_test_without_loinc_keeps_its_local_code() -> None:
    code = only(crp(("OBX", 3, "CRP^Protéine C"))).code
    assert code.standard is None
    assert [(one.code, one.label) for one in code.others] == [("CRP", "Protéine C")]


@pytest.mark.parametrize(
    "raw, shown",
    [
        ("H", ["H"]),
        ("H~U", ["H", "U"]),
        ("MS", ["I"]),
        ("VS", ["S"]),
        ("ZZ", ["ZZ"]),
        ("h", ["H"]),
        ('""', []),
        ("", []),
    ],
)
def test_flags_are_translated_or_only_shown(raw: str, shown: list[str]) -> None:
    assert [flag.code for flag in only(crp(("OBX", 8, raw))).flags] == shown


@pytest.mark.parametrize(
    "obx, obr, status",
    [
        ("F", "F", "F"),
        ("C", "C", "C"),
        ("P", "P", "P"),
        ("", "F", "F"),
        ("", "P", "P"),
        ("F ", "F", "F"),
        ("A", "C", "C"),
        ("V", "F", "F"),
    ],
)
def test_the_status_of_a_result_is_its_own_or_that_of_its_order(obx: str, obr: str, status: str) -> None:
    assert only(crp(("OBX", 11, obx), ("OBR", 25, obr))).status == status


def test_a_result_that_is_not_final_makes_the_report_partial() -> None:
    assert not crp(("OBX", 11, "P")).complete
    assert not crp(("OBX", 11, "I"), ("OBX", 5, "")).complete
    assert crp(("OBX", 11, "X"), ("OBX", 5, ""), ("OBR", 25, "X")).complete


@pytest.mark.parametrize("obx, derived", [("F", "F"), ("C", "C"), ("P", "P"), ("X", "X")])
def test_the_status_of_an_order_is_derived_when_it_lacks(obx: str, derived: str) -> None:
    report = crp(("OBX", 11, obx), ("OBR", 25, ""))
    assert report.chapters[0].panels[0].status == derived


@pytest.mark.parametrize("status", ["D", "W", "N", "O"])
def test_a_withdrawn_result_is_left_out_and_the_report_says_so(status: str) -> None:
    report = read(edited("oru_nfs", ("OBX[2]", 11, status)))
    assert len(list(report.results())) == 12
    assert [one.place for one in report.left_out] == ["OBX[2]"]


def test_an_observation_after_the_specimen_describes_it() -> None:
    volume = "OBX|2|NM|VOL^Volume^L||4.5|mL|||||F"
    lines = fixture("oru_crp").body.decode() + f"{volume}\rNTE|1|L|Tube plein\r"
    (panel,) = read(er7.message(lines.encode())).chapters[0].panels
    assert len(panel.results) == 1
    assert panel.notes[-1].lines == ("Volume : 4.5 mL", "Tube plein")


def test_a_sender_that_writes_the_specimen_before_its_results_is_understood() -> None:
    lines = fixture("oru_nfs").body.decode().rstrip("\r").split("\r")
    obr = next(number for number, line in enumerate(lines) if line.startswith("OBR"))
    moved = [*lines[: obr + 1], lines[-1], *lines[obr + 1 : -1]]
    assert read(er7.message(("\r".join(moved) + "\r").encode())) == read(fixture("oru_nfs"))


def test_directions_to_the_dmp_are_not_results() -> None:
    message = edited("oru_nfs", ("OBX[2]", 3, "DESTDMP^Destinataire DMP^MetaDMPMSS"))
    report = read(message)
    assert len(list(report.results())) == 12
    assert report.left_out[0].place == "OBX[2]"


def test_segments_that_a_report_does_not_carry_are_listed() -> None:
    report = read(edited("oru_crp", ("PV1", 0, "ZZZ|1|interne")))
    assert [one.place for one in report.left_out] == ["ZZZ"]


def test_a_subcontractor_is_found_by_its_number_or_its_name() -> None:
    for field, raw in (
        (15, "LABX^Laboratoire X^L"),
        (23, "Autre nom^^^^^A&1.2&ISO^IDNST^^^1690000007"),
        (23, "LABORATOIRE X \\T\\ FILS"),
    ):
        laboratory = only(crp(("OBX", field, raw))).laboratory
        assert laboratory is not None
        assert (laboratory.organization.id, laboratory.director.id) == ("1690000007", "801000000066")


def test_our_own_laboratory_is_no_subcontractor() -> None:
    assert only(crp(("OBX", 15, "LBM1^Nous^L"))).laboratory is None
    assert only(crp(("OBX", 23, "X^^^^^^^^^1990000009"))).laboratory is None


@pytest.mark.parametrize(
    "raw, identifier, profession",
    [
        ("801000000058&DURAND&ANNE&&&&&&X&1.2.250.1.71.4.2.1&ISO", "801000000058", "G15_10/SM03"),
        ("801000000074&NOUVEAU&PAUL&&&&&&X&1.2.250.1.71.4.2.1&ISO", "801000000074", "G15_10/SM03"),
        ("801000000074^NOUVEAU^PAUL^^^^^^X&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS", "801000000074", "G15_10/SM03"),
        ("01000000074^NOUVEAU^PAUL^^^^^^^^^^RPPS", "801000000074", "G15_10/SM03"),
        ("AD", "801000000058", "G15_10/SM03"),
        ("", "801000000058", "G15_10/SM03"),
    ],
)
def test_the_responsible_biologist_is_the_messages_else_the_sites(raw: str, identifier: str, profession: str) -> None:
    person = crp(("OBR", 32, raw)).responsible
    assert person.profession is not None
    assert (person.id, person.profession.code) == (identifier, profession)


def test_other_biologists_who_validated_are_kept() -> None:
    other = "801000000066^AUTRE^JO^^^DR^^^X&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
    report = crp(("OBX", 16, other))
    assert [one.person.family for one in report.validators] == ["AUTRE"]
    assert only(report).validations[0].person.id == "801000000066"


def test_identifiers_are_the_same_for_a_resend_and_new_for_a_new_message() -> None:
    one, again = read(fixture("oru_crp")).version, read(fixture("oru_crp")).version
    other = crp(("MSH", 10, "SGL999")).version
    assert one == again
    assert (one.set_id, one.id) == (other.set_id, one.id)
    assert one.id != other.id
    assert one.id == one.id.upper()


def test_a_pdf_of_the_whole_report_is_recognised() -> None:
    report = read(fixture("oru_with_pdf"))
    assert [(one.media_type, one.place) for one in report.copies] == [("application/pdf", "OBX[2]")]
    assert [len(chapter.panels) for chapter in report.chapters] == [1]


def test_a_pdf_of_another_laboratory_is_its_report() -> None:
    report = read(edited("oru_with_pdf", ("OBX[2]", 15, "LABX")))
    assert (report.copies, [one.laboratory for one in report.other_reports]) == ((), ["Laboratoire X & Fils"])


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"\r", b"\n"),
        lambda text: text.replace(b"\r", b"\r\n"),
        lambda text: text.replace(b"|", b"!").replace(b"^~\\&", b"^~\\&"),
        lambda text: text.decode().replace("UNICODE UTF-8", "8859/15").encode("iso8859-15"),
        lambda text: text.decode().replace("UNICODE UTF-8", "8859/1").encode("cp1252"),
        lambda text: b"\xef\xbb\xbf" + text,
    ],
)
def test_the_form_of_the_message_does_not_change_the_report(change: Any) -> None:
    original = fixture("oru_multi")
    assert read(er7.message(change(original.body))) == read(original)


REFUSED = [
    ("two_patients", ProfileError, "PID[2]"),
    ("ins_wrong_key", ProfileError, "PID-3[2].1"),
    ("unknown_unit", MappingError, "OBX-6"),
    ("no_birth_date", ProfileError, "PID-7"),
    ("impossible_date", ParseError, "OBX-19"),
    ("isolate", ProfileError, "OBR[2]-26"),
    ("pdf_undecodable", ParseError, "OBX[2]-5.5"),
    ("no_obr", ProfileError, "OBX"),
    ("status_unknown", MappingError, "OBX-11"),
    ("wrong_loinc", MappingError, "OBX-3.4"),
    ("truncated", ProfileError, "OBX-5"),
    ("no_patient", ProfileError, "PID"),
    ("control_character", ProfileError, "OBX-5"),
]


@pytest.mark.parametrize("name, error, place", REFUSED)
def test_a_damaged_message_is_refused_with_its_place(name: str, error: type[MessageError], place: str) -> None:
    with pytest.raises(error) as caught:
        read(fixture(f"damaged/{name}"))
    assert caught.value.place == place


def test_every_damaged_message_has_its_row() -> None:
    assert {path.stem for path in (MESSAGES / "damaged").glob("*.hl7")} == {name for name, _, _ in REFUSED}


@pytest.mark.parametrize(
    "changes, error, place",
    [
        ([("PID", 5, "")], ProfileError, "PID-5"),
        ([("PID", 5, "MODELE^^^^^^L")], ProfileError, "PID-5"),
        ([("PID", 8, "")], ProfileError, "PID-8"),
        ([("PID", 8, "X")], MappingError, "PID-8"),
        ([("PID", 3, "1^^^A&1.2.3&ISO^AN"), ("PID", 32, "")], ProfileError, "PID-3"),
        ([("PID", 11, "")], ProfileError, "PID-11"),
        ([("PID", 3, "1^^^A^PI~2^^^B^PI"), ("PID", 32, "")], ProfileError, "PID-3[2]"),
        ([("OBX", 3, "")], ProfileError, "OBX-3"),
        ([("OBX", 5, "")], ProfileError, "OBX-5"),
        ([("OBX", 2, "RP"), ("OBX", 5, "x^APPLICATION^PDF")], ProfileError, "OBX-5"),
        ([("OBX", 2, "ED"), ("OBX", 5, "^IMAGE^TIFF^Base64^SUkqAA==")], ProfileError, "OBX-5.3"),
        ([("OBX", 2, "ED"), ("OBX", 5, "^IMAGE^PNG^Base64^SUkqAA==")], ParseError, "OBX-5.5"),
        ([("OBX", 2, "ED"), ("OBX", 5, "^IMAGE^PNG^Base64^iVBORw0KGgowMDAw")], ParseError, "OBX-5.5"),
        ([("OBX", 2, "ED"), ("OBX", 5, "^TEXT^XML^Base64^PGE+")], ParseError, "OBX-5.5 1:4"),
        ([("OBX", 11, "D")], ProfileError, "OBX"),
        ([("OBX", 2, "MA")], ProfileError, "OBX-2"),
        ([("OBX", 15, "INCONNU")], MappingError, "OBX-15"),
        ([("OBX", 11, ""), ("OBR", 25, "")], ProfileError, "OBX-11"),
        ([("OBR", 25, "Q")], MappingError, "OBR-25"),
        ([("OBR", 4, "")], ProfileError, "OBR-4"),
        ([("OBR", 32, "LOCAL1&INCONNU&JO")], MappingError, "OBR-32"),
        ([("OBX", 16, "LOCAL1")], MappingError, "OBX-16"),
        ([("OBX", 0, "")], ProfileError, "OBX"),
        ([("OBR", 3, ""), ("ORC", 3, ""), ("OBR", 2, ""), ("ORC", 2, ""), ("SPM", 2, "")], ProfileError, "OBR-3"),
        ([("MSH", 7, ""), ("OBR", 22, "")], ProfileError, "MSH-7"),
        ([("MSH", 9, "ADT^A01")], UnsupportedError, "MSH-9"),
        ([("OBX", 5, "<^\\X07\\")], ProfileError, "OBX-5"),
    ],
)
def test_what_cannot_be_carried_is_refused_with_its_place(
    changes: list[tuple[str, int, str]], error: type[MessageError], place: str
) -> None:
    with pytest.raises(error) as caught:
        crp(*changes)
    assert caught.value.place == place


def test_no_error_text_quotes_a_value() -> None:
    words = ("MODELE", "ALIX", "290067505600228", "bouteilles", "INCONNU", "1988-6")
    for path in sorted((MESSAGES / "damaged").glob("*.hl7")):
        with pytest.raises(MessageError) as caught:
            read(er7.message(path.read_bytes()))
        assert not any(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    "absent, setting",
    [
        ({"director": None}, "laboratory.director"),
        ({"address": None}, "laboratory.address"),
        ({"telecom": None}, "laboratory.telecom"),
        ({"oids": {}}, "laboratory.oids.local_codes"),
    ],
)
def test_a_message_that_needs_a_setting_is_refused_with_its_name(absent: dict[str, Any], setting: str) -> None:
    with pytest.raises(ProfileError, match=f"needs the setting {setting} of site.yaml"):
        crp(**absent)


def test_a_site_without_laboratory_refuses_reports() -> None:
    bare = context()
    site = bare.site.model_copy(update={"laboratory": None})
    with pytest.raises(ProfileError, match=r"needs the setting laboratory of site\.yaml"):
        read_report(fixture("oru_crp"), replace(bare, site=site))


def test_the_profession_of_an_unknown_biologist_is_never_guessed() -> None:
    unknown = "801000000074&NOUVEAU&PAUL&&&&&&X&1.2.250.1.71.4.2.1&ISO"
    with pytest.raises(ProfileError, match=r"needs the setting laboratory\.profession"):
        crp(("OBR", 32, unknown), profession=None)


def test_oids_come_from_the_message_then_from_the_name_then_from_the_default() -> None:
    changes = [("OBR", 3, "1^SGL^1.2.3.4^ISO"), ("OBR", 2, "2^DPI")]
    report = crp(*changes, authorities={"DPI": "1.2.9.9"})
    panel = report.chapters[0].panels[0]
    assert panel.filler is not None
    assert panel.placer is not None
    assert (panel.filler.root, panel.placer.root) == ("1.2.3.4", "1.2.9.9")


def test_policies_of_the_site() -> None:
    kept = only(crp(("OBX", 6, "bouteilles/L"), unknown_unit="text"))
    assert kept.unit is not None
    assert (kept.unit.source, kept.unit.ucum) == ("bouteilles/L", "")
    with pytest.raises(MappingError) as caught:
        crp(("OBX", 3, "CRP^CRP^L"), no_loinc="refuse")
    assert caught.value.place == "OBX-3"
    comma = only(crp(("OBX", 2, "NM"), ("OBX", 5, "1,025"), decimal_comma=True))
    assert isinstance(comma.values[0], Quantity)


class Units:
    def translate(self, value: str) -> str | None:
        return {"UI/L": "U/L", "CRP": "18718-7", "CH": "18719-5", "VIRO": "1-8"}.get(value)


def test_tables_of_the_site_come_first() -> None:
    with_tables = context(tables={"mes_unites": Units()}, units="mes_unites", chapters="mes_unites")
    report = read_report(edited("oru_crp", ("OBX", 6, "UI/L")), with_tables)
    result = only(report)
    assert result.unit is not None
    assert result.unit.ucum == "U/L"
    assert report.chapters[0].code.code == "18718-7"
    unknown = edited("oru_crp", ("OBR", 4, "AUTRE^Autre^L"), ("OBR", 24, "VIRO"))
    with pytest.raises(MappingError) as caught:
        read_report(unknown, with_tables)
    assert caught.value.place == "OBR-24"


def test_the_custodian_is_the_laboratory_unless_the_site_says_otherwise() -> None:
    assert crp().custodian.id == "1990000009"
    custodian = {"finess": "990000001", "name": "CH de Testville"}
    assert crp(custodian=custodian).custodian.name == "CH de Testville"


def test_a_default_biologist_signs_what_names_none() -> None:
    other = {**ANNE, "rpps": "01000000099", "family": "GARDE"}
    assert crp(("OBR", 32, ""), biologist=other).responsible.family == "GARDE"


def test_the_group_of_orders_stands_for_an_order_without_number() -> None:
    one = read_report(edited("oru_crp", ("ORC", 2, ""), ("OBR", 2, ""), ("ORC", 4, "P26-0310^DPI")), context())
    assert [order.value for order in one.prescription.orders] == ["P26-0310"]
    assert [order.value for order in read_report(fixture("oru_crp"), context()).prescription.orders] == ["DPI-77003"]


SENDERS = [
    {"application": "AUTRE", "oids": {"patient": "1.9.9.1"}},
    {
        "application": "SGL",
        "oids": {"filler_order": "1.9.1.4", "local_codes": "1.9.1.6"},
        "authorities": {"SGL": "1.9.1.7"},
        "code_systems": {"99SGL": "1.9.1.8"},
    },
    {"application": "SGL", "facility": "LBM-TESTVILLE", "oids": {"filler_order": "1.9.2.4"}},
]


def test_each_sender_has_its_numbering_spaces() -> None:
    """The most particular one; what it does not say is the laboratory's."""
    changes = [("MSH", 4, "LBM-SUD"), ("OBR", 3, "LAB-1^X"), ("OBX", 3, "CRP^CRP^L^A^A^99SGL"), ("SPM", 2, "^T1&SGL")]
    report = read_report(edited("oru_crp", *changes), context(senders=SENDERS))
    (panel,) = report.panels()
    assert panel.filler is not None
    assert panel.filler.root == "1.9.1.4"
    assert {one.system for one in panel.results[0].code.others} == {"1.9.1.6", "1.9.1.8"}
    assert panel.specimens[0].id is not None
    assert panel.specimens[0].id.root == "1.9.1.7"
    exact = read_report(edited("oru_crp", ("OBR", 3, "LAB-1^X")), context(senders=SENDERS))
    assert [one.root for one in exact.requested] == ["1.9.2.4"]
    other = read_report(edited("oru_crp", ("MSH", 3, "TIERS"), ("OBR", 3, "LAB-1^X")), context(senders=SENDERS))
    assert [one.root for one in other.requested] == ["1.2.250.1.999999.2.4"]


def test_two_senders_with_the_same_number_are_two_reports() -> None:
    one = read_report(edited("oru_crp", ("MSH", 3, "TIERS")), context(senders=SENDERS))
    two = read_report(edited("oru_crp"), context(senders=SENDERS))
    assert one.version.set_id != two.version.set_id
