"""The official rules that a site has on disk: XML Schema and Schematron, compiled once per process.

Saxon reads no file and no address: style sheets and value sets are given to it, and those only from the rules' folder.

Source: ANS, testContenuCDA (layout of its folders); ``pack.json`` names the layers when it is there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree
from pydantic import BaseModel, ValidationError

from channels.errors import ConfigError
from transforms.native_errors import native_errors
from transforms.uris import file_path
from transforms.validation import document
from transforms.validation.faults import XSD, Fault
from transforms.validation.schematron import Program, program
from transforms.validation.stylesheet import OWN as OWN_URI

_FEATURE = "http://saxon.sf.net/feature/"
_MODEL = "1.2.250.1.213.1.1.1.55"
_UNSTRUCTURED = "1.3.6.1.4.1.19376.1.2.20"
_BROKEN = "the rule cannot be evaluated on this document"


class _When(BaseModel):
    root: str
    extension: str | None = None


class _Layer(BaseModel):
    """One set of Schematron rules. when: the template whose documents it is for; None: every document."""

    id: str
    file: str
    when: _When | None = None
    optional: bool = False


class _Manifest(BaseModel):
    xsd: str
    schematrons: list[_Layer]
    snapshot: str = ""


_DEFAULT = _Manifest(
    xsd="infrastructure/cda/CDA_extended.xsd",
    schematrons=[
        _Layer(id=name, file=f"schematrons/profils/{file}.sch")
        for name, file in (
            ("minimal-structure", "structurationMinimale/ASIP-STRUCT-MIN-StrucMin"),
            ("ihe", "IHE"),
            ("content-models", "CI-SIS_ModelesDeContenusCDA"),
            ("ans-models", "CI-SIS_Modeles_ANS"),
            ("terminology", "terminologies/schematron/terminologie"),
        )
    ],
)
"""The layers of the folder as it is published, without ``pack.json``."""


@dataclass(slots=True)
class _Compiled:
    program: Program
    executable: Any
    documents: int = -1
    """How many value sets it was given: it is given them anew when there are more."""


class Rules:
    """One folder of rules."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigError: no such folder, or its manifest cannot be read; saxonche is not installed."""
        self.folder = folder.resolve()
        self._manifest = _manifest(self.folder)
        self._saxon = _saxon()
        self._schema: etree.XMLSchema | None = None
        self._compiled: dict[tuple[str, bool], _Compiled] = {}
        self._documents: dict[str, Any] = {}

    def layers(self, root: Any) -> tuple[list[str], list[str]]:
        """The layers that concern a document; and what cannot be checked of it, in words."""
        found = document.templates(root)
        chosen = [one for one in self._manifest.schematrons if not one.optional and _concerns(one, found)]
        modelled = any(one.when for one in chosen) or any(name == _UNSTRUCTURED for name, _ in found)
        missing = [] if modelled else ["no rules of this folder are for the model (templateId) of this document"]
        return [XSD, *(one.id for one in chosen)], missing

    def check(self, root: Any) -> Iterator[Fault]:
        """Every fault of every layer that concerns the document."""
        names, _ = self.layers(root)
        yield from self._check_schema(root)
        text = etree.tostring(root.getroottree(), encoding="unicode")
        node = self._saxon.parse_xml(xml_text=text, encoding="UTF-8")
        for layer in self._manifest.schematrons:
            if layer.id in names:
                yield from self._check_layer(layer, root, node)

    def prepare(self) -> None:
        """Compile every layer now: a channel's first document does not wait."""
        self._xsd()
        for layer in self._manifest.schematrons:
            self._program(layer, guarded=False)

    def _xsd(self) -> etree.XMLSchema:
        if self._schema is None:
            path = self._inside(self._manifest.xsd)
            try:
                self._schema = etree.XMLSchema(etree.parse(path, etree.XMLParser(no_network=True)))
            except (OSError, etree.LxmlError) as error:
                raise ConfigError(f"{path}: {error}") from error
        return self._schema

    def _check_schema(self, root: Any) -> Iterator[Fault]:
        schema = self._xsd()
        schema.validate(root.getroottree())
        for error in schema.error_log:
            element = _element(root, error.path)
            yield Fault(
                XSD,
                "error",
                error.type_name,
                document.place(element),
                error.line,
                _XSD_TEXTS.get(error.type_name, "not as the XML Schema says"),
            )

    def _inside(self, name: str) -> Path:
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder):
            raise ConfigError(f"{self.folder}/pack.json: {name} is outside the folder")
        return path

    def _program(self, layer: _Layer, *, guarded: bool) -> _Compiled:
        known = self._compiled.get((layer.id, guarded))
        if known is None:
            made = program(self._inside(layer.file), guarded=guarded)
            try:
                with native_errors():
                    executable = self._saxon.new_xslt30_processor().compile_stylesheet(
                        stylesheet_text=made.stylesheet, encoding="UTF-8"
                    )
            except _api_error() as error:
                raise ConfigError(f"{layer.file}: the rules do not compile: {error}") from error
            for uri in made.documents - self._documents.keys():
                self._documents[uri] = self._value_set(uri)
            known = self._compiled[layer.id, guarded] = _Compiled(made, executable)
        return known

    def _check_layer(self, layer: _Layer, root: Any, node: Any) -> Iterator[Fault]:
        compiled = self._program(layer, guarded=False)
        report = self._run(compiled, node)
        if report.tag == "stopped":
            compiled = self._program(layer, guarded=True)
            report = self._run(compiled, node)
        if report.tag == "stopped":
            raise ConfigError(f"{layer.file}: the rules stop with error {report.get('code')}")
        for failure in report:
            check = compiled.program.checks[int(failure.get("c", "0"))]
            element = document.find(root, failure.get("n", ""))
            broken = failure.get("b") is not None
            text = f"{check.text} ({_BROKEN})" if broken else check.text
            level = "error" if broken else check.level
            yield Fault(layer.id, level, check.rule, document.place(element), element.sourceline or 0, text)

    def _run(self, compiled: _Compiled, node: Any) -> Any:
        """The report of one style sheet; the value sets that it asks for are loaded, and it runs again."""
        while True:
            if compiled.documents != len(self._documents):
                self._give_documents(compiled)
            with native_errors():
                text = compiled.executable.transform_to_string(xdm_node=node)
            report = etree.fromstring(text)
            asked = _missing(report)
            if asked is None or asked in self._documents:
                return report
            self._documents[asked] = self._value_set(asked)

    def _give_documents(self, compiled: _Compiled) -> None:
        saxon = self._saxon
        table = {saxon.make_string_value(uri): node for uri, node in self._documents.items()}
        compiled.executable.set_parameter(f"{{{OWN_URI}}}documents", saxon.make_map(table))
        compiled.documents = len(self._documents)

    def _value_set(self, uri: str) -> Any:
        """A document that the rules ask for; nothing when it is not in the folder. Raises ConfigError: no folder."""
        if not self.folder.is_dir():
            raise ConfigError(f"{self.folder}: the rules are not there any more")
        path = file_path(uri)
        if path is None or not path.resolve().is_relative_to(self.folder) or not path.is_file():
            return self._saxon.empty_sequence()
        root = document.parse(path.read_bytes())
        return self._saxon.parse_xml(xml_text=etree.tostring(root, encoding="unicode"), encoding="UTF-8")


