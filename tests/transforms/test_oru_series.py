"""Several results of one test; files; values of rare types; what stands outside a group."""

import base64
from typing import Any

import pytest

from channels.errors import MappingError, MessageError, ProfileError
from tests.transforms.laboratory import PDF, context, edited, fixture
from transforms import er7
from transforms.oru import read_report
from transforms.report import Interval, Quantity, Report, Text

CRP = "CRP^CRP^L^1988-5^C Réactive protéine^LN"
SECOND = "OBX|2|SN|" + CRP + "||{value}|mg/L|||||{status}|||{day}"
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n0000IEND\xaeB`\x82").decode()


def crp(*changes: tuple[str, int, str], **settings: Any) -> Report:
    return read_report(edited("oru_crp", *changes), context(**settings))


def with_second(value: str, status: str, day: str = "20260310071500", **settings: Any) -> Report:
    line = SECOND.format(value=value, status=status, day=day)
    body = fixture("oru_crp").body.decode().replace("\rSPM", f"\r{line}\rSPM")
    return read_report(er7.message(body.encode()), context(**settings))


def values(report: Report) -> list[tuple[str, str]]:
    return [(one.values[0].source, one.status) for one in report.results()]


def test_a_correction_replaces_the_result_of_the_same_message() -> None:
    report = with_second("^2.0", "C")
    assert values(report) == [("2.0", "C")]
    assert [(one.place, one.reason) for one in report.left_out] == [
        ("OBX[1]", "replaced by a later result of the same test")
    ]


def test_a_final_result_never_becomes_preliminary_again() -> None:
    with pytest.raises(ProfileError) as caught:
        with_second("^2.0", "P")
    assert caught.value.place == "OBX[2]-11"


def test_two_results_of_two_moments_are_two_results() -> None:
    assert values(with_second("^2.0", "C", "20260310091500")) == [("<1.0", "F"), ("2.0", "C")]
    assert values(with_second("^2.0", "F")) == [("<1.0", "F"), ("2.0", "F")]


def test_a_result_of_a_day_before_is_a_previous_one_unless_the_site_says_otherwise() -> None:
    report = with_second("^2.0", "F", "20250901")
    (result,) = report.results()
    assert [(one.values[0].source, one.time.digits, one.unit and one.unit.ucum) for one in result.previous] == [
        ("2.0", "20250901", "mg/L")
    ]
    assert len(values(with_second("^2.0", "F", "20250901", previous_results="separate"))) == 2


def test_previous_results_are_the_latest_first() -> None:
    panel = next(read_report(fixture("oru_electrophorese"), context()).panels())
    assert [one.values[0].source for one in panel.results[0].previous] == ["73.2", "71.9"]


@pytest.mark.parametrize("status", ["P", "X"])
def test_an_old_result_that_is_not_final_is_no_previous_one(status: str) -> None:
    assert len(values(with_second("^2.0", status, "20250901"))) == 2


def test_an_image_is_in_its_panel() -> None:
    panel = next(read_report(fixture("oru_electrophorese"), context()).panels())
    assert [(one.media_type, one.title, one.place) for one in panel.images] == [("image/png", "Tracé", "OBX[5]")]


@pytest.mark.parametrize("kind", ["^IMAGE^PNG", "^image^png", "^APPLICATION^PNG"])
def test_an_image_alone_is_a_report(kind: str) -> None:
    report = crp(("OBX", 2, "ED"), ("OBX", 5, f"{kind}^Base64^{PNG}"))
    assert [len(panel.images) for panel in report.panels()] == [1]


def test_a_pdf_in_hexadecimal_is_read() -> None:
    report = read_report(edited("oru_with_pdf", ("OBX[2]", 5, f"^APPLICATION^PDF^Hex^{PDF.hex()}")), context())
    assert base64.b64decode(report.copies[0].data) == PDF


@pytest.mark.parametrize(
    "kind, raw, expected, shown",
    [
        ("NR", "1^2", Interval, "1-2"),
        ("NR", "2^1", Text, "2-1"),
        ("CQ", "15^mg/L", Quantity, "15"),
        ("TM", "0815", Text, "0815"),
    ],
)
def test_values_of_rare_types(kind: str, raw: str, expected: type, shown: str) -> None:
    (result,) = crp(("OBX", 2, kind), ("OBX", 5, raw), ("OBX", 6, "")).results()
    assert isinstance(result.values[0], expected)
    assert result.values[0].source == shown


def test_a_type_without_place_is_refused_or_kept_in_words() -> None:
    name = [("OBX", 2, "XPN"), ("OBX", 5, "DUPONT^JEAN"), ("OBX", 6, "")]
    with pytest.raises(ProfileError) as caught:
        crp(*name)
    assert caught.value.place == "OBX-2"
    (result,) = crp(*name, other_values="text").results()
    assert result.values[0].source == "DUPONT JEAN"


def test_a_result_outside_a_group_is_refused_or_kept() -> None:
    orphan = fixture("damaged/no_obr")
    with pytest.raises(ProfileError):
        read_report(orphan, context())
    report = read_report(orphan, context(outside_group="keep"))
    assert [panel.code.text for panel in report.panels()] == ["Autres résultats"]
    assert report.requested == ()


def test_people_near_the_patient() -> None:
    report = read_report(fixture("oru_ecbu"), context())
    assert [(one.kind, one.person.family, one.relation and one.relation.label) for one in report.contacts] == [
        ("ECON", "PROCHE", "Soeur"),
        ("NOK", "CONFIANCE", "Conjoint"),
    ]
    guardian = read_report(edited("oru_ecbu", ("NK1", 7, "R")), context()).patient.guardians
    assert [one.family for one in guardian] == ["PROCHE"]


def test_a_copy_to_somebody_by_secure_mail() -> None:
    who = "801000000025^PRATI^SACHA^^^^^^X&1.2.250.1.71.4.2.1&ISO^D^^^IDNPS"
    prt = f"PRT|1|UC||RCT|{who}||||||||||^NET^X.400^s@x.mssante.fr"
    report = crp(("SPM", 0, prt))
    assert [(one.family, one.telecom and one.telecom.uri) for one in report.recipients] == [
        ("PRATI", "mailto:s@x.mssante.fr")
    ]


def test_twins_reason_and_technician() -> None:
    report = crp(("PID", 24, "Y"), ("PID", 25, "2"), ("OBR", 31, "Z01^Bilan^L"), ("OBR", 34, "T1&TECH&JO"))
    assert (report.patient.multiple_birth, report.patient.birth_order) == (True, "2")
    assert [(note.title, note.lines) for note in next(report.panels()).notes] == [
        ("Motif de l'examen", ("Bilan",)),
        ("Validation technique", ("JO TECH",)),
    ]


class Codes:
    def translate(self, value: str) -> str | None:
        return {"++": "HH", "NEPH": "IMT", "TJ": "SER", "CRP": "1988-5"}.get(value)


def test_tables_of_flags_methods_specimens_and_sub_chapters() -> None:
    settings = dict.fromkeys(("flags", "methods", "specimens", "sub_chapters"), "t")
    message = edited("oru_crp", ("OBX", 8, "++"), ("SPM", 4, "TJ^Tube jaune^L"))
    report = read_report(message, context(tables={"t": Codes()}, **settings))
    (sub,) = report.chapters[0].sub_chapters
    assert (sub.code.code, report.chapters[0].panels) == ("1988-5", ())
    (result,) = report.results()
    assert [flag.code for flag in result.flags] == ["HH"]
    assert result.method is not None
    assert result.method.standard is not None
    assert (result.method.standard.code, result.method.text) == ("IMT", "Immunonéphélémétrie")
    kind = sub.panels[0].specimens[0].type
    assert kind is not None
    assert kind.standard is not None
    assert (kind.standard.code, kind.text) == ("SER", "Tube jaune")


def test_a_table_that_gives_a_wrong_code_is_refused() -> None:
    class Wrong:
        def translate(self, value: str) -> str | None:
            return "1988-6"

    with pytest.raises(MappingError):
        read_report(fixture("oru_crp"), context(tables={"t": Wrong()}, sub_chapters="t"))


def test_a_report_whose_body_is_the_pdf_needs_no_readable_result() -> None:
    message = edited("oru_with_pdf", ("OBX[1]", 6, "bouteilles/L"))
    with pytest.raises(MessageError):
        read_report(message, context())
    report = read_report(message, context(), structured=False)
    assert [chapter.panels for chapter in report.chapters] == [()]
    assert [one.place for one in report.left_out] == ["OBX[1]"]
