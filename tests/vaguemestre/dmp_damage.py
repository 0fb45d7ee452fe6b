"""Ways to damage a tree, each one a function of the tree; and requests judged without a socket."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography import x509
from lxml import etree

from tests.vaguemestre.dmp_lots import Hook, Lot, Sender
from vaguemestre.simulators.dmp import names, trust
from vaguemestre.simulators.dmp.registry import Registry
from vaguemestre.simulators.dmp.service import Case, Services
from vaguemestre.simulators.dmp.settings import DmpSettings
from vaguemestre.simulators.pki import Authority

Element = etree._Element
CLIENT = "the client's own"


def found(tree: Element, path: str) -> list[Element]:
    elements = tree.xpath(path, namespaces=names.NAMESPACES)
    assert isinstance(elements, list)
    assert elements, f"nothing at {path}"
    return [one for one in elements if isinstance(one, etree._Element)]


def edit(path: str, **attributes: str | None) -> Hook:
    """Set attributes of the first element of a path; None takes one away."""

    def change(tree: Element) -> None:
        for name, value in attributes.items():
            if value is None:
                del found(tree, path)[0].attrib[name]
            else:
                found(tree, path)[0].set(name, value)

    return change


def write(path: str, text: str) -> Hook:
    def change(tree: Element) -> None:
        found(tree, path)[0].text = text

    return change


def drop(path: str) -> Hook:
    def change(tree: Element) -> None:
        for one in found(tree, path):
            parent = one.getparent()
            assert parent is not None
            parent.remove(one)

    return change


def double(path: str, **attributes: str) -> Hook:
    """A second one, right after; with these attributes."""

    def change(tree: Element) -> None:
        one = found(tree, path)[0]
        other = copy.deepcopy(one)
        for name, value in attributes.items():
            other.set(name, value)
        one.addnext(other)

    return change


def swap(path: str) -> Hook:
    """The first two of a path, the other way round."""

    def change(tree: Element) -> None:
        first, second = found(tree, path)[:2]
        place = etree.Element("place")
        first.addprevious(place)
        second.addnext(first)
        place.addnext(second)
        parent = place.getparent()
        assert parent is not None
        parent.remove(place)

    return change


def first(path: str) -> Hook:
    """The element of a path before all its siblings."""

    def change(tree: Element) -> None:
        one = found(tree, path)[0]
        parent = one.getparent()
        assert parent is not None
        parent.insert(0, one)

    return change


def both(*hooks: Hook) -> Hook:
    def change(tree: Element) -> None:
        for hook in hooks:
            hook(tree)

    return change


def slot(owner: str, name: str) -> str:
    """Path of the first value of a slot of an object."""
    return f"//*[@id='{owner}']/rim:Slot[@name='{name}']/rim:ValueList/rim:Value"


def code(owner: str, scheme: str) -> str:
    """Path of a classification of an object."""
    return f"//*[@id='{owner}']/rim:Classification[@classificationScheme='{scheme}']"


def system(owner: str, scheme: str) -> str:
    return code(owner, scheme) + "/rim:Slot[@name='codingScheme']/rim:ValueList/rim:Value"


def identifier(owner: str, scheme: str) -> str:
    return f"//*[@id='{owner}']/rim:ExternalIdentifier[@identificationScheme='{scheme}']"


@dataclass
class Bench:
    """A DMP without a socket, and a structure that talks to it."""

    authority: Authority
    settings: DmpSettings = field(default_factory=DmpSettings)

    def __post_init__(self) -> None:
        self.registry = Registry()
        trusted = trust.Trust(self.authority.certificate, self.authority.crl, self.settings.clock)
        self.services = Services(self.registry, self.settings, trusted)
        self.sender = Sender(self.authority)

    def judge(
        self, request: tuple[str, str, bytes], client: x509.Certificate | None = None, *, shown: bool = True
    ) -> Case:
        """The request as judged. client: another certificate; shown: whether one is shown at all."""
        service, kind, body = request
        case = Case(service, self.settings.clock())
        self.answer = self.services.handle(
            case, kind, body, (client or self.sender.client.certificate) if shown else None
        )
        return case

    def submit(self, lot: Lot) -> Case:
        return self.judge(self.sender.submission(lot))

    def entry(self, lot: Lot, place: int = 0) -> str:
        """The current entryUUID of a document of a lot."""
        return self.registry.documents(unique_id=lot.documents[place].unique_id)[0].entry_uuid


Request = Callable[[Sender], tuple[str, str, bytes]]
