"""Code tables."""

from pathlib import Path

import pytest

from channels.errors import UnknownNameError
from mappings import Tables


def _tables(folder: Path, **files: bytes) -> Tables:
    for name, content in files.items():
        (folder / f"{name}.csv").write_bytes(content)
    return Tables(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"source,target\n3120,NEPH\n3210,CARD\n",
        b"source;target;label\r\n3120;NEPH;N\xc3\xa9phrologie\r\n3210;CARD;\r\n",
        b"\xef\xbb\xbfsource;target\n3120;NEPH\n\n3210;CARD",
        b"label,Target , SOURCE\nx, NEPH ,3120\n,CARD,3210\n,,\n",
        b'source,target\n"3120","NEPH"\n3210,"CARD"\n',
    ],
)
def test_a_table_is_read_as_people_save_it(content: bytes, tmp_path: Path) -> None:
    tables = _tables(tmp_path, uf=content)
    assert tables.faults == []
    table = tables.table("uf")
    assert [table.translate(code) for code in ("3120", "3210", "9999", "")] == ["NEPH", "CARD", None, None]
    assert (table.name, len(table)) == ("uf", 2)


@pytest.mark.parametrize(
    "content,problem",
    [
        (b"source;target\n1;a\n2;b\n1;c\n", "mappings/uf.csv:4:1: this source is already on line 2"),
        (b"source;target\n1;a\n1;a\n", "mappings/uf.csv:3:1: this source is already on line 2"),
        (b'source;target;label\n1;a;"two\nlines"\n1;b;\n', "mappings/uf.csv:4:1: this source is already on line 2"),
        (b"source;target\n\n2;\n", "mappings/uf.csv:3:1: the target is empty"),
        (b"source;target\n2\n", "mappings/uf.csv:2:1: the target is empty"),
        (b"source;target\n;b\n", "mappings/uf.csv:2:1: the source is empty"),
        (b"code;label\n1;a\n", "mappings/uf.csv:1:1: the first line names no column source and no column target"),
        (b"source;label\n1;a\n", "mappings/uf.csv:1:1: the first line names no column target"),
        (b"", "mappings/uf.csv:1:1: the first line names no column source and no column target"),
        (b"source;target\n1;\xe9\n", "mappings/uf.csv:2:3: not written in UTF-8; save the table as `CSV UTF-8`"),
        (b'source;target\n1;"a"b\n', "mappings/uf.csv:2:1: not CSV: "),
    ],
)
def test_a_fault_of_a_table_is_shown_at_its_line(content: bytes, problem: str, tmp_path: Path) -> None:
    (fault,) = _tables(tmp_path, uf=content).faults
    assert str(fault).startswith(problem)


def test_a_table_of_the_site_hides_the_one_that_comes_with_the_product(tmp_path: Path) -> None:
    assert Tables().table("units").translate("G/L") == "10*9/L"
    assert _tables(tmp_path, units=b"source,target\nG/L,mine\n").table("units").translate("G/L") == "mine"


def test_a_table_that_does_not_exist_is_named_with_the_nearest(tmp_path: Path) -> None:
    tables = _tables(tmp_path, uf_gap_sgl=b"source,target\n1,2\n")
    assert {"uf_gap_sgl", "units"} <= set(tables.names())
    with pytest.raises(UnknownNameError, match="no table is called 'uf_gap_slg'; did you mean 'uf_gap_sgl'"):
        tables.table("uf_gap_slg")
