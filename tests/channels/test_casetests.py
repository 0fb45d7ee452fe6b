"""The tests that a channel carries."""

from pathlib import Path

import pytest

from channels.casetests import accept_outputs, read_case, run_cases
from tests.channels.sites import ADT, CHANNEL, change, connectors, loaded

pytestmark = pytest.mark.usefixtures("connectors")
__all__ = ["connectors"]
NEPH = ADT.replace(b"|3120^", b"|NEPH^")
FILES: dict[str, bytes] = {
    "cases/sgl.hl7": NEPH,
    "cases/later.hl7": NEPH.replace(b"20260310083015", b"20260310083016"),
    "cases/unknown.hl7": ADT.replace(b"3120", b"9999"),
    "cases/out.hl7": ADT.replace(b"PV1|1|I", b"PV1|1|O"),
    "cases/raw.txt": b"not a message\n",
}


def _problems(tmp_path: Path, case: str, *pairs: tuple[str, str], **code: str) -> list[str]:
    text = change(*pairs) + "tests:\n  - {name: a case, " + case + "}\n"
    files = {f"transforms/{name}.py": content for name, content in code.items()}
    site = loaded(tmp_path, {"channels/adt.yaml": text, **FILES, **files})
    (result,) = run_cases(site, site.channels["adt"])
    assert (result.channel, result.case, result.passed) == ("adt", "a case", not result.problems)
    return list(result.problems)


@pytest.mark.parametrize(
    "case,problems",
    [
        ("input: cases/a01.hl7, expect: {dpi: cases/a01.hl7, sgl: cases/sgl.hl7}", []),
        ("input: cases/a01.hl7, expect: {sgl: [cases/sgl.hl7]}", []),
        ("input: cases/out.hl7, expect: {dpi: cases/out.hl7, sgl: null}", []),
        ("input: cases/a01.hl7, expect: {sgl: cases/a01.hl7}", ["sgl: PV1-3.1: expected '3120' got 'NEPH'"]),
        (
            "input: cases/a01.hl7, expect: {sgl: cases/later.hl7}",
            [
                "sgl: MSH-7: expected '20260310083016' got '20260310083015'",
                "sgl: EVN-2: expected '20260310083016' got '20260310083015'",
            ],
        ),
        ("input: cases/a01.hl7, expect: {sgl: cases/later.hl7}, ignore: [MSH-7, EVN-2]", []),
        ("input: cases/out.hl7, expect: {sgl: cases/out.hl7}", ["sgl: one message expected, nothing made"]),
        ("input: cases/a01.hl7, expect: {dpi: null}", ["dpi: nothing expected, one message made"]),
        (
            "input: cases/a01.hl7, expect: {dpi: [cases/a01.hl7, cases/a01.hl7]}",
            ["dpi: 2 messages expected, one message made"],
        ),
        ("input: cases/unknown.hl7, expect: {dpi: cases/unknown.hl7}, error: PV1-3.1", []),
        ("input: cases/unknown.hl7, error: PV1-3", ["refusal expected at PV1-3: it was at PV1-3.1"]),
        ("input: cases/a01.hl7, error: PV1-3.1", ["refusal expected at PV1-3.1: the message passed"]),
        (
            "input: cases/unknown.hl7, expect: {sgl: null}",
            ["sgl: refused at PV1-3.1: the code has no translation in the table uf"],
        ),
        ("input: cases/unknown.hl7, expect: {sgl: null}, error: PV1-3.1", []),
    ],
)  # fmt: skip
def test_a_case_passes_or_tells_where_it_differs(case: str, problems: list[str], tmp_path: Path) -> None:
    assert _problems(tmp_path, case) == problems


def test_a_refusal_by_the_channel_itself_is_told(tmp_path: Path) -> None:
    own = ("channel: adt\n", "channel: adt\ntransform: [set: {PV2-1: x}]\n")
    case = "input: cases/a01.hl7, expect: {dpi: cases/a01.hl7}"
    assert _problems(tmp_path, case, own) == ["channel: refused at PV2-1: the message has no such segment"]
    assert _problems(tmp_path, "input: cases/a01.hl7, error: PV2-1", own) == []


def test_several_messages_are_compared_in_order(tmp_path: Path) -> None:
    code = "def twice(message, context):\n    return [message, message]\n"
    step = ("- codes: {field: PV1-3.1, table: uf}", "- local.twice")
    case = "input: cases/a01.hl7, expect: {sgl: [cases/a01.hl7, cases/sgl.hl7]}"
    assert _problems(tmp_path, case, step, local=code) == ["sgl (message 2): PV1-3.1: expected 'NEPH' got '3120'"]


def test_a_file_that_is_not_hl7v2_is_a_raw_message(tmp_path: Path) -> None:
    one = read_case(b"not a message\n")
    assert (one.format, one.kind, one.body) == ("raw", "", b"not a message\n")
    case = "input: cases/raw.txt, expect: {dpi: cases/a01.hl7}"
    (problem,) = [one for one in _problems(tmp_path, case) if one.startswith("dpi")]
    assert problem.startswith("dpi: line 1: expected 'MSH|")


def test_a_channel_without_tests_has_no_results(tmp_path: Path) -> None:
    site = loaded(tmp_path, {"channels/adt.yaml": CHANNEL})
    assert run_cases(site, site.channels["adt"]) == []


def test_what_comes_out_may_be_accepted_as_what_is_expected(tmp_path: Path) -> None:
    cases = """\
tests:
  - {name: wrong, input: cases/a01.hl7, expect: {dpi: cases/a01.hl7, sgl: cases/wanted.hl7}}
  - {name: as expected but for the time, input: cases/a01.hl7, expect: {sgl: cases/later.hl7}, ignore: [MSH-7, EVN-2]}
  - {name: nothing expected, input: cases/a01.hl7, expect: {sgl: null}}
  - {name: refused, input: cases/unknown.hl7, expect: {sgl: cases/unknown.hl7}, error: PV1-3.1}
"""
    site = loaded(tmp_path, {"channels/adt.yaml": CHANNEL + cases, **FILES, "cases/wanted.hl7": ADT})
    assert accept_outputs(site, site.channels["adt"]) == ["cases/wanted.hl7"]
    assert (tmp_path / "cases/wanted.hl7").read_bytes() == NEPH
    assert (tmp_path / "cases/later.hl7").read_bytes() == FILES["cases/later.hl7"]
    assert accept_outputs(site, site.channels["adt"]) == []
    assert [one.passed for one in run_cases(site, site.channels["adt"])] == [True, True, False, False]
