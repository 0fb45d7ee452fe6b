"""``vaguemestre loinc``: from the export of a laboratory system to a checked table, and back out."""

import asyncio
import csv
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from channels.journal import Journal, MasterKeys, Record
from channels.journal.search import Archive, Criteria
from loinc.catalogue import Catalogue
from loinc.history import read_history
from loinc.terms import check_digit
from loinc.transcoding import Transcoding
from transforms import er7
from vaguemestre.cli import app

SITE = "site: essai\nestablishment: {name: Labo & Co, finess: '990000001'}\njournal: {key_file: master.key}\n"
EXPORT = """Code examen;Libellé;Nature;Unités;Type résultat;Famille;Nb résultats
NA;Sodium;Sérum;mmol/L;N;Biochimie;9000
K;Potassium;Sérum;mmol/L;N;Biochimie;8000
HB;Hémoglobine;Sang total;g/dL;N;Hématologie;7000
PROT;Protéines;Sérum;g/L;N;Biochimie;500
PROT;Protéines urinaires;Urine;g/L;N;Biochimie;100
"""
ORU = (
    "MSH|^~\\&|SGL|LBM|DPI|CH|20261101||ORU^R01|{number}|P|2.5\rPID|1||7^^^CH^PI||DUPONT^Jeanne\r"
    "OBR|1||R{number}|P^Bilan^L||||||||||||||||||||CH\r"
    "OBX|1|NM|NA^Sodium^L||140|mmol/L|136-145|N|||F\rOBX|2|NM|NEW^Nouveau^L^2345-7^Glucose^LN||5.4|g/l|||||F\r"
    "OBX|3|NM|2951-2^Sodium^LN||140|mmol/L\rOBX|4|ED|PDF^CR^L||^application^pdf^Base64^QQ==\rSPM|1|||S^Sérum^L\r"
)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    folder = tmp_path / "site"
    (folder / "channels").mkdir(parents=True)
    (folder / "site.yaml").write_text(SITE)
    (folder / "master.key").write_text(MasterKeys.new_line("k1"))
    (folder / "master.key").chmod(0o600)
    return folder


@pytest.fixture
def imported(site: Path, tmp_path: Path) -> Path:
    (tmp_path / "sgl.csv").write_bytes(EXPORT.encode("cp1252"))
    assert run("import", site, tmp_path / "sgl.csv").exit_code == 0
    return site


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["loinc", *map(str, words)])


def catalogue(site: Path) -> Catalogue:
    return Catalogue.read((site / "loinc/catalogue.csv").read_text("utf-8"))


def table(site: Path) -> Transcoding:
    return Transcoding.read((site / "loinc/transcoding.csv").read_text("utf-8"))


def decisions(site: Path) -> list[tuple[str, str, str]]:
    return [(row.local_code, row.loinc, row.status) for row in table(site)]


