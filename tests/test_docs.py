"""The documentation says what the code does: keys, commands, metrics, names, links and examples."""

import json
import re
import shutil
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel

from channels import registry
from channels.casetests import read_case
from channels.errors import ConfigErrors
from channels.loader import load_site
from channels.message import Message
from channels.model import Channel, DestinationModel
from channels.pipeline import Pipeline
from channels.registry import DESTINATIONS, SOURCES, TRANSFORMS
from channels.site import Site
from channels.supervisor import Supervisor
from channels.yaml_places import read
from tests.doc_tables import REPOSITORY, all_models, blocks, documents, filled, functions, keys, load_model, options
from transforms import er7
from vaguemestre.cli import COMMANDS
from vaguemestre.metrics import Metrics

EXAMPLE = REPOSITORY / "vaguemestre" / "example"
GUIDE = "docs/guide-exploitation.md"
DOCUMENTS = [str(file.relative_to(REPOSITORY)) for file in documents()]
_FENCE = re.compile(r"^```([^\n`]*)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def text_of(document: str) -> str:
    return (REPOSITORY / document).read_text("utf-8")


class Fence(NamedTuple):
    """A fenced block. words: what follows the backticks, ``yaml fragment``."""

    document: str
    line: int
    words: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def fences(document: str) -> list[Fence]:
    text = text_of(document)
    return [
        Fence(document, text.count("\n", 0, match.start()) + 1, tuple(match[1].split()), match[2])
        for match in _FENCE.finditer(text)
    ]


# tables made from the code


@pytest.mark.parametrize("document", DOCUMENTS)
def test_its_tables_are_those_of_the_code(document: str) -> None:
    text = text_of(document)
    assert text == filled(text), "run: python -m tests.doc_tables"


def _documented_models(document: str) -> set[type[BaseModel]]:
    return {load_model(name) for kind, name in blocks(text_of(document)) if kind == "keys"}


def test_every_key_of_a_channel_file_and_of_site_yaml_is_in_the_readme_of_channels() -> None:
    models = set(all_models(Channel, Site))
    assert {model.__name__ for model in models - _documented_models("channels/README.md")} == set()


def _step_settings() -> list[type[BaseModel]]:
    found = [getattr(registry.find("transform", name), "settings", None) for name in TRANSFORMS]
    return [model for model in found if model is not None and "root" not in model.model_fields]


def test_every_option_of_a_step_is_in_the_readme_of_transforms() -> None:
    models = set(all_models(*_step_settings()))
    assert {model.__name__ for model in models - _documented_models("transforms/README.md")} == set()


def _code(text: str) -> str:
    """The parts of a document that are written as code."""
    inline = re.findall(r"`([^`\n]+)`", _FENCE.sub("", text))
    return "\n".join([*inline, *(match[2] for match in _FENCE.finditer(text))])


@pytest.mark.parametrize(
    "kind,name", [*(("source", one) for one in SOURCES), *(("destination", one) for one in DESTINATIONS)]
)
def test_every_setting_of_a_connector_is_in_the_readme_of_connectors(kind: str, name: str) -> None:
    text = text_of("connectors/README.md")
    documented = {load_model(one) for what, one in blocks(text) if what == "keys"}
    words = set(re.findall(r"[a-z_]+", _code(text)))
    missing = [
        f"{model.__name__}.{key}"
        for model in all_models(registry.find(kind, name).settings)
        if model not in documented | _documented_models("channels/README.md")
        for key in keys(model)
        if key not in words
    ]
    assert missing == []


# names


def _headings(document: str) -> list[str]:
    return re.findall(r"^#+ (.+?)\s*$", _FENCE.sub("", text_of(document)), re.MULTILINE)


@pytest.mark.parametrize("name", sorted({*SOURCES, *DESTINATIONS}))
def test_every_connector_has_its_section(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", heading, re.IGNORECASE) for heading in _headings("connectors/README.md"))


@pytest.mark.parametrize("name", sorted(TRANSFORMS))
def test_every_step_has_its_section(name: str) -> None:
    assert name in _headings("transforms/README.md")


def _metrics(tmp_path: Path) -> set[str]:
    """The names that a scrape has, ``_total`` of counters included."""
    shutil.copytree(EXAMPLE, tmp_path / "site")
    _make_key(tmp_path / "site")
    exposed = Metrics(Supervisor(load_site(tmp_path / "site"))).text().decode()
    return set(re.findall(r"^# TYPE (\w+) ", exposed, re.MULTILINE))


def test_every_metric_is_in_the_operating_guide_and_every_metric_there_exists(tmp_path: Path) -> None:
    metrics = _metrics(tmp_path)
    text = text_of(GUIDE)
    assert {name for name in metrics if not re.search(rf"\b{name}\b", text)} == set()
    named = {one for document in DOCUMENTS for one in re.findall(r"\bvaguemestre_[a-z_]+\b", text_of(document))}
    assert named <= metrics


# commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_section_with_its_options(name: str) -> None:
    sections, tables = _headings("docs/commands.md"), blocks(text_of("docs/commands.md"))
    for path in functions(name):
        assert f"vaguemestre {path}" in sections
        assert ("options", path) in tables


_CALL = re.compile(r"(?<![\w/.-])(?<!-u )(?:\.venv/bin/)?vaguemestre (?!vaguemestre\b)([a-z]+)([^\n`]*)")


def _calls(document: str) -> Iterator[tuple[str, str]]:
    """What is typed of our command in a document: (name, the rest of the line)."""
    for line in _code(text_of(document)).splitlines():
        for match in _CALL.finditer(line):
            yield match[1], re.split(r"&&|[|#;]", match[2])[0]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_commands_that_it_names_exist(document: str) -> None:
    wrong = []
    for name, rest in _calls(document):
        typed = " ".join([name, *re.findall(r"^ ([a-z]+)", rest)])
        known = functions(name) if name in COMMANDS else {}
        path = next((one for one in (typed, name) if one in known), "")
        if not path:
            if name not in COMMANDS or typed != name:
                wrong.append(f"{name}{rest}")
            continue
        written = {"--help", *(one for one, *_ in options(path))}
        wrong += [f"{path} {one}" for one in re.findall(r"(?<=\s)--[a-z-]+", rest) if one not in written]
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_the_make_targets_that_it_names_exist(document: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|&& |[$#] )make ([a-z]+)", _code(text_of(document)), re.MULTILINE))
    assert named <= targets


# links


def _anchors(document: Path) -> set[str]:
    """The fragments of a document's headings, as GitHub makes them."""
    text = _FENCE.sub("", document.read_text("utf-8"))
    slugs: set[str] = set()
    for heading in re.findall(r"^#+ (.+?)\s*$", text, re.MULTILINE):
        kept = [one for one in heading.lower() if one in " -_" or unicodedata.category(one)[0] in "LN"]
        slugs.add("".join(kept).replace(" ", "-"))
    return slugs


@pytest.mark.parametrize("document", DOCUMENTS)
def test_its_links_lead_somewhere(document: str) -> None:
    here = REPOSITORY / document
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _FENCE.sub("", here.read_text("utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (here.parent / path).resolve() if path else here
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in _anchors(file)):
            broken.append(target)
    assert broken == []


# examples

_SITE_KEYS, _CHANNEL_KEYS = set(keys(Site)), set(keys(Channel))
_DESTINATION_KEYS = set(keys(DestinationModel)) - {"filter", "transform"}
_FILES = re.compile(r"\.(pem|key|crt|p12|hl7|xml|pub)$")


def _make_key(site: Path) -> None:
    key = site / "var" / "keys" / "master.key"
    key.parent.mkdir(parents=True, exist_ok=True)
    key.touch(mode=0o600)
    key.write_text("k1:" + "A" * 43 + "=\n")


def _examples() -> list[Fence]:
    return [fence for document in DOCUMENTS for fence in fences(document) if fence.words[:1] == ("yaml",)]


def _candidates(fence: Fence, data: Any) -> list[dict[str, Any]]:
    """What a block may stand for, whole: a channel or a site.

    A fragment is completed: keys of site.yaml go into the example site's; keys of a channel go into a channel with the
    destinations `dpi` and `sgl`; keys of a destination, a connector among them, into `dpi` (a connector alone also
    stands for a source).
    """
    base: dict[str, Any] = {
        "channel": "example",
        "source": {"file": {"directory": "var/in"}},
        "destinations": [{"name": one, "file": {"directory": f"var/{one}"}} for one in ("dpi", "sgl")],
    }
    if "channel" in data or "site" in data:
        return [data]
    named = set(data)
    if named <= _CHANNEL_KEYS:
        return [base | data]
    if named <= _SITE_KEYS:
        return [read("site.yaml", (EXAMPLE / "site.yaml").read_bytes()).data | data]
    connectors = named & {*SOURCES, *DESTINATIONS}
    if named - connectors <= _DESTINATION_KEYS:
        first = {"name": "dpi", **data} if connectors else {**base["destinations"][0], **data}
        made = [base | {"destinations": [first, base["destinations"][1]]}]
        return [*made, base | {"source": data}] if named == connectors else made
    pytest.fail(f"{fence}: neither keys of a channel, nor of a destination, nor of site.yaml: {sorted(named)}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, str):
        yield value


def _certificates(value: Any) -> dict[str, str]:
    """Name -> use of the certificates that an example names."""
    if isinstance(value, list):
        return {name: use for one in value for name, use in _certificates(one).items()}
    if not isinstance(value, dict):
        return {}
    found = {name: use for one in value.values() for name, use in _certificates(one).items()}
    for key, use in (("tls", "client"), ("certificate", "client"), ("sign", "sign")):
        name = value.get(key)
        if isinstance(name, str) and "." not in name and name not in ("starttls", "implicit"):
            found[name] = use
    return found


def _site_for(fence: Fence, data: dict[str, Any], folder: Path) -> dict[str, str]:
    """Write a site with one example in it and all that the example names; returns the environment it needs."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True)
    _make_key(folder)
    for file in (folder / "channels").iterdir():
        file.unlink()
    for other in fences(fence.document):
        if len(other.words) == 2 and "/" in other.words[1]:
            (folder / other.words[1]).write_text(other.text, "utf-8")
    name = "site.yaml" if "site" in data else f"channels/{data['channel']}.yaml"
    whole = "fragment" not in fence.words
    (folder / name).write_text(fence.text if whole else json.dumps(data, ensure_ascii=False), "utf-8")
    for certificate, use in _certificates(data).items() if "site" not in data else ():
        site = folder / "site.yaml"
        head = "" if "certificates:" in site.read_text("utf-8") else "certificates:\n"
        line = f"  {certificate}: {{file: site.yaml, use: {use}}}\n"
        site.write_text(f"{site.read_text('utf-8')}{head}{line}", "utf-8")
    environment = {"CREDENTIALS_DIRECTORY": str(folder / "credentials")}
    (folder / "credentials").mkdir()
    for text in _texts(data):
        for kind, what in re.findall(r"\$\{(?:(file|credential):)?([^}]+)\}", text):
            if kind:
                (folder / ("credentials" if kind == "credential" else "") / what).write_text("k1:" + "A" * 43 + "=")
            else:
                environment[what] = "k1:" + "A" * 43 + "="
        named = folder / text
        if _FILES.search(text) and not text.startswith("/") and "{" not in text and not named.exists():
            named.parent.mkdir(parents=True, exist_ok=True)
            named.touch()
    return environment


@pytest.mark.parametrize("fence", _examples(), ids=str)
def test_its_example_loads(fence: Fence, tmp_path: Path) -> None:
    document = read("example", fence.text.encode())
    assert document.faults == []
    data = document.data
    ours = _SITE_KEYS | _CHANNEL_KEYS | _DESTINATION_KEYS | {*SOURCES, *DESTINATIONS}
    if "fragment" not in fence.words and not {"channel", "site"} & set(data):
        assert not ours & set(data), "part of a channel or of site.yaml: write ```yaml fragment"
        return
    faults = []
    for number, candidate in enumerate(_candidates(fence, data)):
        folder = tmp_path / str(number)
        environment = _site_for(fence, candidate, folder)
        try:
            load_site(folder, environment)
        except ConfigErrors as error:
            faults.append(str(error))
        else:
            return
    pytest.fail("\n".join(faults))


def test_the_readme_shows_its_own_channel_before_the_installation() -> None:
    text = text_of("README.md")
    order = ["```yaml", "make demo", "make test", "vaguemestre init", "| Standard |", "CONTRIBUTING.md"]
    places = [text.index(one) for one in order]
    assert places == sorted(places)


def _through(document: str, channel: str, message: Message, folder: Path) -> Message:
    """What the first destination of a channel of the documentation gets of a message."""
    fence = next(one for one in fences(document) if one.text.startswith(f"channel: {channel}\n"))
    environment = _site_for(fence, read("example", fence.text.encode()).data, folder)
    loaded = load_site(folder, environment)
    outputs = Pipeline(loaded.channels[channel], loaded).outputs(message)
    return next(iter(outputs.values()))[0]


def test_the_steps_of_the_readme_of_transforms_do_what_it_says(tmp_path: Path) -> None:
    message = read_case((EXAMPLE / "cases" / "adt_a01_inpatient.hl7").read_bytes())
    made = er7.read(_through("transforms/README.md", "steps", message, tmp_path))
    assert [made.get(place) for place in ("MSH-3", "MSH-18", "PV1-3.1", "PV1-18")] == ["PFI", "8859/15", "NEPH", "HOSP"]
    assert made.raw("PV1-7") == f"^{er7.read(message).get('PV1-7.2')}"


def test_the_style_sheet_of_the_readme_of_transforms_runs(tmp_path: Path) -> None:
    message = Message(b"<a><b/></a>", "xml", received=0.0)
    made = _through("transforms/README.md", "report-summary", message, tmp_path)
    assert b'<summary language="fr" received="1970-01-01T00:00:00Z">2</summary>' in made.body