_XSD_TEXTS = {
    "SCHEMAV_ELEMENT_CONTENT": "an element that may not stand here, or one that lacks (order of children)",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1": "an attribute that may not stand here",
    "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2": "an attribute that may not stand here",
    "SCHEMAV_CVC_COMPLEX_TYPE_4": "an attribute that is required lacks",
    "SCHEMAV_CVC_DATATYPE_VALID_1_2_1": "a value that is not of its type",
    "SCHEMAV_CVC_PATTERN_VALID": "a value that does not have the form of its type",
    "SCHEMAV_CVC_ENUMERATION_VALID": "a value that is not of its list",
}
"""What libxml2 finds, in words that quote no value of the document."""


@cache
def rules(folder: Path) -> Rules:
    """The rules of a folder, compiled once per process. Raises ConfigError."""
    return Rules(folder)


def _manifest(folder: Path) -> _Manifest:
    file = folder / "pack.json"
    if file.is_file():
        try:
            return _Manifest.model_validate(json.loads(file.read_bytes()))
        except (ValueError, ValidationError) as error:
            raise ConfigError(f"{file}: not a manifest of rules ({type(error).__name__})") from error
    if not (folder / _DEFAULT.xsd).is_file():
        raise ConfigError(f"{folder}: no rules here (neither pack.json nor {_DEFAULT.xsd})")
    layers = [one for one in _DEFAULT.schematrons if (folder / one.file).is_file()]
    for schema in sorted((folder / "schematrons").glob("CI-SIS_BIO-CR-BIO_*.sch")):
        version = schema.stem.rpartition("_")[2]
        when = _When(root=_MODEL, extension=None if version < "2023" else version)
        layers.append(_Layer(id=f"cr-bio-{version}", file=f"schematrons/{schema.name}", when=when))
    return _Manifest(xsd=_DEFAULT.xsd, schematrons=layers)


def _concerns(layer: _Layer, found: set[tuple[str, str | None]]) -> bool:
    return layer.when is None or (layer.when.root, layer.when.extension) in found


def _saxon() -> Any:
    """A processor that opens nothing by itself."""
    try:
        import saxonche
    except ImportError as error:
        raise ConfigError("the official rules need the package saxonche: pip install 'vaguemestre[xslt]'") from error
    made = saxonche.PySaxonProcessor(license=False)
    made.set_configuration_property(f"{_FEATURE}allowedProtocols", "none")
    made.set_configuration_property(f"{_FEATURE}allow-external-functions", "false")
    return made


def _api_error() -> type[BaseException]:
    import saxonche

    found: type[BaseException] = saxonche.PySaxonApiError
    return found


def _missing(report: Any) -> str | None:
    """The URI of a document that the style sheet lacks."""
    for one in (report, *report):
        code, text = (one.get("code"), one.get("text")) if one.tag == "stopped" else (one.get("b"), one.get("t"))
        if code == "vgm:missing" and text:
            return str(text).partition("|")[0]
    return None


def _element(root: Any, path: str | None) -> Any:
    """The element of a path of libxml2 (``/*/*[3]/lab:statusCode``); the root when it cannot be found."""
    prefixes = {prefix: uri for one in root.iter(etree.Element) for prefix, uri in one.nsmap.items() if prefix}
    try:
        found = root.getroottree().xpath(path or "/*", namespaces=prefixes)
    except etree.XPathError:
        return root
    return found[0] if isinstance(found, list) and found and hasattr(found[0], "tag") else root
