"""A site is loaded as a whole; every fault is shown where it is."""

import json
from pathlib import Path

import pytest

from channels.errors import ConfigErrors
from channels.fields import ExistingFile, HostPort, SiteFile
from channels.loader import load_site, no_site, prepare
from channels.testing import FakeDestination, FakeDestinationSettings
from tests.channels.sites import ADT, CHANNEL, SITE, change, connectors, faults, loaded, marked, write

pytestmark = pytest.mark.usefixtures("connectors")
__all__ = ["connectors"]


def test_a_site_without_fault_is_loaded_with_its_connectors_settings(tmp_path: Path) -> None:
    site = loaded(tmp_path)
    channel = site.channels["adt"]
    assert (site.site.site, channel.source.connector) == ("essai", "mllp")
    assert channel.source.settings.listen == HostPort("127.0.0.1", 2575)
    dpi, sgl = channel.destinations
    assert isinstance(dpi.settings, FakeDestinationSettings)
    assert (dpi.name, dpi.connector, dpi.settings.timeout, dpi.order) == ("dpi", "mllp", 30.0, "lanes")
    assert sgl.filter == ({"message": ("ADT^A01",), "PV1-2": ("I", "E")},)
    assert [step.name for step in sgl.transform] == ["codes"]
    assert site.table("uf").translate("3120") == "NEPH"
    assert sorted(site.texts) == ["channels/adt.yaml", "mappings/uf.csv", "site.yaml"]
    assert site.directory == tmp_path


