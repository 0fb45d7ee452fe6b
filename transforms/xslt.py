"""The step ``xslt``: a style sheet of the site (XSLT 3, through Saxon) makes another message of an XML one.

The style sheet sees the files of the site's ``transforms/`` and ``mappings/`` folders (``doc()``, ``unparsed-text()``,
``xsl:import``…) and nothing else: no other file, no network, no environment. Every URI it can open is listed in a
catalogue under a scheme of ours, and Saxon is told to open no other scheme, while it compiles and while it runs.

Source: XSLT 3.0; Saxon configuration features ``allowedProtocols`` and ``allow-external-functions``.
"""

from __future__ import annotations

import re
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, ClassVar, Literal
from xml.sax.saxutils import quoteattr

from lxml import etree
from pydantic import Field, field_validator

from channels.errors import ConfigError, MessageError, ParseError
from channels.fields import Settings, SiteFile
from channels.message import Message
from channels.ports import Context
from transforms.native_errors import native_errors

_FEATURE = "http://saxon.sf.net/feature/"
_SCHEME = "site"
_FOLDERS = ("transforms", "mappings")
_XSL = "http://www.w3.org/1999/XSL/Transform"
_AT = re.compile(r"on line (\d+) column (\d+) of (\S+?):?\s")
_CODE = re.compile(r"^\s*((?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*)  ", re.MULTILINE)
_UNOPENED = re.compile(
    r"I/O error reported by XML parser processing\s+site:/(\S+?)\.?\s+Caused by\s.*?native-image\s+command\.", re.DOTALL
)
_TERMINATED = "XTMM9000"
"""Error code of ``xsl:message terminate="yes"`` without a code of its own."""


class XsltSettings(Settings):
    """A style sheet and what it is given.

    Besides ``parameters`` it may declare the parameter ``received``: the time of receipt, ISO 8601, UTC.
    """

    stylesheet: SiteFile = Field(description="The style sheet, a file of the site's `transforms/`.")
    parameters: dict[str, str] = Field({}, description="Values of its parameters (`xsl:param`), as text.")
    format: Literal["xml", "cda", "hl7v2", "fhir+json", "fhir+xml", "raw"] = Field(
        "xml", description="Format of the message that it makes."
    )

    @field_validator("stylesheet")
    @classmethod
    def _well_formed(cls, path: Path) -> Path:
        if path.is_absolute():
            try:
                root = _tree(path.read_bytes())
            except ParseError as error:
                raise ValueError(f"{path.name}:{error}") from None
            if etree.QName(root).namespace != _XSL:
                raise ValueError(f"{path.name} is not a style sheet")
        return path


class Xslt:
    """Runs a style sheet on each message. It is compiled once, when the first message comes."""

    settings = XsltSettings
    in_worker: ClassVar[bool] = True

    def __init__(self, settings: XsltSettings) -> None:
        """settings: of a loaded site, so that the style sheet's path is absolute."""
        self._settings = settings
        self._compiled: _Compiled | None = None

    def prepare(self) -> None:
        """Compile now. Raises ConfigError with every fault of the style sheet, at its line and column."""
        if self._compiled is None:
            self._compiled = _Compiled(self._settings.stylesheet, self._settings.parameters)

    def __call__(self, message: Message, context: Context) -> Message:
        """The message that the style sheet makes, in UTF-8.

        Raises:
            ParseError: the message is not well-formed XML, or has a document type.
            MessageError: the style sheet refuses it (``error()``, ``xsl:message terminate="yes"``) or fails on it; the
                place is the style sheet's, the text has the error's code and nothing of the message.
            ConfigError: the style sheet has faults.
        """
        source = _tree(message.body)
        self.prepare()
        if self._compiled is None:
            raise ConfigError("the style sheet is not compiled")
        result = self._compiled.run(source, f"{context.now:%Y-%m-%dT%H:%M:%SZ}")
        return message.with_body(result.encode(), format=self._settings.format, charset="utf-8")


