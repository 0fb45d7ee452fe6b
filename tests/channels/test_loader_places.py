"""YAML read with its places."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from channels.yaml_places import Place, read
from tests.channels.sites import marked


def _problems(text: str) -> list[str]:
    return [str(fault).removeprefix("f.yaml:") for fault in read("f.yaml", text.encode()).faults]


def test_the_place_of_each_key_and_value_is_known() -> None:
    text, places = marked("§a: §1\n§list:\n  - §x\n  - {§b: §[§é, §z]}\n")
    document = read("f.yaml", text.encode())
    assert document.data == {"a": 1, "list": ["x", {"b": ["é", "z"]}]}
    marks = [document.key(("a",)), document.value(("a",)), document.key(("list",)), document.value(("list", 0))]
    inner: Place = ("list", 1, "b")
    marks += [document.key(inner), document.value(inner), document.value((*inner, 0)), document.value((*inner, 1))]
    assert [f"{line}:{column}" for line, column in marks] == places


def test_a_place_that_is_not_there_is_shown_at_the_nearest_one_above() -> None:
    document = read("f.yaml", b"a:\n  b: 1\n")
    assert document.value(("a", "b", "c", 3)) == document.value(("a", "b")) == (2, 6)
    assert document.key(("a", "missing")) == (2, 3)
    assert document.value(("nothing",)) == (1, 1)


def test_a_value_that_is_not_written_has_the_place_of_its_key() -> None:
    document = read("f.yaml", b"a: 1\nfilter:\nb: 2\n")
    assert document.data == {"a": 1, "filter": None, "b": 2}
    assert document.value(("filter",)) == (2, 1)


def test_text_stays_as_it_is_written_unless_it_is_plainly_a_number() -> None:
    text = "[007, 1.50, yes, 0x1F, 1_000, 2026-01-01, 12:30, True, 1e3, ~, true, -4, 2.5, '5', .inf, 0o17]"
    expected = ["007", "1.50", "yes", "0x1F", "1_000", "2026-01-01", "12:30", "True", "1e3", None, True, -4, 2.5, "5"]
    assert read("f.yaml", text.encode()).data == [*expected, ".inf", "0o17"]


@pytest.mark.parametrize(
    "text,problem",
    [
        ("a: 1\nb: 2\n§a: 3\n", "'a' is already written on line 1"),
        ("a: §[1\n", "not YAML: while parsing a flow sequence expected ',' or ']', but got '<stream end>'"),
        ("a: b§: c\n", "not YAML: mapping values are not allowed here"),
        ("a: §*b\n", "not YAML: found undefined alias 'b'"),
        ("a: 1\nb: '§\x07'\n", "a control character is not allowed in YAML"),
        ("a: §!secret x\n", "tags (`!…`) mean nothing here"),
        ("a: §&x [§*x]\n", "an anchor contains itself"),
        ("? §[a]\n: 1\n", "a key is a word, not a list or a mapping"),
        ("a: 1\n§---\nb: 2\n", "not YAML: expected a single document in the stream but found another document"),
    ],
)
def test_what_is_not_yaml_is_shown_at_its_place(text: str, problem: str) -> None:
    text, places = marked(text)
    (shown,) = _problems(text)
    place, _, words = shown.partition(": ")
    assert words.startswith(problem)
    if "stream end" not in problem and "itself" not in problem:
        assert place == places[0]


def test_bytes_that_are_not_utf8_are_shown_at_their_place() -> None:
    document = read("f.yaml", b"a: 1\nb: caf\xe9\n")
    assert [str(one) for one in document.faults] == ["f.yaml:2:7: the file is not written in UTF-8"]


def test_an_alias_is_the_value_of_its_anchor() -> None:
    assert read("f.yaml", b"a: &x {first: 1s}\nb: *x\n").data == {"a": {"first": "1s"}, "b": {"first": "1s"}}


def test_an_empty_file_is_no_data_and_no_fault() -> None:
    document = read("f.yaml", b"# nothing\n")
    assert (document.data, document.faults) == (None, [])


_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="\ufeff"), max_size=8
)
_DATA = st.recursive(
    _TEXT | st.integers() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4),
    max_leaves=12,
)


def _emit(value: Any, place: Place, lines: list[str], indent: str, found: dict[Place, tuple[int, int]]) -> str:
    """The value as YAML in block style, with the place of each value in it; containers begin on a line of their own."""
    if isinstance(value, dict | list) and value:
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in pairs:
            head = f"{indent}{_quoted(key)}: " if isinstance(value, dict) else f"{indent}- "
            lines.append(head)
            line = len(lines)
            here = (*place, key)
            tail = _emit(one, here, lines, indent + "  ", found)
            if tail:
                found[here] = (line, len(head) + 1)
                lines[line - 1] = head + tail
        return ""
    if isinstance(value, str):
        return _quoted(value)
    return (
        {None: "null", True: "true", False: "false"}.get(value, str(value))
        if not isinstance(value, dict | list)
        else ("{}" if isinstance(value, dict) else "[]")
    )


def _quoted(text: Any) -> str:
    return "'" + str(text).replace("'", "''") + "'"


@given(st.dictionaries(_TEXT, _DATA, min_size=1, max_size=4))
def test_any_data_is_read_back_with_the_place_of_every_value(data: dict[str, Any]) -> None:
    lines: list[str] = []
    found: dict[Place, tuple[int, int]] = {}
    _emit(data, (), lines, "", found)
    document = read("f.yaml", ("\n".join(lines) + "\n").encode())
    assert document.faults == []
    assert document.data == data
    assert {place: document.value(place) for place in found} == found


@given(st.text(st.sampled_from("ab:-[]{}&*!'\" \n#|>?%@,0"), max_size=40))
def test_any_text_is_read_or_has_a_fault_and_agrees_with_ruamel(text: str) -> None:
    document = read("f.yaml", text.encode())
    assert all(fault.line >= 1 and fault.column >= 1 for fault in document.faults)
    if document.faults or document.data is None:
        return
    assert YAML(typ="safe", pure=True).compose(text) is not None
