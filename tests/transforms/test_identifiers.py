"""Keys of national numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import identifiers


@pytest.mark.parametrize("number", ["10000005479", "99700366240"])
def test_published_rpps_numbers_have_their_key(number: str) -> None:
    assert identifiers.rpps(number)
    assert identifiers.professional(f"8{number}")
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not identifiers.rpps(wrong)
    assert not identifiers.professional(f"8{wrong}")


@pytest.mark.parametrize("number", ["770816478", "750712184", "690781810", "590064036", "300017985"])
def test_published_finess_numbers_have_their_key(number: str) -> None:
    assert identifiers.finess(number)
    assert identifiers.structure(f"1{number}")
    assert not identifiers.finess(number[:-1] + str((int(number[-1]) + 5) % 10))


@pytest.mark.parametrize(
    "check, number, right",
    [
        (identifiers.finess, "2A0000055", True),
        (identifiers.finess, "2C0000055", False),
        (identifiers.siren, "732829320", True),
        (identifiers.siret, "73282932000074", True),
        (identifiers.siret, "73282932000075", False),
        (identifiers.siret, "35600000049837", True),
        (identifiers.professional, "3750712184/42", True),
        (identifiers.professional, "3750712184", False),
        (identifiers.professional, "0751234567", True),
        (identifiers.professional, "", False),
        (identifiers.structure, "2732829320", True),
        (identifiers.structure, "9750712184", False),
        (identifiers.rpps, "1000000547", False),
        (identifiers.rpps, "\uff11" + "0" * 10, False),
    ],
)
def test_numbers_are_told_apart(check: object, number: str, right: bool) -> None:
    assert callable(check)
    assert check(number) is right


@given(st.integers(0, 10**10 - 1), st.integers(0, 10), st.integers(1, 9))
def test_one_wrong_digit_is_always_found(start: int, place: int, change: int) -> None:
    digits = f"{start:010d}"
    number = next(digits + str(key) for key in range(10) if identifiers.rpps(digits + str(key)))
    wrong = number[:place] + str((int(number[place]) + change) % 10) + number[place + 1 :]
    assert not identifiers.rpps(wrong)