def _tree(body: bytes) -> Any:
    """The root of an XML text. Raises ParseError (place ``line:column``) when it is not well formed or has a DTD."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
    try:
        root = etree.fromstring(body, parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise ParseError("not well-formed XML", f"{line}:{column}") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise ParseError("a document type (DTD) is not taken", "1:1")
    return root


class _Compiled:
    """One style sheet in one Saxon processor."""

    def __init__(self, stylesheet: Path, parameters: dict[str, str]) -> None:
        """Raises ConfigError: Saxon is not installed, or the style sheet has faults."""
        try:
            import saxonche
        except ImportError as error:
            raise ConfigError("the step xslt needs the package saxonche: pip install 'vaguemestre[xslt]'") from error
        self._error = saxonche.PySaxonApiError
        folder = _site_of(stylesheet)
        catalog = _catalog(folder)
        weakref.finalize(self, catalog.close)
        self._processor = saxonche.PySaxonProcessor(license=False)
        self._processor.set_catalog_files([catalog.name])
        self._processor.set_configuration_property(_FEATURE + "allowedProtocols", _SCHEME)
        self._processor.set_configuration_property(_FEATURE + "allow-external-functions", "false")
        self._parameters = parameters
        self._executable = self._compile(stylesheet, _uri(folder, stylesheet))

    def _compile(self, stylesheet: Path, base: str) -> Any:
        builder = self._processor.new_document_builder()
        builder.set_line_numbering(True)
        builder.set_base_uri(base)
        text = stylesheet.read_bytes()
        tree = (
            etree.tostring(_tree(text), encoding="unicode") if b"encoding=" in text[:100] else text.decode("utf-8-sig")
        )
        with native_errors():
            try:
                node = builder.parse_xml(xml_text=tree, encoding="UTF-8")
                executable = self._processor.new_xslt30_processor().compile_stylesheet(stylesheet_node=node)
            except self._error as error:
                raise ConfigError(_faults(str(error), stylesheet.name)) from None
        executable.set_property("!encoding", "UTF-8")
        executable.set_save_xsl_message(False)
        return executable

    def run(self, source: Any, received: str) -> str:
        text = etree.tostring(source.getroottree(), encoding="unicode")
        with native_errors() as told:
            try:
                node = self._processor.parse_xml(xml_text=text, encoding="UTF-8")
                executable = self._executable
                for name, value in {"received": received, **self._parameters}.items():
                    executable.set_parameter(name, self._processor.make_string_value(value))
                return str(executable.transform_to_string(xdm_node=node) or "")
            except self._error:
                told.seek(0)
                raise _refusal(told.read().decode("utf-8", "replace")) from None


def _site_of(stylesheet: Path) -> Path:
    """The site's folder: the nearest above that has a site.yaml, else the one above the style sheet's."""
    return next((one for one in stylesheet.parents if (one / "site.yaml").is_file()), stylesheet.parent.parent)


def _uri(folder: Path, file: Path) -> str:
    return f"{_SCHEME}:{file.as_uri().removeprefix(folder.as_uri())}"


def _files(folder: Path) -> Iterator[Path]:
    """What style sheets may open; a link that leads out of the site is not among it."""
    for name in _FOLDERS:
        for file in sorted((folder / name).rglob("*")):
            if file.is_file() and file.resolve().is_relative_to(folder.resolve()):
                yield file


def _catalog(folder: Path) -> IO[bytes]:
    """An OASIS catalogue, URI of ours -> file, as a temporary file: Saxon reads it while it runs."""
    rows = "".join(
        f"<uri name={quoteattr(_uri(folder, one))} uri={quoteattr(one.as_uri())}/>" for one in _files(folder)
    )
    made = tempfile.NamedTemporaryFile(suffix=".xml")  # noqa: SIM115  # it lives as long as the processor
    made.write(
        f'<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog" prefer="public">{rows}</catalog>'.encode()
    )
    made.flush()
    return made


def _faults(text: str, name: str) -> str:
    """Saxon's static errors, one a line: ``file:line:column: what is wrong``."""
    lines, place = [], name
    text = _UNOPENED.sub(r"\1 is not among the files of transforms/ and mappings/", text)
    for line in text.splitlines():
        found = _AT.search(line + " ")
        if found:
            place = f"{found[3]}:{found[1]}:{found[2]}"
        elif line.strip() and not line.lstrip().startswith(("Error", "Static error", "java.")):
            lines.append(f"{place}: {' '.join(line.split())}")
    return "\n".join(lines) or f"{name}: {' '.join(text.split())}"


def _refusal(trace: str) -> MessageError:
    """From the trace of a dynamic error: its code and its place in the style sheet, without its text."""
    at, code = _AT.search(trace + " "), _CODE.search(trace)
    place = f"{at[3]}:{at[1]}:{at[2]}" if at else ""
    name = code[1] if code else ""
    if not name or name == _TERMINATED:
        return MessageError("the style sheet refuses the message", place)
    return MessageError(f"the style sheet stopped with error {name}", place)
