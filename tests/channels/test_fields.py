"""The types of settings."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from channels.fields import Address, HostPort, Seconds, Settings, SizeBytes, one_or_more


class _Listening(Settings):
    listen: Address


@pytest.mark.parametrize(
    "text,seconds",
    [("30s", 30.0), ("250 ms", 0.25), ("1.5m", 90.0), ("2min", 120.0), ("1h", 3600.0), ("90d", 7776000.0), (0, 0.0)],
)
def test_a_duration_has_its_unit(text: Any, seconds: float) -> None:
    assert TypeAdapter(Seconds).validate_python(text) == seconds


@pytest.mark.parametrize(
    "text,size",
    [("50MB", 50_000_000), ("1 GiB", 1 << 30), ("1.5kB", 1500), ("10B", 10), ("2KiB", 2048), ("1MiB", 1 << 20), (0, 0)],
)
def test_a_size_has_its_unit(text: Any, size: int) -> None:
    assert TypeAdapter(SizeBytes).validate_python(text) == size


@pytest.mark.parametrize("kind", [Seconds, SizeBytes])
@pytest.mark.parametrize("value", [30, True, "30", "30 parsecs", "s", "-1s", None, "1e3s", ""])
def test_a_number_without_a_known_unit_is_refused(kind: Any, value: Any) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(kind).validate_python(value)


@pytest.mark.parametrize(
    "text,host,port,shown",
    [
        ("dpi.chu.example:2575", "dpi.chu.example", 2575, "dpi.chu.example:2575"),
        (":2575", "0.0.0.0", 2575, "0.0.0.0:2575"),
        ("[::1]:2575", "::1", 2575, "[::1]:2575"),
        ("127.0.0.1:0", "127.0.0.1", 0, "127.0.0.1:0"),
    ],
)
def test_an_address_is_a_host_and_a_port_that_print_as_they_are_written(
    text: str, host: str, port: int, shown: str
) -> None:
    address = _Listening.model_validate({"listen": text}).listen
    assert (address.host, address.port, str(address)) == (host, port, shown)
    assert _Listening(listen=address).listen is address
    assert address == HostPort(host, port)


@pytest.mark.parametrize("text", ["dpi", "dpi:", "dpi:65536", "dpi:mllp", 2575, None])
def test_what_has_no_port_is_no_address(text: Any) -> None:
    with pytest.raises(ValidationError):
        _Listening.model_validate({"listen": text})


def test_one_value_stands_for_a_list_of_one() -> None:
    assert (one_or_more("x"), one_or_more(["x", "y"]), one_or_more(())) == (["x"], ["x", "y"], ())
