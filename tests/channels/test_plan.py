"""What a reload would change, in words."""

from pathlib import Path

import pytest

from channels.loader import LoadedSite
from channels.plan import changes, dump_channel, dump_site, restarts, restarts_between
from tests.channels.sites import CHANNEL, SITE, TABLE, change, connectors, loaded

pytestmark = pytest.mark.usefixtures("connectors")
__all__ = ["connectors"]
_TRANSFORM = "adt: destination sgl: transform [{{codes: {{field: PV1-3.1, table: {}}}}}]"
OTHER = CHANNEL.replace("channel: adt", "channel: oru").replace("2575", "2580")


def _two(
    tmp_path: Path, old: dict[str, str | bytes | None], new: dict[str, str | bytes | None], **env: str
) -> tuple[LoadedSite, LoadedSite]:
    both: dict[str, str | bytes | None] = {"channels/oru.yaml": OTHER, "mappings/ward.csv": TABLE}
    return loaded(tmp_path, both | old, **env), loaded(tmp_path, both | new, **env)


@pytest.mark.parametrize(
    "old,new,words",
    [
        (
            "sgl.example:2576",
            "sgl2.example:2576",
            "adt: destination sgl: mllp.connect sgl.example:2576 → sgl2.example:2576",
        ),
        ("timeout: 30s", "timeout: 1m", "adt: destination dpi: mllp.timeout 30s → 1m"),
        (", timeout: 30s", "", "adt: destination dpi: mllp.timeout: 30s removed"),
        ("127.0.0.1:2575", "127.0.0.1:2599", "adt: source.mllp.listen 127.0.0.1:2575 → 127.0.0.1:2599"),
        ("PV1-2: [I, E]", "PV1-2: I", "adt: destination sgl: filter.PV1-2 [I, E] → I"),
        ("channel: adt\n", "channel: adt\nenabled: false\n", "adt: enabled: false (new)"),
        ("name: sgl", "name: sgl2", "adt: destination sgl2: new"),
        (
            "table: uf}",
            "table: ward}",
            _TRANSFORM.format("uf") + " → " + _TRANSFORM.format("ward").partition("transform ")[2],
        ),
    ],
)
def test_a_change_of_a_channel_is_told_in_a_line(old: str, new: str, words: str, tmp_path: Path) -> None:
    before, after = _two(tmp_path, {}, {"channels/adt.yaml": change((old, new))})
    assert words in changes(before, after)
    assert changes(before.texts, after.texts) == [one for one in changes(before, after) if "uses has" not in one]
    assert restarts(before, after) == (["adt"], ["oru"])
    assert restarts_between(before.texts, after) == (["adt"], ["oru"])


def test_a_key_without_value_is_told_too(tmp_path: Path) -> None:
    before = loaded(tmp_path).texts
    after = before | {"channels/adt.yaml": change(("channel: adt\n", "channel: adt\nlane:\n"))}
    assert changes(before, after) == ["adt: lane: (nothing) (new)"]


def test_a_renamed_destination_is_one_that_goes_and_one_that_comes(tmp_path: Path) -> None:
    before, after = _two(tmp_path, {}, {"channels/adt.yaml": change(("name: sgl", "name: sgl2"))})
    assert changes(before, after) == [
        "adt: destination sgl: removed; what waits for it stays in the journal",
        "adt: destination sgl2: new",
    ]


def test_another_order_of_destinations_is_told(tmp_path: Path) -> None:
    head, dpi, sgl = (
        CHANNEL.partition("  - name: dpi")[0],
        *CHANNEL[CHANNEL.index("  - name: dpi") :].split("  - name: sgl"),
    )
    swapped = f"{head}  - name: sgl{sgl}{dpi}"
    before, after = _two(tmp_path, {}, {"channels/adt.yaml": swapped})
    assert changes(before, after) == ["adt: destinations in another order: sgl, dpi"]


def test_channels_that_come_and_go_are_told(tmp_path: Path) -> None:
    before, after = _two(tmp_path, {}, {"channels/oru.yaml": None})
    assert changes(before, after) == ["oru: channel removed; what waits in its queues stays in the journal"]
    assert changes(after, before) == ["oru: new channel"]
    assert restarts(before, after) == restarts(after, before) == (["oru"], ["adt"])
    assert restarts_between(after.texts, before) == (["oru"], ["adt"])


def test_everything_is_new_at_first(tmp_path: Path) -> None:
    site = loaded(tmp_path)
    assert changes({}, site) == ["site: new site", "adt: new channel", "mappings/uf.csv: new"]
    assert restarts_between({}, site) == (["adt"], [])


