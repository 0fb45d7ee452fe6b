"""The directory asked over FHIR: one record a number, the few fields that a request needs.

Source: ANS, API Annuaire Santé v2 (FHIR R4): identifier systems, MSSanté mailboxes as telecom with extensions.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from connectors.annuaire.limits import limit_of

RPPS = "https://rpps.esante.gouv.fr"
FINESS = "https://finess.esante.gouv.fr"
IDNPS = "urn:oid:1.2.250.1.71.4.2.1"
_MOST_PAGES = 10
_LONGEST = 5_000_000
_SHORT_WAIT = 3.0
"""A directory that is busy (429) for no longer than this, in seconds, is waited for."""
_TRIES = 3
Status = Literal["known-active", "known-inactive", "unknown"]


class Unreachable(Exception):
    """No answer, or none that can be used. The text says why, and nothing of the question."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """One MSSanté address. kind: ``PER``, ``ORG``, ``APP``, ``CAB`` or ``""``. finess: of the activity that it is for.

    red: on the red list: it may be used, and must not be shown.
    """

    address: str
    kind: str = ""
    finess: str = ""
    red: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """What the directory knows of a number."""

    status: Status
    mailboxes: tuple[Mailbox, ...] = ()


class Directory:
    """Asks the directory, at most so many questions a second; not at all for a while after it did not answer."""

    def __init__(self, base: str, key: str, *, rate: float, timeout: float, pause: float) -> None:
        self._base, self._rate, self._pause = base.rstrip("/"), rate, pause
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=False, headers={"ESANTE-API-KEY": key})
        self._limit = limit_of(self._base, key)

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def professional(self, number: str) -> Entry:
        """A professional by PS_IdNat (``8`` + RPPS, ``0`` + ADELI...), with the activities. Raises Unreachable."""
        identifier = f"{RPPS}|{number[1:]}" if number.startswith("8") else f"{IDNPS}|{number}"
        found = await self._search(
            "Practitioner", {"identifier": identifier, "_revinclude": "PractitionerRole:practitioner"}
        )
        people = [one for one in found if one.get("resourceType") == "Practitioner"]
        if not people:
            return Entry("unknown")
        roles = [one for one in found if one.get("resourceType") == "PractitionerRole"]
        current = [one for one in roles if one.get("active", True) and not _ended(one)]
        active = any(one.get("active", True) for one in people) and bool(current or not roles)
        boxes = [box for one in people for box in _mailboxes(one)]
        for role in current:
            finess = await self._finess(role) if role.get("telecom") else ""
            boxes += [Mailbox(box.address, box.kind, finess, box.red) for box in _mailboxes(role)]
        return Entry("known-active" if active else "known-inactive", tuple(dict.fromkeys(boxes)))

    async def structure(self, finess: str) -> Entry:
        """A structure by FINESS. Raises Unreachable."""
        found = await self._search("Organization", {"identifier": f"{FINESS}|{finess}"})
        if not found:
            return Entry("unknown")
        active = any(one.get("active", True) for one in found)
        boxes = [Mailbox(box.address, box.kind, finess, box.red) for one in found for box in _mailboxes(one)]
        return Entry("known-active" if active else "known-inactive", tuple(dict.fromkeys(boxes)))

    async def mailbox(self, address: str) -> Entry:
        """An address, whoever has it. Raises Unreachable."""
        known = False
        for resource in ("Practitioner", "PractitionerRole", "Organization"):
            found = await self._search(resource, {"mailbox-mss": address})
            # A parameter that the service does not know may be passed over: only who has the address counts.
            holders = [one for one in found if any(box.address.lower() == address.lower() for box in _mailboxes(one))]
            if any(one.get("active", True) and not _ended(one) for one in holders):
                return Entry("known-active")
            known = known or bool(holders)
        return Entry("known-inactive" if known else "unknown")

    async def _finess(self, role: dict[str, Any]) -> str:
        """FINESS of the structure of an activity, ``""`` when it has none."""
        reference = str(role.get("organization", {}).get("reference", ""))
        if not reference.startswith("Organization/"):
            return ""
        found = await self._search("Organization", {"_id": reference.removeprefix("Organization/")})
        return next((one["value"] for each in found for one in _identifiers(each) if one.get("system") == FINESS), "")

    async def _search(self, resource: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        """All pages of a search. A page elsewhere than on the same server is not asked for: it would get the key."""
        url: str | None = f"{self._base}/{resource}"
        asked: dict[str, str] | None = parameters
        found: list[dict[str, Any]] = []
        for _ in range(_MOST_PAGES):
            if url is None:
                break
            bundle = await self._get(url, asked)
            found += [one["resource"] for one in bundle.get("entry", []) if isinstance(one.get("resource"), dict)]
            following = [str(one.get("url", "")) for one in bundle.get("link", []) if one.get("relation") == "next"]
            url, asked = (self._same_server(following[0]) if following else None), None
        return found

    def _same_server(self, text: str) -> str:
        base = httpx.URL(self._base)
        try:
            url = base.join(text)
        except httpx.InvalidURL:
            raise Unreachable("the address of the directory's next page cannot be read") from None
        if (url.scheme, url.host, url.port) != (base.scheme, base.host, base.port):
            raise Unreachable("the directory's next page is on another server")
        return str(url)

    async def _get(self, url: str, parameters: dict[str, str] | None) -> dict[str, Any]:
        if self._limit.resting:
            raise Unreachable("the directory did not answer a moment ago")
        try:
            bundle = await self._asked(url, parameters)
        except Unreachable:
            self._limit.failed(self._pause)
            raise
        self._limit.answered()
        return bundle

    async def _asked(self, url: str, parameters: dict[str, str] | None) -> dict[str, Any]:
        try:
            response = await self._answered(url, parameters)
            if response.status_code != 200:
                raise Unreachable(f"the directory answered {response.status_code}")
            bundle = response.json() if len(response.content) <= _LONGEST else None
        except httpx.HTTPError as error:
            raise Unreachable(f"the directory does not answer ({type(error).__name__})") from error
        except ValueError:
            raise Unreachable("the directory's answer is not JSON") from None
        if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
            raise Unreachable("the directory's answer is no Bundle")
        return bundle

    async def _answered(self, url: str, parameters: dict[str, str] | None) -> httpx.Response:
        """The answer; asked again when the directory is busy (429) and says that it is not for long."""
        tries = 0
        while True:
            await self._limit.turn(self._rate)
            response = await self._client.get(url, params=parameters)
            tries += 1
            if response.status_code != 429:
                return response
            wait = _seconds(response.headers.get("retry-after", ""))
            self._limit.put_off(wait)
            if wait > _SHORT_WAIT or tries == _TRIES:
                return response


def _seconds(text: str) -> float:
    return min(float(text), 60.0) if text.isascii() and text.isdigit() else 1.0


def _identifiers(resource: dict[str, Any]) -> list[dict[str, Any]]:
    found = resource.get("identifier", [])
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _ended(role: dict[str, Any]) -> bool:
    end = str(role.get("period", {}).get("end", ""))
    return bool(end) and end[:10] < time.strftime("%Y-%m-%d", time.gmtime())


def _mailboxes(resource: dict[str, Any]) -> Iterator[Mailbox]:
    """MSSanté addresses: marked as such by an extension, or in its domain."""
    for one in resource.get("telecom", []):
        address = str(one.get("value", "")).strip() if isinstance(one, dict) else ""
        if not address or one.get("system", "email") != "email":
            continue
        said = _flat(one.get("extension", []))
        if "MSSANTE" not in said.values() and not address.lower().endswith(".mssante.fr"):
            continue
        kind = next((value for value in said.values() if value in ("PER", "ORG", "APP", "CAB")), "")
        red = said.get("listeRouge", "false") == "true"
        yield Mailbox(address, kind, red=red)


def _plain(value: Any) -> str:
    """A code of a coded value, else the value as text."""
    if isinstance(value, dict):
        coding = value.get("coding", [value])
        return str(coding[0].get("code", "")) if coding else ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flat(extensions: Any) -> dict[str, str]:
    """The last part of each extension's URL -> its value, those inside others too."""
    found: dict[str, str] = {}
    for one in extensions if isinstance(extensions, list) else ():
        name = str(one.get("url", "")).rpartition("/")[2]
        for key, value in one.items():
            if not key.startswith("value"):
                continue
            found[name] = _plain(value)
        found |= _flat(one.get("extension"))
    return found
