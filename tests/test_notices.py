"""What is of others and is shipped has its notice: the file is named in it, and the notice in ``NOTICE``."""

import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "channels", "connectors", "loinc", "mappings", "transforms", "vaguemestre")
NOTICES = sorted(path for folder in FOLDERS for path in (REPOSITORY / folder).rglob("NOTICE.txt"))
DATA = sorted(
    path
    for folder in FOLDERS
    for path in (REPOSITORY / folder).rglob("*")
    if path.suffix in (".csv", ".xml") and not {"example", "example_pfi"} & set(path.parts)
)
OWN = {"bench/loinc_sets", "connectors/dmp", "connectors/insi", "vaguemestre/simulators"}
"""Folders of which every data file is our own work, unless a notice there says otherwise."""
LOINC = re.compile(r"(?:^|[,;\"])[0-9]{3,5}-[0-9](?=[,;\"\n])", re.MULTILINE)


def covering(path: Path) -> list[str]:
    """Notices that name a file: by its name in its own folder, by its path elsewhere."""
    inside = path.relative_to(REPOSITORY).as_posix()
    texts = [(one, one.read_text("utf-8")) for one in NOTICES]
    return [text for one, text in texts if (path.name if one.parent == path.parent else inside) in text]


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_a_data_file_is_named_in_a_notice(path: Path) -> None:
    inside = path.relative_to(REPOSITORY).as_posix()
    assert covering(path) or any(inside.startswith(f"{folder}/") for folder in OWN)


@pytest.mark.parametrize("path", DATA, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_codes_of_loinc_go_with_its_short_licence(path: Path) -> None:
    if LOINC.search(path.read_text("utf-8")):
        assert any("This material contains" in " ".join(text.split()) for text in covering(path))


def test_the_notice_of_the_product_names_the_others() -> None:
    text = (REPOSITORY / "NOTICE").read_text("utf-8")
    assert [one for one in NOTICES if one.parent.relative_to(REPOSITORY).as_posix() not in text] == []
    assert "This material contains content from LOINC" in " ".join(text.split())
