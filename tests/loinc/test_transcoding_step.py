"""The step ``loinc.transcode``: codes, values and units of an ORU through the checked table."""

from datetime import UTC, datetime
from typing import Any

import pytest

from channels.errors import MappingError, UnknownNameError
from channels.message import Message
from channels.ports import Context, Tables
from channels.site import Site
from loinc.transcoding import Row, Transcoding
from mappings import TRANSCODING
from mappings import Tables as SiteTables
from transforms import er7
from transforms.loinc_codes import Transcode, TranscodeSettings

TABLE = Transcoding(
    [
        Row(local_code="NA", loinc="2951-2", loinc_name="Sodium [Moles/volume] in Serum or Plasma", status="checked"),
        Row(
            local_code="GLU",
            unit="g/L",
            loinc="14749-6",
            status="checked",
            ucum="mmol/L",
            molar_mass="Glucose",
            decimals="2",
        ),
        Row(local_code="GLU", unit="mmol/L", loinc="14749-6", status="checked"),
        Row(local_code="HB", loinc="718-7", status="checked", ucum="g/L"),
        Row(local_code="PROT", specimen="Urine", loinc="2888-6", status="checked"),
        Row(local_code="PROT", loinc="2885-2", status="checked"),
        Row(local_code="TSH", loinc="3016-3", status="checked", ucum="m[IU]/L"),
        Row(local_code="BAD", loinc="718-7", status="checked", ucum="mol/L"),
        Row(local_code="INDEX", status="without_loinc"),
        Row(local_code="K", loinc="2823-3", status="proposed"),
        Row(local_code="OLD", loinc="2823-3", status="checked", until="2025-12-31"),
        Row(local_code="NEW", loinc="2823-3", status="checked", since="2026-12-01"),
        Row(local_code="TWO", specimen="Urine", loinc="2888-6", status="checked"),
        Row(local_code="TWO", unit="g/L", loinc="2885-2", status="checked"),
    ]
)
HEAD = "MSH|^~\\&|SGL|LBM1|DPI|CH|20261125080000||ORU^R01^ORU_R01|1|P|2.5\rPID|1||1^^^CH^PI\rOBR|1||R1|PANEL^Bilan^L"


def context(table: Transcoding = TABLE, **laboratory: Any) -> Context:
    site: dict[str, Any] = {"site": "essai", "establishment": {"name": "CH", "finess": "990000001"}}
    if laboratory:
        site["laboratory"] = {"finess": "990000009", "name": "LBM", **laboratory}

    def tables(name: str) -> Tables:
        return table if name == TRANSCODING else SiteTables(None).table(name)

    return Context(Site.model_validate(site), "oru", datetime(2026, 11, 25, 8, tzinfo=UTC), tables)


def through(
    *segments: str, table: Transcoding = TABLE, head: str = HEAD, laboratory: Any = None, **options: Any
) -> list[str]:
    """The OBX that come out."""
    message = er7.message("\r".join([head, *segments]).encode())
    step = Transcode(TranscodeSettings(**options))
    out = step(message, context(table, **(laboratory or {})))
    assert step(out, context(table, **(laboratory or {}))).body == out.body, "twice is once"
    return [line for line in out.body.decode().split("\r") if line.startswith("OBX")]


def test_the_code_of_the_table_goes_after_the_local_one_and_the_rest_stays() -> None:
    (obx,) = through("OBX|1|NM|NA^Sodium^L||140|mmol/L|136-145|N|||F|||20261125")
    code = "NA^Sodium^L^2951-2^Sodium [Moles/volume] in Serum or Plasma^LN"
    assert obx == f"OBX|1|NM|{code}||140|mmol/L|136-145|N|||F|||20261125"


def test_the_code_goes_first_when_the_channel_says_so_and_no_other_code_is_lost() -> None:
    (obx,) = through("OBX|1|NM|NA^Sodium^L^0123^Na^99ABC||140|mmol/L", position="first")
    assert obx.split("|")[3] == "2951-2^Sodium [Moles/volume] in Serum or Plasma^LN^NA^Sodium^L^^^^0123^Na^99ABC"
    (obx,) = through("OBX|1|NM|NA^Sodium^L^0123^Na^99ABC||140|mmol/L")
    assert obx.split("|")[3] == "NA^Sodium^L^2951-2^Sodium [Moles/volume] in Serum or Plasma^LN^^^^0123^Na^99ABC"


