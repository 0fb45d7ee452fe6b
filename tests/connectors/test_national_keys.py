"""A number with a wrong key is not sent to a national service in production."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from channels.errors import ConfigError, ProfileError
from channels.ports import Surroundings
from channels.site import Site
from connectors.dmp.identity import Identity
from connectors.dmp.settings import DmpSettings
from connectors.insi.service import Insi
from connectors.insi.settings import InsiServiceSettings
from tests.transforms.test_xds import submission
from transforms.submission import Organization, Person, Sender

STRUCTURE, AT = "1750712184", datetime(2026, 3, 10, tzinfo=UTC)


def site(domain: str = "production", **changes: Any) -> Site:
    return Site.model_validate(
        {
            "site": "essai", "establishment": {"name": "CH", "finess": "750712184"}, "ins_domain": domain,
            "pfi": {"organization": {"id": STRUCTURE, "name": "CH"}, "source_oid": "1.2.250.1.999999.3"}, **changes,
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    "number, domain, right",
    [
        ("810000005479", "production", True),
        ("10000005479", "production", True),
        ("0751234567", "production", True),
        ("810000005478", "production", False),
        ("10000005478", "production", False),
        ("810000005478", "test", True),
    ],
)
def test_the_dmp_is_not_called_in_the_name_of_a_wrong_number(number: str, domain: str, *, right: bool) -> None:
    options = DmpSettings.model_validate({"registry": "https://dmp.example/registry", "sign": "sign"})
    identity = Identity(options, site(domain))
    request = submission(sender=Sender(Person(number, "DURAND"), Organization(STRUCTURE, kind="IDNST")))
    if right:
        assert identity.assertion(request, "_1", AT).subject.endswith(number)
        return
    with pytest.raises(ProfileError) as refusal:
        identity.assertion(request, "_1", AT)
    assert (refusal.value.place, refusal.value.condition) == ("PRT[SB]-5.1", "102")
    assert number not in str(refusal.value)


@pytest.mark.parametrize(
    "billing, domain, right",
    [
        (None, "production", True),
        ("73282932000074", "production", True),
        ("750712185", "production", False),
        ("73282932000075", "production", False),
        ("750712185", "test", True),
    ],
)
def test_insi_is_not_called_with_a_wrong_billing_number(
    tmp_path: Path, billing: str | None, domain: str, *, right: bool
) -> None:
    options = InsiServiceSettings.model_validate(
        {"url": "http://insi.example/lps", "sign": "none", "context": {"idam": "X"}, "assertion": {"billing": billing}}
    )
    # Who gets past the number is told of the certificate, which is not there.
    with pytest.raises(ConfigError, match="no certificate 'none'" if right else r"^assertion\.billing: "):
        Insi(options, Surroundings(site(domain), tmp_path, "adt", "transform")).check()
