"""Keys of national numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import identifiers
from transforms.ins import ins_key_is_right


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
        (identifiers.adeli, "751234567", True),
        (identifiers.adeli, "2A1234567", True),
        (identifiers.adeli, "75123456", False),
        (identifiers.luhn, "", False),
        (identifiers.luhn, "75071218A", False),
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


def test_every_kind_has_its_rule() -> None:
    assert identifiers.is_right("IDNST", "1750712184")
    assert not identifiers.is_right("SIREN", "732829321")
    with pytest.raises(KeyError):
        identifiers.is_right("NIR", "")


@given(st.from_regex(r"[0-9]{8}", fullmatch=True), st.from_regex(r"[0-9]{4}", fullmatch=True))
def test_another_library_agrees_on_siren_and_siret(begin: str, more: str) -> None:
    siren, siret = pytest.importorskip("stdnum.fr.siren"), pytest.importorskip("stdnum.fr.siret")
    company = next(f"{begin}{key}" for key in range(10) if identifiers.siren(f"{begin}{key}"))
    for key in range(10):
        assert identifiers.siren(f"{begin}{key}") is siren.is_valid(f"{begin}{key}")
        ours, post = f"{company}{more}{key}", f"356000000{more}{key}"
        assert identifiers.siret(ours) is siret.is_valid(ours)
        # Of La Poste we take both keys: which of its offices has which is not published.
        assert identifiers.siret(post) is (siret.is_valid(post) or identifiers.luhn(post))


@given(st.from_regex(r"[12][0-9]{2}(0[1-9]|1[0-2])([0-8][0-9]|9[0-5]|2A|2B)[0-9]{6}", fullmatch=True))
def test_another_library_agrees_on_the_key_of_the_ins(number: str) -> None:
    nir = pytest.importorskip("stdnum.fr.nir")
    for key in range(100):
        assert ins_key_is_right(f"{number}{key:02d}") is nir.is_valid(f"{number}{key:02d}")
