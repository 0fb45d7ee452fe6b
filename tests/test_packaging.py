"""What is shipped: folders, files, dependencies."""

import re
import subprocess
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PACKAGES = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
LOCKS = ["requirements.lock", "requirements-dev.lock"]


def _locked(lock: str) -> dict[str, str]:
    lines = (REPOSITORY / lock).read_text().splitlines()
    found = (re.match(r"([\w.-]+)==(\S+)", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def _named(requirements: list[str]) -> set[str]:
    names = (re.split(r"[^\w.-]", line)[0] for line in requirements)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names} - {"vaguemestre"}


def test_the_installed_version_is_that_of_the_checkout() -> None:
    assert version("vaguemestre") == PROJECT["project"]["version"]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_is_typed_and_says_what_it_is(package: str) -> None:
    assert (REPOSITORY / package / "py.typed").is_file()
    assert (REPOSITORY / package / "__init__.py").read_text().startswith('"""')


def test_every_layer_is_under_the_same_checks() -> None:
    tools = PROJECT["tool"]
    layers = next(one for one in tools["importlinter"]["contracts"] if one["type"] == "layers")["layers"]
    assert set(layers) == set(tools["importlinter"]["root_packages"]) == set(PACKAGES)
    assert set(PACKAGES) < set(tools["mypy"]["files"])


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_has_hashes_and_no_address(lock: str) -> None:
    text = (REPOSITORY / lock).read_text()
    assert not re.search(r"://|^-", text, re.MULTILINE)
    assert text.count(" \\\n    --hash=sha256:") >= len(_locked(lock)) > 0


def test_the_locks_hold_every_dependency() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    build = _named(PROJECT["build-system"]["requires"])
    run = _named(PROJECT["project"]["dependencies"]).union(*(_named(extras[one]) for one in extras if one != "dev"))
    assert run | build <= set(_locked("requirements.lock"))
    assert run | build | _named(extras["dev"]) <= set(_locked("requirements-dev.lock"))


def test_the_locks_agree() -> None:
    development = _locked("requirements-dev.lock")
    assert {name: development.get(name) for name in _locked("requirements.lock")} == _locked("requirements.lock")


def test_the_extra_all_is_every_extra_but_the_tools() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert extras["all"] == [f"vaguemestre[{','.join(sorted(set(extras) - {'all', 'dev'}))}]"]


def test_a_routing_node_installs_no_heavy_part() -> None:
    heavy = {"hl7apy", "kombu", "saxonche", "weasyprint"}
    core = [line for line in requires("vaguemestre") or [] if "extra ==" not in line]
    assert core
    assert not heavy & _named(core)


@pytest.mark.skipif(not (REPOSITORY / ".git").exists(), reason="not a checkout")
def test_no_file_of_the_packages_is_left_out_by_gitignore() -> None:
    ignored = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "--", *PACKAGES],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert [path for path in ignored if "__pycache__" not in path and not path.endswith(".pyc")] == []
