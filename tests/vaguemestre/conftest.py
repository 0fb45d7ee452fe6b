"""What tests of the application share."""

from importlib import resources

import pytest

from channels.loader import LoadedSite, load_site
from channels.ports import Context
from channels.testing import NOON


@pytest.fixture(scope="session")
def example() -> LoadedSite:
    """The example site that the package carries."""
    with resources.as_file(resources.files("vaguemestre").joinpath("example")) as folder:
        return load_site(folder)


@pytest.fixture
def example_context(example: LoadedSite) -> Context:
    """What a transform sees of the example site."""
    return Context(example.site, "oru-cr-bio", NOON, example.table)