def test_a_result_that_has_a_loinc_code_is_left_as_it_came() -> None:
    for code in ("NA^Sodium^L^2947-0^Sodium^LN", "2947-0^Sodium^LN"):
        assert through(f"OBX|1|NM|{code}||140|mmol/L") == [f"OBX|1|NM|{code}||140|mmol/L"]


@pytest.mark.parametrize(
    "given,expected",
    [
        ("OBX|1|NM|GLU^Glycémie^L||0.95|g/l|0,74-1.06", ["5.27", "mmol/L^^UCUM", "4.11-5.88"]),
        ("OBX|1|NM|GLU^Glycémie^L||5.27|mmol/L|4.1-5.9", ["5.27", "mmol/L", "4.1-5.9"]),
        ("OBX|1|NM|HB^Hémoglobine^L||13.50|g/dL|13,0 - 17,0", ["135.0", "g/L^^UCUM", "130-170"]),
        ("OBX|1|NM|HB^Hémoglobine^L||< 4|g/100 mL|>= 13", ["<40", "g/L^^UCUM", ">=130"]),
        ("OBX|1|SN|HB^Hémoglobine^L||>^20|g/dL|", [">^200", "g/L^^UCUM", ""]),
        ("OBX|1|SN|HB^Hémoglobine^L||^10^-^12|g/dL|", ["^100^-^120", "g/L^^UCUM", ""]),
        ("OBX|1|ST|HB^Hémoglobine^L||non fait|g/dL|", ["non fait", "g/dL", ""]),
        ("OBX|1|NM|HB^Hémoglobine^L||12~13|g/dL|", ["120~130", "g/L^^UCUM", ""]),
        ("OBX|1|NM|TSH^TSH^L||4.20|µUI/mL|0.4-4", ["4.20", "m[IU]/L^^UCUM", "0.4-4"]),
        ("OBX|1|NM|HB^Hémoglobine^L||135|g/L^^UCUM|130-170", ["135", "g/L^^UCUM", "130-170"]),
        ("OBX|1|NM|HB^Hémoglobine^L||||", ["", "", ""]),
    ],
)
def test_the_value_its_unit_and_its_range_are_converted_together(given: str, expected: list[str]) -> None:
    (obx,) = through(given, unknown="refuse")
    fields = [*obx.split("|"), "", "", ""]
    assert fields[5:8] == expected
    assert fields[3].endswith("^LN")


@pytest.mark.parametrize(
    "given,place",
    [
        ("OBX|1|NM|K^Potassium^L||4|mmol/L", "OBX[1]-3"),
        ("OBX|1|NM|ZZZ^Inconnu^L||4|mmol/L", "OBX[1]-3"),
        ("OBX|1|NM|OLD^Avant^L||4|mmol/L", "OBX[1]-3"),
        ("OBX|1|NM|NEW^Plus tard^L||4|mmol/L", "OBX[1]-3"),
        ("OBX|1|NM|HB^Hémoglobine^L||13|parasanges", "OBX[1]-6"),
        ("OBX|1|NM|HB^Hémoglobine^L||13|", "OBX[1]-6"),
        ("OBX|1|NM|BAD^x^L||13|g/dL", "OBX[1]-6"),
        ("OBX|1|NM|GLU^Glycémie^L||0.95|", "OBX[1]-3"),
        ("OBX|1|ST|HB^Hémoglobine^L||12,5 (contrôlé)|g/dL", "OBX[1]-5"),
        ("OBX|1|SN|HB^Hémoglobine^L||^1^:^320|g/dL", "OBX[1]-5"),
        ("OBX|1|NM|HB^Hémoglobine^L||13|g/dL|H : 13-17", "OBX[1]-7"),
    ],
)
def test_what_cannot_be_transcoded_wholly_stays_as_it_came_or_is_refused(given: str, place: str) -> None:
    assert through(given) == [given]
    with pytest.raises(MappingError) as caught:
        through(given, unknown="refuse")
    assert caught.value.place == place
    assert caught.value.condition == "103"
    assert "13" not in str(caught.value).replace("103", "")


