"""What is wrong with a unit, or with a conversion."""

from __future__ import annotations

from channels.errors import VaguemestreError

__all__ = ["ConversionError", "UcumError", "UnitError"]


class UcumError(VaguemestreError):
    """A unit that UCUM does not know, or a conversion that cannot be made exactly."""


class UnitError(UcumError):
    """Not a UCUM code.

    position: index of the character where reading stopped.
    """

    def __init__(self, problem: str, position: int) -> None:
        self.problem, self.position = problem, position
        super().__init__(f"not a UCUM unit: {problem}, at character {position + 1}")

    def __reduce__(self) -> tuple[type[UnitError], tuple[str, int]]:
        """Pickle with the position."""
        return type(self), (self.problem, self.position)


class ConversionError(UcumError):
    """Two units of which one does not convert exactly into the other."""