def test_a_catalogue_is_imported_and_a_dry_run_changes_nothing(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "sgl.csv"
    file.write_bytes(EXPORT.encode("cp1252"))
    result = run("import", site, file, "--dry-run")
    assert "5 ajoutées" in result.output
    assert not (site / "loinc").exists()
    assert run("import", site, file).exit_code == 0
    assert [entry.local_code for entry in catalogue(site)] == ["HB", "K", "NA", "PROT", "PROT"]
    assert "0 ajoutées, 0 modifiées, 0 retirées (analyses" in run("import", site, file).output


def test_analyses_that_a_whole_export_lacks_go_only_when_asked(imported: Path, tmp_path: Path) -> None:
    file = tmp_path / "part.csv"
    file.write_text("Code;Libellé;Milieu;Unité\nNA;Natrémie;Sérum;mmol/L\n", "utf-8")
    assert run("import", imported, file).exit_code == 0
    assert len(catalogue(imported)) == 5
    (sodium,) = catalogue(imported).of("NA")
    assert (sodium.label, sodium.frequency) == ("Natrémie", 9000), "a column that the file lacks keeps what it had"
    assert run("import", imported, file, "--replace").exit_code == 0
    assert len(catalogue(imported)) == 1


def test_the_names_of_columns_are_kept_for_the_next_time(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "odd.csv"
    file.write_text("Zorglub;Truc\nNA;Sodium\n", "utf-8")
    assert run("import", site, file).exit_code == 1
    assert run("import", site, file, "--column", "local_code=Zorglub", "--column", "label=Truc").exit_code == 0
    assert run("import", site, file).exit_code == 0
    assert run("import", site, file, "--column", "zut=Truc").exit_code == 2
    assert [(entry.local_code, entry.label) for entry in catalogue(site)] == [("NA", "Sodium")]


def test_a_fault_of_the_file_is_told_at_its_line_and_nothing_is_written(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text("Code;LOINC;Statut\nNA;2951-3;vérifié\n", "utf-8")
    result = run("import", site, file)
    assert result.exit_code == 1
    assert "bad.csv:2:1: the check digit of the LOINC code is wrong" in result.output
    assert not (site / "loinc").exists()


def test_proposals_wait_until_somebody_decides_and_the_history_says_who(imported: Path) -> None:
    assert run("worklist", imported, "--propose").exit_code == 0
    proposed = decisions(imported)
    assert ("NA", "2951-2", "proposed") in proposed
    assert all(status == "proposed" for *_, status in proposed)
    keys = {row.key for row in table(imported) if row.local_code == "PROT"}
    assert {key.specimen for key in keys} == {"Sérum", "Urine"}, "one code, two specimens: each proposal says which"
    result = run("accept", imported, "NA", "K", "--by", "Anne Durand", "--why", "relecture")
    assert result.exit_code == 0, result.output
    assert ("NA", "2951-2", "checked") in decisions(imported)
    last = read_history((imported / "loinc/history.csv").read_text("utf-8"))[-1]
    assert (last.author, last.before, last.after, last.evidence) == (
        "Anne Durand",
        "2951-2 proposed",
        "2951-2 checked",
        "relecture",
    )
    waiting = json.loads(run("worklist", imported, "--json").output)
    assert [item["local_code"] for item in waiting] == ["HB", "PROT", "PROT"]


def test_a_code_that_was_turned_down_is_not_proposed_again(imported: Path) -> None:
    assert run("accept", imported, "NA", "--loinc", "2951-2", "--refuse", "--why", "non").exit_code == 0
    assert run("worklist", imported, "--propose").exit_code == 0
    codes = [row.loinc for row in table(imported) if row.local_code == "NA" and row.status == "proposed"]
    assert codes
    assert "2951-2" not in codes
    assert ("NA", "2951-2", "refused") in decisions(imported)


def test_an_analysis_may_have_no_loinc_by_decision(imported: Path) -> None:
    assert run("accept", imported, "NA", "--without-loinc").exit_code == 0
    assert decisions(imported) == [("NA", "", "without_loinc")]
    assert run("accept", imported, "NA", "--without-loinc", "--refuse").exit_code == 2


def test_a_decision_that_a_check_refuses_is_not_written_unless_forced(imported: Path) -> None:
    result = run("accept", imported, "NA", "--loinc", "2955-3")
    assert result.exit_code == 2
    assert "system: " in result.output
    assert not (imported / "loinc/transcoding.csv").exists()
    assert run("accept", imported, "NA", "--loinc", "2955-3", "--force").exit_code == 0
    result = run("check", imported)
    assert result.exit_code == 1
    assert "site/loinc/transcoding.csv:2: system: " in result.output


@pytest.mark.parametrize(
    "words",
    [
        ["ZZZ"],
        ["NA"],
        ["NA", "--loinc", "2951-3"],
        ["NA", "K", "--loinc", "2951-2"],
        ["NA", "--loinc", "2951-2", "--since", "hier"],
    ],
)
def test_a_decision_that_cannot_be_is_refused(imported: Path, words: list[str]) -> None:
    assert run("accept", imported, *words).exit_code in (1, 2)
    assert not (imported / "loinc/transcoding.csv").exists()


def test_a_unit_to_send_is_part_of_the_decision(imported: Path) -> None:
    result = run("accept", imported, "HB", "--loinc", "718-7", "--ucum", "g/L")
    assert result.exit_code == 0, result.output
    assert table(imported).of(catalogue(imported).of("HB")[0].key)[0].ucum == "g/L"
    assert run("accept", imported, "HB", "--loinc", "718-7", "--ucum", "mmol/L").exit_code == 2


def test_check_shows_what_is_right_too(imported: Path) -> None:
    assert run("accept", imported, "NA", "--loinc", "2951-2").exit_code == 0
    result = run("check", imported)
    assert result.exit_code == 0
    assert "0 fautes (faults)" in result.output
    assert json.loads(run("check", imported, "--json").output) == []


@pytest.mark.parametrize("target", ["out.xlsx", "out.json"])
def test_what_is_exported_comes_back_as_it_was(imported: Path, tmp_path: Path, target: str) -> None:
    if target.endswith("xlsx"):
        pytest.importorskip("openpyxl", reason="needs openpyxl (pip install 'vaguemestre[loinc]')")
    assert run("worklist", imported, "--propose").exit_code == 0
    assert run("accept", imported, "NA", "K", "--why", "relecture").exit_code == 0
    assert run("export", imported, tmp_path / target).exit_code == 0
    other = tmp_path / "other"
    other.mkdir()
    (other / "site.yaml").write_text(SITE)
    result = run("import", other, tmp_path / target)
    assert result.exit_code == 0, result.output
    assert catalogue(other) == catalogue(imported)
    assert table(other) == table(imported)


def test_a_folder_gets_csv_and_fhir(imported: Path, tmp_path: Path) -> None:
    assert run("export", imported, tmp_path / "out").exit_code == 0
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["CodeSystem.json", "ConceptMap.json", "catalogue.csv", "transcodage.csv"]
    assert run("import", imported, tmp_path / "out/catalogue.csv").exit_code == 0
    assert run("export", imported, tmp_path / "out.docx").exit_code == 2


def test_what_a_transcoder_sends_back_is_taken_and_never_changes_a_checked_row_unseen(
    imported: Path, tmp_path: Path
) -> None:
    assert run("accept", imported, "NA", "--loinc", "2951-2").exit_code == 0
    file = tmp_path / "retour.csv"
    file.write_text(
        "Code;Libellé;Milieu;Code LOINC;Statut\nNA;Sodium;Sérum;2947-0;vérifié\nPROT;x;Urine;2888-6;vérifié\n", "utf-8"
    )
    result = run("import", imported, file)
    assert result.exit_code == 2
    assert "conflit (conflict) 'NA': 2951-2 checked -> 2947-0 checked" in result.output
    assert decisions(imported) == [("NA", "2951-2", "checked")]
    assert run("import", imported, file, "--force", "--by", "Transcodeur").exit_code == 0
    assert decisions(imported) == [("NA", "2947-0", "checked"), ("PROT", "2888-6", "checked")]
    row = next(row for row in table(imported) if row.local_code == "PROT")
    assert (row.specimen, row.author, row.evidence) == ("Urine", "Transcodeur", "import retour.csv")
    assert len(catalogue(imported)) == 5, "the catalogue is not what the transcoder sends back"


def test_the_report_is_figures_or_a_page(imported: Path, tmp_path: Path) -> None:
    assert run("accept", imported, "NA", "--loinc", "2951-2").exit_code == 0
    whole, *_ = json.loads(run("report", imported, "--json").output)
    assert whole["checked"] == pytest.approx(9000 / 24600)
    assert "Biochimie" in run("report", imported).output
    assert run("report", imported, tmp_path / "page.html").exit_code == 0
    text = (tmp_path / "page.html").read_text("utf-8")
    assert "Labo &amp; Co" in text
    assert "36,6 %" in text


def test_a_file_that_somebody_changed_meanwhile_is_not_overwritten(imported: Path) -> None:
    from vaguemestre.commands.loinc_folder import Folder

    folder = Folder(imported)
    mine = folder.catalogue
    (imported / "loinc/catalogue.csv").write_text("local_code\nZ\n", "utf-8")
    with pytest.raises(Exception, match="was changed meanwhile"):
        folder.save_catalogue(mine)
    assert sorted(file.name for file in (imported / "loinc").iterdir()) == ["catalogue.csv"]


def test_a_site_with_faults_elsewhere_still_has_its_catalogue(imported: Path) -> None:
    (imported / "channels" / "broken.yaml").write_text("channel: zut\n")
    assert run("worklist", imported).exit_code == 0
    assert run("check", imported.parent).exit_code == 2


# the journal


def _journal(site: Path, bodies: list[bytes]) -> None:
    async def write() -> None:
        journal = Journal(site / "var/journal", MasterKeys.read((site / "master.key").read_text()), segment_size=20_000)
        journal.open()
        for body in bodies:
            message = er7.message(body, time.time())
            journal.append(Record(message, "oru", (), (), [], lambda *_: None))
            await journal.flushed()
        await journal.close()

    asyncio.run(write())


def test_the_codes_of_the_journal_are_learned_and_no_result_is_kept(site: Path) -> None:
    bodies = [ORU.format(number=number).encode() for number in range(30)]
    _journal(site, [*bodies, b"MSH|^~\\&|SGL|LBM|DPI|CH|20261101||ORU^R01|9|P|2.5\rPID|1"])
    result = json.loads(run("learn", site, "--json").output)
    assert result == {
        "messages": 31,
        "unreadable": 0,
        "codes": 2,
        "combinations": 2,
        "results": 60,
        "left_out": 0,
        "learned": 2,
    }
    rows = list(csv.DictReader(io.StringIO((site / "loinc/traffic.csv").read_text("utf-8")), delimiter=";"))
    assert [
        (row["local_code"], row["unit"], row["specimen"], row["ranges"], row["count"], row["loinc"]) for row in rows
    ] == [
        ("NA", "mmol/L", "Sérum", "136-145", "30", ""),
        ("NEW", "g/l", "Sérum", "", "30", "2345-7"),
    ]
    everything = "".join(file.read_text("utf-8") for file in (site / "loinc").iterdir())
    assert "140" not in everything
    assert "5.4" not in everything
    assert "DUPONT" not in everything
    assert [entry.local_code for entry in catalogue(site)] == ["NA", "NEW"]
    assert json.loads(run("learn", site, "--json").output)["learned"] == 0


def test_an_export_of_the_laboratory_takes_the_place_of_what_was_learned(site: Path, tmp_path: Path) -> None:
    _journal(site, [ORU.format(number=1).encode()])
    assert run("learn", site).exit_code == 0
    (tmp_path / "sgl.csv").write_text("Code;Libellé;Milieu;Unité\nNA;Natrémie;Plasma;mmol/L\n", "utf-8")
    assert run("import", site, tmp_path / "sgl.csv").exit_code == 0
    assert [(entry.local_code, entry.label) for entry in catalogue(site)] == [("NA", "Natrémie"), ("NEW", "Nouveau")]


def test_numbers_of_the_journal_come_in_pages_newest_first(site: Path) -> None:
    _journal(site, [ORU.format(number=number).encode() for number in range(25)])
    archive = Archive(site / "var/journal", MasterKeys.read((site / "master.key").read_text()))
    try:
        found = list(archive.numbers(Criteria(limit=1000), page=4))
        assert found == sorted(found, reverse=True)
        assert len(found) == 25
        assert list(archive.numbers(Criteria(limit=7), page=4)) == found[:7]
        assert list(archive.numbers(Criteria(kind="ADT"))) == []
    finally:
        archive.close()


def test_without_a_journal_there_is_nothing_to_learn(site: Path) -> None:
    assert run("learn", site).exit_code == 2


# LOINC's own tables


def _release(count: int) -> Iterator[dict[str, Any]]:
    for number in range(1, count + 1):
        stem = str(number)
        yield {
            "LOINC_NUM": f"{stem}-{check_digit(stem)}", "COMPONENT": f"Substance {number}", "PROPERTY": "MCnc",
            "TIME_ASPCT": "Pt", "SYSTEM": "Ser/Plas", "SCALE_TYP": "Qn", "METHOD_TYP": "", "CLASS": "CHEM",
            "CLASSTYPE": "1",
            "LONG_COMMON_NAME": f"Substance {number} [Mass/volume] in Serum or Plasma", "STATUS": "ACTIVE",
            "ORDER_OBS": "Both", "EXAMPLE_UCUM_UNITS": "g/L", "COMMON_TEST_RANK": "0",
        }  # fmt: skip


def test_a_loinc_release_of_a_site_takes_the_place_of_the_subset(imported: Path, tmp_path: Path) -> None:
    rows = list(_release(3000))
    rows[2950]["STATUS"] = "DEPRECATED"
    with (tmp_path / "Loinc.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (tmp_path / "MapTo.csv").write_text("LOINC,MAP_TO,COMMENT\n2951-2,2947-0,\n", "utf-8")
    assert run("import", imported, tmp_path / "Loinc.csv").output.startswith("loinc : 3000")
    assert run("import", imported, tmp_path / "MapTo.csv").exit_code == 0
    result = run("accept", imported, "NA", "--loinc", "2951-2")
    assert result.exit_code == 2
    assert "2951-2 is deprecated; LOINC gives 2947-0 in its place" in result.output
    stem = "99999"
    result = run("accept", imported, "NA", "--loinc", f"{stem}-{check_digit(stem)}")
    assert "is not in the LOINC table of the site" in result.output
    (tmp_path / "jeu.csv").write_text("Code LOINC;Libellé français de référence\n1-8;Substance un\n", "utf-8")
    assert run("import", imported, tmp_path / "jeu.csv", "--as", "french").exit_code == 0
    assert run("accept", imported, "NA", "--loinc", "1-8", "--force").exit_code == 0
    (row,) = table(imported)
    assert row.loinc_name == "Substance un"
    assert run("import", imported, tmp_path / "Loinc.csv", "--as", "zut").exit_code == 2
