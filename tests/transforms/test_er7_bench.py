"""The benchmark of the reader measures what it says."""

from __future__ import annotations

import pytest


def test_every_reader_has_a_figure_for_every_message() -> None:
    er7 = pytest.importorskip("bench.er7", reason="bench/ is only in a checkout")
    rows = er7.measure(0.001)
    assert {row["reader"] for row in rows} == {"vaguemestre", "python-hl7", "hl7apy"}
    assert all(value for row in rows for value in row.values())
    assert len({tuple(row) for row in rows}) == 1