def test_a_code_that_has_no_loinc_by_decision_is_never_a_fault() -> None:
    assert through("OBX|1|NM|INDEX^Indice^L||1", unknown="refuse") == ["OBX|1|NM|INDEX^Indice^L||1"]


def test_the_specimen_of_the_order_chooses_the_code() -> None:
    segments = [
        "OBX|1|NM|PROT^Protéines^L||70|g/L",
        "SPM|1|||U^Urine^L",
        "OBR|2||R2|B^B^L",
        "OBX|1|NM|PROT^Protéines^L||71|g/L",
    ]
    codes = [line.split("|")[3].split("^")[3] for line in through(*segments)]
    assert codes == ["2888-6", "2885-2"]
    head = HEAD + "|||20261125||||||||UR&URINE"
    assert through("OBX|1|NM|PROT^Protéines^L||70|g/L", head=head)[0].split("^")[3] == "2888-6"


def test_two_rows_that_disagree_are_no_answer() -> None:
    segments = ["OBX|1|NM|TWO^x^L||70|g/L", "SPM|1|||U^Urine^L"]
    assert through(*segments) == [segments[0]]
    with pytest.raises(MappingError, match="two checked rows"):
        through(*segments, unknown="refuse")


def test_files_and_directions_are_no_results() -> None:
    segments = ["OBX|1|ED|PDF^CR^L||^APPLICATION^PDF^Base64^QQ==", "OBX|2|CE|DESTDMP^x^MetaDMPMSS||Y"]
    assert through(*segments, unknown="refuse") == segments


def test_a_comma_that_may_separate_thousands_is_not_read_unless_the_site_says_so() -> None:
    given = "OBX|1|NM|HB^Hémoglobine^L||1,234|g/dL"
    assert through(given) == [given]
    assert through(given, laboratory={"decimal_comma": True})[0].split("|")[5] == "12.34"


def test_without_decimals_a_conversion_without_end_is_refused() -> None:
    table = Transcoding([Row(local_code="GLU", loinc="14749-6", status="checked", ucum="mmol/L", molar_mass="Glucose")])
    with pytest.raises(MappingError, match="no end of decimals"):
        through("OBX|1|NM|GLU^Glycémie^L||0.95|g/L", table=table, unknown="refuse")


def test_delimiters_of_the_message_are_kept() -> None:
    head = HEAD.replace("^", "*").replace("~", "!")
    message = er7.message(f"{head}\rOBX|1|NM|HB*Hb*L||12!13|g/dL".encode())
    out = Transcode(TranscodeSettings())(message, context())
    assert out.body.decode().endswith("OBX|1|NM|HB*Hb*L*718-7**LN||120!130|g/L**UCUM")


def test_a_name_that_the_character_set_of_the_message_lacks_is_left_out() -> None:
    table = Transcoding([Row(local_code="HB", loinc="718-7", loinc_name="Hémoglobine", status="checked")])
    for charset, name in (("ASCII", ""), ("8859/1", "Hémoglobine")):
        head = HEAD.replace("|P|2.5", f"|P|2.5||||||{charset}")
        message = er7.message(f"{head}\rOBX|1|NM|HB^Hb^L||13|g/dL".encode())
        out = Transcode(TranscodeSettings())(message, context(table))
        assert f"|HB^Hb^L^718-7^{name}^LN|" in out.body.decode(message.charset)


def test_a_table_of_another_kind_is_a_fault_of_the_site() -> None:
    message = er7.message(HEAD.encode())
    other = Context(context().site, "c", datetime(2026, 1, 1, tzinfo=UTC), lambda _: SiteTables(None).table("units"))
    with pytest.raises(UnknownNameError):
        Transcode(TranscodeSettings())(message, other)


def test_a_message_of_another_format_is_refused() -> None:
    with pytest.raises(Exception, match="another format"):
        Transcode(TranscodeSettings())(Message(b"<a/>", "xml"), context())