def test_comments_and_layout_change_nothing(tmp_path: Path) -> None:
    text = "# a comment\n" + change(("PV1-2: [I, E]", "PV1-2: [I,E]  "))
    before, after = _two(tmp_path, {}, {"channels/adt.yaml": text})
    assert changes(before, after) == []
    assert restarts(before, after) == ([], ["adt", "oru"])
    assert dump_site(before) != dump_site(after)


def test_what_channels_do_not_see_of_the_site_restarts_none(tmp_path: Path) -> None:
    more = SITE + "journal: {retention: 30d, segment_age: 1h}\nlog: console\n"
    before, after = _two(tmp_path, {"site.yaml": SITE + "journal: {retention: 90d}\n"}, {"site.yaml": more})
    assert changes(before, after) == [
        "site: journal.retention 90d → 30d",
        "site: journal.segment_age: 1h (new) (at the next start of the engine)",
        "site: log: console (new) (at the next start of the engine)",
    ]
    assert restarts(before, after) == ([], ["adt", "oru"])
    assert restarts_between(before.texts, after) == ([], ["adt", "oru"])


def test_what_channels_see_of_the_site_restarts_all(tmp_path: Path) -> None:
    before, after = _two(tmp_path, {}, {"site.yaml": SITE + "timezone: Indian/Reunion\n"})
    assert changes(before, after) == ["site: timezone: Indian/Reunion (new)"]
    assert restarts(before, after) == restarts_between(before.texts, after) == (["adt", "oru"], [])


def test_a_table_restarts_the_channels_that_use_it(tmp_path: Path) -> None:
    without = OTHER.replace("codes: {field: PV1-3.1, table: uf}", "delete: ZFP")
    files: dict[str, str | bytes | None] = {"channels/oru.yaml": without}
    before, after = _two(tmp_path, files, files | {"mappings/uf.csv": TABLE + "3210;CARD\n"})
    assert changes(before, after) == [
        "mappings/uf.csv: 1 lines added or changed, 0 removed or changed",
        "adt: a file, a table or a function that it uses has changed",
    ]
    assert restarts(before, after) == (["adt"], ["oru"])
    assert restarts_between(before.texts, after) == (["adt", "oru"], [])


def test_the_sites_code_restarts_the_channels_that_use_it(tmp_path: Path) -> None:
    code = "def clean(message, context):\n    return message\n"
    uses = change(("codes: {field: PV1-3.1, table: uf}", "local.clean"))
    files: dict[str, str | bytes | None] = {"channels/adt.yaml": uses, "transforms/local.py": code}
    before, after = _two(tmp_path, files, files | {"transforms/local.py": code + "# more\n"})
    assert restarts(before, after) == (["adt"], ["oru"])
    assert "adt: a file, a table or a function that it uses has changed" in changes(before, after)


def test_a_secret_is_shown_as_changed_and_never_as_it_is(tmp_path: Path) -> None:
    line = "      connect: sgl.example:2576\n"
    text = change((line, line + "      password: ${PW}\n"))
    before = loaded(tmp_path, {"channels/adt.yaml": text}, PW="one-secret")
    after = loaded(tmp_path, {"channels/adt.yaml": text}, PW="two-secret")
    assert changes(before, after) == ["adt: a secret or a file that it names has changed"]
    assert before.texts == after.texts
    assert before.same_as(before)
    assert not before.same_as(after)
    assert restarts(before, after) == (["adt"], [])
    assert "secret" not in str([dump_site(before), dump_channel(before, "adt")])
    assert dump_channel(before, "adt")["destinations"][1]["mllp"]["password"] == "${PW}"
    other = loaded(tmp_path, {"channels/adt.yaml": text.replace("${PW}", "${OTHER}")}, OTHER="one-secret")
    assert changes(before, other) == ["adt: destination sgl: mllp.password ${PW} → ${OTHER}"]


def test_a_reference_of_the_site_file_is_told_too(tmp_path: Path) -> None:
    text = SITE.replace("CH de Testville", "'${NAME}'")
    before, after = loaded(tmp_path, {"site.yaml": text}, NAME="A"), loaded(tmp_path, {"site.yaml": text}, NAME="B")
    assert changes(before, after) == ["site: what a reference of site.yaml stands for has changed"]


def test_an_old_configuration_that_cannot_be_read_any_more_is_no_obstacle(tmp_path: Path) -> None:
    site = loaded(tmp_path)
    assert changes({"site.yaml": "- x\n", "channels/adt.yaml": "- x\n"}, site) == [
        "site: removed",
        "mappings/uf.csv: new",
    ]
