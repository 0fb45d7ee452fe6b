"""The directory asked over FHIR: one record a number, the few fields that a request needs.

Source: ANS, API Annuaire Santé v2 (FHIR R4): identifier systems, MSSanté mailboxes as telecom with extensions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import httpx

RPPS = "https://rpps.esante.gouv.fr"
FINESS = "https://finess.esante.gouv.fr"
_MOST_PAGES = 10
_LONGEST = 5_000_000
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
    """Asks the directory, at most so many questions a second."""

    def __init__(self, base: str, key: str, *, rate: float, timeout: float) -> None:
        self._base, self._rate = base.rstrip("/"), rate
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=False, headers={"ESANTE-API-KEY": key})
        self._turn = asyncio.Lock()
        self._free = 0.0

    async def aclose(self) -> None:
        """Close connections."""
        await self._client.aclose()

    async def professional(self, rpps: str) -> Entry:
        """A professional by RPPS, with the activities. Raises Unreachable."""
        found = await self._search(
            "Practitioner", {"identifier": f"{RPPS}|{rpps}", "_revinclude": "PractitionerRole:practitioner"}
        )
        people = [one for one in found if one.get("resourceType") == "Practitioner"]
        if not people:
            return Entry("unknown")
        active = any(one.get("active", True) for one in people)
        boxes = [box for one in people for box in _mailboxes(one)]
        for role in found:
            if role.get("resourceType") != "PractitionerRole" or not role.get("active", True) or _ended(role):
                continue
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

    async def _finess(self, role: dict[str, Any]) -> str:
        """FINESS of the structure of an activity, ``""`` when it has none."""
        reference = str(role.get("organization", {}).get("reference", ""))
        if not reference.startswith("Organization/"):
            return ""
        found = await self._search("Organization", {"_id": reference.removeprefix("Organization/")})
        return next((one["value"] for each in found for one in _identifiers(each) if one.get("system") == FINESS), "")

    async def _search(self, resource: str, parameters: dict[str, str]) -> list[dict[str, Any]]:
        """All pages of a search. An address of a page is followed on the same server only."""
        url: str | None = f"{self._base}/{resource}"
        asked: dict[str, str] | None = parameters
        found: list[dict[str, Any]] = []
        for _ in range(_MOST_PAGES):
            if url is None:
                break
            bundle = await self._get(url, asked)
            found += [one["resource"] for one in bundle.get("entry", []) if isinstance(one.get("resource"), dict)]
            following = [one.get("url", "") for one in bundle.get("link", []) if one.get("relation") == "next"]
            url, asked = (following[0] if following and following[0].startswith(self._base) else None), None
        return found

    async def _get(self, url: str, parameters: dict[str, str] | None) -> dict[str, Any]:
        await self._wait()
        try:
            response = await self._client.get(url, params=parameters)
            if response.status_code == 429:
                self._free = time.monotonic() + _seconds(response.headers.get("retry-after", ""))
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

    async def _wait(self) -> None:
        """Keep to the rate: 17 a second is the directory's limit."""
        async with self._turn:
            now = time.monotonic()
            if self._free > now:
                await asyncio.sleep(self._free - now)
            self._free = max(now, self._free) + 1 / self._rate


def _seconds(text: str) -> float:
    return min(float(text), 60.0) if text.isdigit() else 1.0


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