CODE = "- codes: {field: PV1-3.1, table: uf}"
CHANNEL_FAULTS = {
    "a duration without a unit": (("timeout: 30s", "timeout: §30"), "a duration needs a unit; did you mean '30s'?"),
    "a connector that does not exist": (
        ('mllp: {connect: "dpi', '§mlpp: {connect: "dpi'),
        "no destination is called 'mlpp'; did you mean 'mllp'?",
    ),
    "a source that does not exist": (
        ('mllp: {listen: "127.0.0.1:2575"}', '§telnet: {listen: "127.0.0.1:2575"}'),
        "no source is called 'telnet'",
    ),
    "no connector": (
        ('mllp: {listen: "127.0.0.1:2575"}', "{}"),
        "the connector of this source is missing: one of mllp",
    ),
    "two connectors": (
        ("      connect: sgl.example:2576\n", "      connect: sgl.example:2576\n    §file: {}\n"),
        "a destination has one connector; this one has 'mllp' already",
    ),
    "an unknown key of a destination": (
        ("    filter: {message", "    §fliter: {message"),
        "unknown key 'fliter'; did you mean 'filter'?",
    ),
    "an unknown key of a channel": (
        ("channel: adt\n", "channel: adt\n§lanes: [channel]\n"),
        "unknown key 'lanes'; did you mean 'lane'?",
    ),
    "an unknown key of a connector": (
        ("timeout: 30s", "§time_out: 30s"),
        "unknown key 'time_out'; did you mean 'timeout'?",
    ),
    "a key that looks like nothing": (("timeout: 30s", "§zzz: 30s"), "unknown key 'zzz'"),
    "a missing key": (("channel: adt\n", "description: x\n"), "'channel' is missing"),
    "an address without a port": (
        ('listen: "127.0.0.1:2575"', "listen: §localhost"),
        "an address is written host:port, with a port up to 65535",
    ),
    "a choice": (
        ("  - name: sgl\n", "  - name: sgl\n    order: §strct\n"),
        "'lanes' or 'strict' is expected; did you mean 'strict'?",
    ),
    "a name": (("name: dpi", "name: §Le DPI"), "the text does not have the form ^[a-z0-9][a-z0-9_-]*$"),
    "a number that is too small": (("  - name: sgl\n", "  - name: sgl\n    parallel: §0\n"), "at least 1"),
    "a number that is too great": (("  - name: sgl\n", "  - name: sgl\n    parallel: §999\n"), "at most 256"),
    "not a number": (("  - name: sgl\n", "  - name: sgl\n    parallel: §many\n"), "a whole number is expected"),
    "a nested key": (
        ("  - name: sgl\n", "  - name: sgl\n    retry: {§frist: 1s}\n"),
        "unknown key 'frist'; did you mean 'first'?",
    ),
    "a nested size": (
        ("  - name: sgl\n", "  - name: sgl\n    queue: {memory: §32}\n"),
        "a size needs a unit; did you mean '32MB'?",
    ),
    "true or false": (("channel: adt\n", "channel: adt\nenabled: §perhaps\n"), "true or false is expected"),
    "text that is a number": (
        ("channel: adt\n", "channel: adt\ndescription: §12\n"),
        "text is expected; a number that is text goes between quotes",
    ),
    "no mapping where one is expected": (
        ("  - name: sgl\n", "  - name: sgl\n    retry: §soon\n"),
        "a mapping `key: value` is expected",
    ),
    "another name than the file's": (
        ("channel: adt\n", "channel: §adt-fanout\n"),
        "the file is called adt.yaml: the channel's name must be the same",
    ),
    "two destinations of one name": (
        ("name: sgl", "name: §dpi"),
        "another destination of this channel is called 'dpi'",
    ),
    "an acknowledgement that waits for nobody": (
        ("channel: adt\n", "channel: adt\nack: §delivered\n"),
        "`delivered` names the destination whose answer is the answer: {delivered: NAME}",
    ),
    "an acknowledgement that waits for an unknown destination": (
        ("channel: adt\n", "channel: adt\nack: {delivered: §dpy}\n"),
        "no destination is called 'dpy'; did you mean 'dpi'?",
    ),
    "an acknowledgement of one destination without waiting": (
        ("channel: adt\n", "channel: adt\nack: {after: received, destination: §dpi}\n"),
        "a destination is named with `delivered` only",
    ),
    "an acknowledgement at another moment": (
        ("channel: adt\n", "channel: adt\nack: §recieved\n"),
        "'received', 'transformed' or 'delivered' is expected; did you mean 'received'?",
    ),
    "a lane that is no place": (
        ("channel: adt\n", "channel: adt\nlane: [patient, §PID18]\n"),
        "'PID18' is not a place such as PID-3[2].4.2, OBX[3]-5 or OBX[CODE]-5.1",
    ),
    "a filter that is no place": (
        ("PV1-2: [I, E]", "§PV1.2: [I, E]"),
        "'PV1.2' is not a place such as PID-3[2].4.2, OBX[3]-5 or OBX[CODE]-5.1",
    ),
    "a message that does not exist": (
        ("message: ADT^A01", "§message: ADT_A01"),
        "'ADT_A01' is not a message such as ADT^A01 or ADT; did you mean 'ADT^A01'?",
    ),
    "a filter that is a word": (
        ("filter: {message: ADT^A01, PV1-2: [I, E]}", "filter: §ADT^A01"),
        "a filter is a row `PLACE: value`, or a list of such rows",
    ),
    "a filter without rows": (
        ("filter: {message: ADT^A01, PV1-2: [I, E]}", "filter: §[]"),
        "no row: nothing would pass",
    ),
    "a filter with an empty value": (
        ("PV1-2: [I, E]", "PV1-2: "),
        'a value is missing; absent is written ""',
    ),
    "a row in a list of rows": (
        ("filter: {message: ADT^A01, PV1-2: [I, E]}", "filter:\n      - {message: ADT}\n      - {§PVI-0: x}"),
        "'PVI-0': places are counted from 1",
    ),
    "a step that does not exist": (
        ("- codes: {field", "- §code: {field"),
        "no transform is called 'code'; did you mean 'codes'?",
    ),
    "a step named alone that does not exist": (
        ("- codes: {field: PV1-3.1, table: uf}", "- §ins.withhold"),
        "no transform is called 'ins.withhold'; did you mean 'ins.withhold_unverified'?",
    ),
    "a step without its options": (
        ("- codes: {field: PV1-3.1, table: uf}", "- set: §PV1"),
        "a mapping `key: value` is expected",
    ),
    "a step with options that it does not have": (
        ("- codes: {field: PV1-3.1, table: uf}", "- ins.withhold_unverified: §{all: true}"),
        "ins.withhold_unverified takes no options",
    ),
    "a table that does not exist": (
        ("- codes: {field: PV1-3.1, table: uf}", "- §codes: {field: PV1-3.1, table: ufo}"),
        "no table is called 'ufo'; did you mean 'uf'?",
    ),
    "a place of a step": (
        ("field: PV1-3.1", "field: §PV1"),
        "'PV1' names a segment; a field is expected, such as PV1-3",
    ),
    "a place that is a key of a step": (
        ("- codes: {field: PV1-3.1, table: uf}", "- set: {§MSH-2: x}"),
        "the delimiters of a message cannot be changed",
    ),
    "steps inside when": (
        ("- codes: {field: PV1-3.1, table: uf}", "- when: {PV1-2: I}\n        then: [{§stt: {PV1-2: E}}]"),
        "no transform is called 'stt'; did you mean 'set'?",
    ),
    "a table inside when": (
        (CODE, "- when: {PV1-2: I}\n        then: [§codes: {field: PV1-3, table: no}]"),
        "no table is called 'no'",
    ),
    "the filter of when": (
        ("- codes: {field: PV1-3.1, table: uf}", "- §when: {PV1: I, PV-2: I}\n        then: [{set: {PV1-2: E}}]"),
        "'PV-2' is not a place such as PID-3[2].4.2, OBX[3]-5 or OBX[CODE]-5.1",
    ),
    "a step with two names": (
        ("- codes: {field: PV1-3.1, table: uf}", "- §{set: {PV1-2: E}, delete: ZFP}"),
        "a step is a name, or one `name: {options}`",
    ),
    "steps that are no list": (
        ("transform:\n      - codes: {field: PV1-3.1, table: uf}", "transform: §codes"),
        "a transform is a list of steps: `- name` or `- name: {options}`",
    ),
    "a test without its file": (
        ("channel: adt\n", "channel: adt\ntests: [{name: t, input: §cases/no.hl7, expect: {dpi: null}}]\n"),
        "there is no such file in the site",
    ),
    "a test with a file outside": (
        ("channel: adt\n", "channel: adt\ntests: [{name: t, input: cases/a01.hl7, expect: {dpi: §../x.hl7}}]\n"),
        "the file is outside the site",
    ),
    "a test of an unknown destination": (
        ("channel: adt\n", "channel: adt\ntests: [{name: t, input: cases/a01.hl7, expect: {§dpy: null}}]\n"),
        "no destination is called 'dpy'; did you mean 'dpi'?",
    ),
    "a test that expects nothing": (
        ("channel: adt\n", "channel: adt\ntests:\n  - §{name: t, input: cases/a01.hl7}\n"),
        "a test says what is expected: `expect:` or `error:`",
    ),
    "a test whose places are none": (
        ("channel: adt\n", "channel: adt\ntests: [{name: t, input: cases/a01.hl7, error: PV1-3, ignore: [§MSH7]}]\n"),
        "'MSH7' is not a place such as PID-3[2].4.2, OBX[3]-5 or OBX[CODE]-5.1",
    ),
    "a reference to nothing": (
        ("connect: sgl.example:2576", "connect: §${SGL}"),
        "the environment has no variable SGL",
    ),
    "a secret written in the file": (
        ("      connect: sgl.example:2576\n", "      connect: sgl.example:2576\n      password: §hunter2\n"),
        "a secret is a reference such as ${NAME}, never written in the file",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANNEL_FAULTS)
def test_a_fault_of_a_channel_is_shown_where_it_is(name: str, tmp_path: Path) -> None:
    pair, problem = CHANNEL_FAULTS[name]
    text, places = marked(change(pair))
    (shown,) = faults(tmp_path, {"channels/adt.yaml": text})
    file, line, column, words = shown.split(":", 3)
    assert (file, words) == ("channels/adt.yaml", f" {problem}")
    assert [f"{line}:{column}"] == places or not places


def test_a_missing_key_is_shown_at_the_key_of_its_mapping(tmp_path: Path) -> None:
    text, places = marked(
        change(("channel: adt\n", "channel: adt\ntests:\n  - §{input: cases/a01.hl7, expect: {dpi: null}}\n"))
    )
    assert faults(tmp_path, {"channels/adt.yaml": text}) == [f"channels/adt.yaml:{places[0]}: 'name' is missing"]
    text, places = marked(change(("table: uf", "unknown: keep"), ("- codes", "- §codes")))
    assert faults(tmp_path, {"channels/adt.yaml": text}) == [f"channels/adt.yaml:{places[0]}: 'table' is missing"]


def test_all_faults_of_all_files_are_shown_at_once_in_order(tmp_path: Path) -> None:
    text, places = marked(change(("timeout: 30s", "timeout: §30"), ("mllp:\n      connect", "§mlpp:\n      connect")))
    shown = faults(
        tmp_path,
        {
            "site.yaml": change(("site: essai", "site: Essai"), base=SITE) + "journl: {}\n",
            "channels/adt.yaml": text,
            "channels/old.yml": "channel: old\n",
            "mappings/uf.csv": "source;target\n1;a\n1;b\n2;\n",
            "transforms/local.py": "def broken(:\n",
        },
    )
    assert shown == [
        f"channels/adt.yaml:{places[0]}: a duration needs a unit; did you mean '30s'?",
        f"channels/adt.yaml:{places[1]}: no destination is called 'mlpp'; did you mean 'mllp'?",
        "channels/old.yml: the name of a channel file ends in .yaml",
        "mappings/uf.csv:3:1: this source is already on line 2",
        "mappings/uf.csv:4:1: the target is empty",
        "site.yaml:1:7: the text does not have the form ^[a-z0-9][a-z0-9-]*$",
        "site.yaml:3:1: unknown key 'journl'; did you mean 'journal'?",
        "transforms/local.py:1:12: not Python: invalid syntax",
    ]


@pytest.mark.parametrize(
    "content,problem",
    [
        ("", "channels/adt.yaml:1:1: a channel file is a mapping with `channel:`, `source:` and `destinations:`"),
        ("- a\n", "channels/adt.yaml:1:1: a channel file is a mapping with `channel:`, `source:` and `destinations:`"),
        (
            "channel: [\n",
            "channels/adt.yaml:2:1: not YAML: while parsing a flow node expected the node content, but found",
        ),
    ],
)
def test_a_file_that_is_no_channel_is_one_fault(content: str, problem: str, tmp_path: Path) -> None:
    (shown,) = faults(tmp_path, {"channels/adt.yaml": content})
    assert shown.startswith(problem)


def test_pieces_of_another_shape_are_faults_of_their_place(tmp_path: Path) -> None:
    text = "channel: adt\nsource: mllp\ndestinations:\n  - dpi\n"
    assert faults(tmp_path, {"channels/adt.yaml": text}) == [
        "channels/adt.yaml:2:9: a mapping `key: value` is expected",
        "channels/adt.yaml:4:5: a mapping `key: value` is expected",
    ]
    text = "channel: adt\nsource:\n  mllp: {}\ndestinations: {dpi: {}}\n"
    (shown,) = faults(tmp_path, {"channels/adt.yaml": text})
    assert shown == "channels/adt.yaml:4:15: a list is expected"


@pytest.mark.parametrize("content", ["", "- a\n"])
def test_a_site_file_that_is_no_mapping_is_one_fault(content: str, tmp_path: Path) -> None:
    problem = "site.yaml:1:1: site.yaml is a mapping with `site:` and `establishment:`"
    assert faults(tmp_path, {"site.yaml": content}) == [problem]


def test_a_site_file_that_is_not_yaml_is_one_fault(tmp_path: Path) -> None:
    (shown,) = faults(tmp_path, {"site.yaml": "site: [\n"})
    assert shown.startswith("site.yaml:2:1: not YAML")


def test_a_folder_without_site_file_is_not_a_site(tmp_path: Path) -> None:
    assert faults(tmp_path, {"site.yaml": None}) == ["site.yaml: there is no such file: this folder is not a site"]


def test_the_tables_of_the_laboratory_must_exist(tmp_path: Path) -> None:
    text, places = marked(SITE + 'laboratory: {finess: "990000009", name: LBM, units: §unitz, chapters: §nothing}\n')
    assert faults(tmp_path, {"site.yaml": text}) == [
        f"site.yaml:{places[0]}: no table is called 'unitz'; did you mean 'units'?",
        f"site.yaml:{places[1]}: no table is called 'nothing'",
    ]


# references


def test_references_are_replaced_in_values_after_parsing(tmp_path: Path) -> None:
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials" / "sgl").write_text("from systemd\n")
    text = change(
        ("dpi.example:2575", "${HOST}.example:2575"),
        ("      connect: sgl.example:2576\n", "      connect: ${file:sgl.txt}\n      password: ${credential:sgl}\n"),
        ("channel: adt\n", 'channel: adt\ndescription: "$${HOST} costs $5"\n'),
    )
    site = loaded(
        tmp_path,
        {"channels/adt.yaml": text, "sgl.txt": "sgl.example:2576\n"},
        HOST="dpi: {a: b}, ",
        CREDENTIALS_DIRECTORY=str(tmp_path / "credentials"),
    )
    channel = site.channels["adt"]
    assert channel.destinations[0].settings.connect.host == "dpi: {a: b}, .example"
    assert str(channel.destinations[1].settings.connect) == "sgl.example:2576"
    assert channel.destinations[1].settings.password.get_secret_value() == "from systemd"
    assert channel.description == "${HOST} costs $5"


@pytest.mark.parametrize(
    "reference,problem",
    [
        ("${file:no.txt}", "the file of ${file:no.txt} cannot be read"),
        ("${credential:sgl}", "no credential sgl: systemd gave none to this process (LoadCredential=)"),
        ("${a b}", "a reference is ${NAME}, ${file:PATH} or ${credential:NAME}"),
        ("${}", "a reference is ${NAME}, ${file:PATH} or ${credential:NAME}"),
        ("${vault:x}", "a reference is ${NAME}, ${file:PATH} or ${credential:NAME}"),
    ],
)
def test_a_reference_without_value_is_a_fault_at_its_place(reference: str, problem: str, tmp_path: Path) -> None:
    text, places = marked(change(("connect: sgl.example:2576", f'connect: §"{reference}"')))
    assert faults(tmp_path, {"channels/adt.yaml": text}) == [f"channels/adt.yaml:{places[0]}: {problem}"]


def test_a_credential_is_a_name_in_its_folder(tmp_path: Path) -> None:
    text = change(("connect: sgl.example:2576", 'connect: "${credential:../secret}"'))
    (shown,) = faults(tmp_path, {"channels/adt.yaml": text}, CREDENTIALS_DIRECTORY=str(tmp_path))
    assert shown.endswith("a credential is named without a path")


def test_the_value_of_a_reference_is_never_shown(tmp_path: Path) -> None:
    text, places = marked(change(("timeout: 30s", "timeout: §'${WAIT}'")))
    (shown,) = faults(tmp_path, {"channels/adt.yaml": text}, WAIT="sesame")
    assert (
        shown == f"channels/adt.yaml:{places[0]}: a duration is a number with a unit among ms, s, m, h, d, such as 30s"
    )
    text, places = marked(
        change(("- codes: {field: PV1-3.1, table: uf}", "- §codes: {field: PV1-3.1, table: '${TABLE}'}"))
    )
    (shown,) = faults(tmp_path, {"channels/adt.yaml": text}, TABLE="sesame")
    assert shown == f"channels/adt.yaml:{places[0]}: no table is called '${{TABLE}}'"
    text, places = marked(change(("order: strict", "order: §'${ORDER}'"), base=CHANNEL + "    order: strict\n"))
    (shown,) = faults(tmp_path, {"channels/adt.yaml": text}, ORDER="sesame")
    assert shown == f"channels/adt.yaml:{places[0]}: 'lanes' or 'strict' is expected"


def test_a_secret_is_not_in_the_text_of_a_loaded_site(tmp_path: Path) -> None:
    text = change(("      connect: sgl.example:2576\n", "      connect: sgl.example:2576\n      password: ${PW}\n"))
    site = loaded(tmp_path, {"channels/adt.yaml": text}, PW="sesame")
    assert "sesame" not in repr(site)
    assert "${PW}" in site.texts["channels/adt.yaml"]


# between channels


def _other(name: str, listen: str, connect: str = "x.example:1") -> str:
    source = f'source:\n  mllp: {{listen: "{listen}"}}\n'
    return f'channel: {name}\n{source}destinations:\n  - name: x\n    mllp: {{connect: "{connect}"}}\n'


@pytest.mark.parametrize("address", ["127.0.0.1:2575", ":2575", "0.0.0.0:2575", "[::]:2575"])
def test_two_channels_that_listen_on_the_same_address_are_a_fault(address: str, tmp_path: Path) -> None:
    (shown,) = faults(tmp_path, {"channels/oru.yaml": _other("oru", address)})
    assert shown == "channels/oru.yaml:3:18: the channel adt listens on the same address"


@pytest.mark.parametrize("address", ["127.0.0.2:2575", "127.0.0.1:2576"])
def test_other_addresses_are_none(address: str, tmp_path: Path) -> None:
    assert list(loaded(tmp_path, {"channels/oru.yaml": _other("oru", address)}).channels) == ["adt", "oru"]


def test_a_free_port_chosen_at_the_start_is_never_taken_twice(tmp_path: Path) -> None:
    files = {"channels/a.yaml": _other("a", "127.0.0.1:0"), "channels/b.yaml": _other("b", "127.0.0.1:0")}
    assert list(loaded(tmp_path, dict(files)).channels) == ["a", "adt", "b"]


def test_a_disabled_channel_takes_no_address(tmp_path: Path) -> None:
    other = _other("oru", "127.0.0.1:2575").replace("source:", "enabled: false\nsource:")
    assert not loaded(tmp_path, {"channels/oru.yaml": other}).channels["oru"].enabled


def test_the_web_listener_takes_its_address_too(tmp_path: Path) -> None:
    (shown,) = faults(tmp_path, {"site.yaml": SITE + 'web: {listen: "127.0.0.1:2575"}\n'})
    assert shown == "channels/adt.yaml:3:18: `web` of site.yaml listens on the same address"


def test_channels_that_send_to_one_another_in_a_circle_are_a_fault(tmp_path: Path) -> None:
    shown = faults(
        tmp_path,
        {
            "channels/one.yaml": _other("one", "0.0.0.0:7001", "localhost:7002"),
            "channels/two.yaml": _other("two", "127.0.0.1:7002", "127.0.0.1:7003"),
            "channels/three.yaml": _other("three", "127.0.0.1:7003", "127.0.0.1:7001"),
        },
    )
    assert shown == [
        "channels/one.yaml:6:21: messages would turn for ever: one → two → three → one",
        "channels/three.yaml:6:21: messages would turn for ever: three → one → two → three",
        "channels/two.yaml:6:21: messages would turn for ever: two → three → one → two",
    ]


def test_a_chain_of_channels_is_no_circle(tmp_path: Path) -> None:
    files = {
        "channels/one.yaml": _other("one", "127.0.0.1:7001", "127.0.0.1:7002"),
        "channels/two.yaml": _other("two", "127.0.0.1:7002", "elsewhere.example:7001"),
    }
    assert len(loaded(tmp_path, dict(files)).channels) == 3


# warnings, the site's code, files


def test_parallel_with_strict_order_is_a_warning(tmp_path: Path) -> None:
    text, places = marked(change(("  - name: sgl\n", "  - name: sgl\n    order: strict\n    parallel: §4\n")))
    (warning,) = loaded(tmp_path, {"channels/adt.yaml": text}).warnings
    assert str(warning).startswith(f"channels/adt.yaml:{places[0]}: with `order: strict`")
    text = change(("  - name: sgl\n", "  - name: sgl\n    order: strict\n"))
    assert loaded(tmp_path, {"channels/adt.yaml": text}).warnings == ()


def test_a_function_of_the_site_is_a_step_with_options_if_it_wants(tmp_path: Path) -> None:
    code = "from .helpers import same\n\ndef clean(message, context):\n    return same(message)\n"
    helpers = "def same(message):\n    return message\n"
    text = change((CODE, "- local.clean\n      - local.clean: {keep: [a]}"))
    files = {"channels/adt.yaml": text, "transforms/local.py": code, "transforms/helpers.py": helpers}
    steps = loaded(tmp_path, dict(files)).channels["adt"].destinations[1].transform
    assert [(step.name, step.options) for step in steps] == [("local.clean", None), ("local.clean", {"keep": ["a"]})]
    assert [step.place for step in steps] == [(10, 9), (11, 9)]


@pytest.mark.parametrize(
    "code,step,expected",
    [
        (
            "def clean(m, c): ...\n",
            "§local.cleen",
            "{channel}: no transform is called 'local.cleen'; did you mean 'local.clean'?",
        ),
        ("def clean(m, c): ...\n", "local.clean: §[a]", "{channel}: options are a mapping `key: value`"),
        (
            "import os\nx = 1 / 0\n",
            "delete: ZFP",
            "transforms/local.py:2:1: the file cannot be loaded: ZeroDivisionError",
        ),
        (
            "from .nowhere import x\n",
            "delete: ZFP",
            "transforms/local.py:1:1: the file cannot be loaded: ModuleNotFoundError (No module named ",
        ),
        (
            "class E(Exception): ...\ndef f():\n    raise E\nf()\n",
            "delete: ZFP",
            "transforms/local.py:3:1: the file cannot be loaded: E",
        ),
    ],
)
def test_a_fault_of_the_sites_code_is_shown_at_its_line(code: str, step: str, expected: str, tmp_path: Path) -> None:
    text, places = marked(change((CODE, f"- {step}")))
    shown = faults(tmp_path, {"channels/adt.yaml": text, "transforms/local.py": code})
    assert len(shown) == 1
    assert shown[0].startswith(expected.format(channel=f"channels/adt.yaml:{places[0]}" if places else ""))


_COMPILED = """\
from channels.errors import ConfigError
from channels.fields import Settings

class Options(Settings):
    say: str = ""

class Compiled:
    settings = Options

    def __init__(self, settings):
        self.said = settings.say

    def prepare(self):
        if self.said:
            raise ConfigError(self.said)

    def __call__(self, message, context):
        return message
"""


@pytest.mark.parametrize(
    "said,shown",
    [
        ("", []),
        ("one\ntwo", ["channels/adt.yaml:11:16: one", "channels/adt.yaml:11:16: two"]),
        ("local.py:3:4: wrong", ["transforms/local.py:3:4: wrong"]),
        ("site:/transforms/local.py:3:4: wrong", ["transforms/local.py:3:4: wrong"]),
        ("elsewhere.py:3:4: wrong", ["channels/adt.yaml:11:16: elsewhere.py:3:4: wrong"]),
    ],
)
def test_steps_that_compile_something_are_prepared_on_demand(said: str, shown: list[str], tmp_path: Path) -> None:
    step = f"- when: {{PV1-2: I}}\n        then: [local.Compiled: {{say: {json.dumps(said)}}}]"
    site = loaded(tmp_path, {"channels/adt.yaml": change((CODE, step)), "transforms/local.py": _COMPILED})
    assert [str(fault) for fault in prepare(site)] == shown


def test_loading_the_sites_code_leaves_nothing_in_its_folder(tmp_path: Path) -> None:
    loaded(tmp_path, {"transforms/local.py": "from .more import x\n", "transforms/more.py": "x = 1\n"})
    assert sorted(one.name for one in (tmp_path / "transforms").iterdir()) == ["local.py", "more.py"]


def test_the_name_of_a_file_of_code_is_a_python_name(tmp_path: Path) -> None:
    (shown,) = faults(tmp_path, {"transforms/my-code.py": "x = 1\n"})
    assert shown == "transforms/my-code.py:1:1: the name of the file is not a Python name"


def test_the_sites_code_hides_no_module_and_is_loaded_anew_when_it_changes(tmp_path: Path) -> None:
    text = change((CODE, "- json.clean"))
    for number in (1, 2):
        code = f"def clean(message, context):\n    return {number}\n"
        site = loaded(tmp_path, {"channels/adt.yaml": text, "transforms/json.py": code})
        assert site.code.find("json.clean")(None, None) == number
    assert json.loads("1") == 1


class FileSettings(FakeDestinationSettings):
    inside: SiteFile | None = None
    anywhere: ExistingFile | None = None


def test_a_settings_file_must_exist_and_stay_where_its_type_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeDestination, "settings", FileSettings)
    text, places = marked(change(("timeout: 30s", "inside: §../x, anywhere: §no.pem")))
    assert faults(tmp_path, {"channels/adt.yaml": text}) == [
        f"channels/adt.yaml:{places[0]}: the file is outside the site",
        f"channels/adt.yaml:{places[1]}: there is no such file",
    ]
    text = change(("timeout: 30s", "inside: a.xsl, anywhere: a.xsl"))
    site = loaded(tmp_path, {"channels/adt.yaml": text, "a.xsl": "1"})
    settings = site.channels["adt"].destinations[0].settings
    assert settings.inside == settings.anywhere == tmp_path / "a.xsl"
    again = loaded(tmp_path, {"channels/adt.yaml": text, "a.xsl": "2"})
    assert again.fingerprints != site.fingerprints
    assert FileSettings(inside=Path("a.xsl")).inside == Path("a.xsl")


def test_a_transform_can_be_tried_without_a_site() -> None:
    site = no_site()
    assert site.channels == {}
    assert site.table("units").translate("G/L") == "10*9/L"


def test_every_fault_is_a_configuration_error_whose_text_has_them_all(tmp_path: Path) -> None:
    write(tmp_path, {"channels/adt.yaml": "a: 1\na: 2\n"})
    with pytest.raises(ConfigErrors) as raised:
        load_site(str(tmp_path), {})
    assert str(raised.value).splitlines() == [str(one) for one in raised.value.faults]
    assert len(raised.value.faults) > 1


def test_the_message_of_the_tests_is_read(tmp_path: Path) -> None:
    text = CHANNEL + "tests:\n  - {name: t, input: cases/a01.hl7, expect: {dpi: cases/a01.hl7}}\n"
    assert loaded(tmp_path, {"channels/adt.yaml": text}).channels["adt"].tests[0].expect == {"dpi": "cases/a01.hl7"}
    assert (tmp_path / "cases/a01.hl7").read_bytes() == ADT
