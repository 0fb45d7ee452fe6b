"""What applying a configuration would change, in words, and what of it is kept for the history.

The history holds the text of the files: secrets are references there (the loader sees to it), so nothing is hidden.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from channels import yaml_places
from channels.loader import NOT_SHARED, LoadedSite
from channels.references import is_reference

Configuration = Mapping[str, str]
"""Path inside the site -> text of the file."""

_LATER = {"journal", "web", "control", "log", "workers"}
_AT_ONCE = {("journal", "retention")}


def dump_site(loaded: LoadedSite) -> dict[str, str]:
    """The configuration for the history: every file's text by its path. Comments and references are as written."""
    return dict(loaded.texts)


def dump_channel(loaded: LoadedSite, name: str) -> dict[str, Any]:
    """One channel's file as data; secrets are the references that are written there."""
    data: dict[str, Any] = _data(loaded.texts, f"channels/{name}.yaml")
    return data


def changes(old: LoadedSite | Configuration, new: LoadedSite | Configuration) -> list[str]:
    """What applying ``new`` would change, a line each: ``adt-fanout: destination sgl: mllp.connect a:1 → b:1``.

    With two loaded sites, what references stand for is compared too, and shown as changed without a value.
    """
    before, after = _texts(old), _texts(new)
    lines = [f"site: {line}" for line in _site(_data(before, "site.yaml"), _data(after, "site.yaml"))]
    for file in sorted({*before, *after}):
        name = file.removeprefix("channels/").removesuffix(".yaml")
        if file.startswith("channels/"):
            lines += [f"{name}: {line}" for line in _channel(_data(before, file), _data(after, file))]
        elif file != "site.yaml":
            lines += _file(file, before.get(file), after.get(file))
    if isinstance(old, LoadedSite) and isinstance(new, LoadedSite):
        lines += _references(old, new)
    return lines


def restarts(old: LoadedSite, new: LoadedSite) -> tuple[list[str], list[str]]:
    """Names of the channels that a reload restarts (or starts, or stops), and of those that it leaves alone."""
    names = sorted({*old.channels, *new.channels})
    if old.shared_fingerprint != new.shared_fingerprint:
        return names, []
    changed = [name for name in names if old.fingerprints.get(name) != new.fingerprints.get(name)]
    return changed, [name for name in names if name not in changed]


def restarts_between(old: Configuration, new: LoadedSite) -> tuple[list[str], list[str]]:
    """The same when of the old configuration only the files are known; a changed table or function counts for all."""
    before, after = old, new.texts
    names = sorted(
        {
            file.removeprefix("channels/").removesuffix(".yaml")
            for file in {*before, *after}
            if file.startswith("channels/")
        }
    )
    shared = [file for file in {*before, *after} if not file.startswith("channels/") and file != "site.yaml"]
    sites = [_data(texts, "site.yaml") or {} for texts in (before, after)]
    if any(before.get(file) != after.get(file) for file in shared) or _seen(sites[0]) != _seen(sites[1]):
        return names, []
    files = {name: f"channels/{name}.yaml" for name in names}
    changed = [name for name, file in files.items() if _data(before, file) != _data(after, file)]
    return changed, [name for name in names if name not in changed]


def _seen(site: Mapping[str, Any]) -> dict[str, Any]:
    """What channels see of ``site.yaml``."""
    return {key: value for key, value in site.items() if key not in NOT_SHARED}


def _texts(configuration: LoadedSite | Configuration) -> Configuration:
    return configuration.texts if isinstance(configuration, LoadedSite) else configuration


def _data(texts: Configuration, file: str) -> Any:
    return yaml_places.read(file, texts[file].encode()).data if file in texts else None


def _site(before: Any, after: Any) -> Iterator[str]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        yield "new site" if before is None else "removed"
        return
    for path, old, new in _differences(before, after, ()):
        later = path[0] in _LATER and path not in _AT_ONCE
        yield _line(path, old, new) + (" (at the next start of the engine)" if later else "")


def _channel(before: Any, after: Any) -> Iterator[str]:
    if before is None or after is None:
        yield "new channel" if before is None else "channel removed; what waits in its queues stays in the journal"
        return
    if not isinstance(before, dict) or not isinstance(after, dict):
        return
    own = {"destinations": None}
    for path, old, new in _differences(before | own, after | own, ()):
        yield _line(path, old, new)
    yield from _destinations(_by_name(before), _by_name(after))


def _by_name(channel: Mapping[str, Any]) -> dict[str, Any]:
    found = channel.get("destinations")
    return {str(one.get("name")): one for one in found if isinstance(one, dict)} if isinstance(found, list) else {}


def _destinations(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *after}):
        if name not in before:
            yield f"destination {name}: new"
        elif name not in after:
            yield f"destination {name}: removed; what waits for it stays in the journal"
        else:
            for path, old, new in _differences(before[name], after[name], ()):
                yield f"destination {name}: {_line(path, old, new)}"
    kept = [name for name in before if name in after]
    if kept != [name for name in after if name in before]:
        yield f"destinations in another order: {', '.join(after)}"


Difference = tuple[tuple[str, ...], Any, Any]
_MISSING = object()


def _differences(before: Any, after: Any, path: tuple[str, ...]) -> Iterator[Difference]:
    """The values that differ, by their path; lists are compared whole."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            yield from _differences(before.get(key, _MISSING), after.get(key, _MISSING), (*path, key))
    elif before != after or type(before) is not type(after):
        yield path, before, after


def _line(path: tuple[str, ...], old: Any, new: Any) -> str:
    name = ".".join(path)
    if old is _MISSING:
        return f"{name}: {_shown(new)} (new)"
    if new is _MISSING:
        return f"{name}: {_shown(old)} removed"
    return f"{name} {_shown(old)} → {_shown(new)}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_shown(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_shown(one) for one in value) + "]"
    if value is None:
        return "(nothing)"
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _file(file: str, before: str | None, after: str | None) -> list[str]:
    if before == after:
        return []
    if before is None or after is None:
        return [f"{file}: {'new' if before is None else 'removed'}"]
    old, new = set(before.splitlines()), set(after.splitlines())
    return [f"{file}: {len(new - old)} lines added or changed, {len(old - new)} removed or changed"]


def _references(old: LoadedSite, new: LoadedSite) -> Iterator[str]:
    """Channels whose file is the same, and which a reload restarts all the same."""
    if old.shared_fingerprint != new.shared_fingerprint:
        if old.texts.get("site.yaml") == new.texts.get("site.yaml"):
            yield "site: what a reference of site.yaml stands for has changed"
        return
    for name in sorted({*old.channels} & {*new.channels}):
        file = f"channels/{name}.yaml"
        if old.fingerprints[name] != new.fingerprints[name] and old.texts.get(file) == new.texts.get(file):
            has = is_reference(new.texts.get(file, ""))
            what = "a secret or a file that it names" if has else "a file, a table or a function that it uses"
            yield f"{name}: {what} has changed"
