"""Frames are found however the bytes come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mllp.frames import FrameProtocol, Scratch, framed


class Collector(FrameProtocol):
    """Keeps what it is given. limit: frames until it wants no more for the moment."""

    def __init__(self, max_size: int = 1_000_000, scratch: int = 64, limit: int = 0, memory: int = 10_000_000) -> None:
        super().__init__(Scratch(scratch), max_size)
        self.frames: list[bytes] = []
        self.cuts: list[bytes] = []
        self.large: list[bytes] = []
        self.limit, self.memory, self.kept = limit, memory, 0

    def frame(self, body: bytes) -> None:
        self.frames.append(body)
        if self.limit and len(self.frames) % self.limit == 0:
            self._stalled = True

    def cut(self, beginning: bytes) -> None:
        self.cuts.append(beginning)

    def too_large(self, beginning: bytes) -> None:
        self.large.append(beginning)

    def reserve(self, size: int) -> bool:
        if size > 0 and self.kept + size > self.memory:
            return False
        self.kept += size
        return True

    def feed(self, data: bytes, size: int) -> None:
        """As a transport does: into the buffer that it is given, as much as fits."""
        while data:
            buffer = self.get_buffer(-1)
            count = min(size, len(buffer), len(data))
            buffer[:count] = data[:count]
            self.buffer_updated(count)
            data = data[count:]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000])
def test_a_frame_is_found_however_it_is_cut(size: int) -> None:
    wire = b"noise\r\n" + framed(b"one") + framed(b"two\r\n") + b"\x0bthree\x1c\n\x0bfour\x1c\r\n\x0bfive\x1c"
    protocol = Collector()
    protocol.feed(wire, size)
    assert protocol.frames == [b"one", b"two\r\n", b"three", b"four", b"five"]
    assert not protocol.in_frame
    assert protocol.kept == 0


BODIES = st.lists(
    st.binary(max_size=300).map(lambda body: body.replace(b"\x0b", b"").replace(b"\x1c", b"")), max_size=8
)
NOISE = st.binary(max_size=5).map(lambda noise: noise.replace(b"\x0b", b"").replace(b"\x1c", b""))


@given(
    BODIES,
    NOISE,
    st.sampled_from([b"\x1c\r", b"\x1c", b"\x1c\n", b"\x1c\r\n"]),
    st.integers(1, 400),
    st.integers(1, 100),
)
def test_every_frame_comes_once_and_in_order(
    bodies: list[bytes], noise: bytes, end: bytes, size: int, scratch: int
) -> None:
    protocol = Collector(scratch=scratch)
    protocol.feed(b"".join(noise + b"\x0b" + body + end for body in bodies), size)
    assert protocol.frames == bodies
    assert protocol.cuts == []
    assert protocol.kept == 0


@given(BODIES, st.integers(1, 400), st.integers(1, 3))
def test_one_who_wants_no_more_is_given_no_more(bodies: list[bytes], size: int, limit: int) -> None:
    protocol = Collector(scratch=50, limit=limit)
    wire = b"".join(map(framed, bodies))
    while wire or protocol._left:
        assert len(protocol.frames) <= len(bodies)
        before = len(protocol.frames)
        if not protocol._stalled:
            protocol.feed(wire[:size], size)
            wire = wire[size:]
        if protocol._stalled:
            protocol.go_on()
        elif not wire and len(protocol.frames) == before:
            break
    assert protocol.frames == bodies


@given(st.lists(st.binary(max_size=80), max_size=10), st.integers(1, 50))
def test_any_bytes_leave_it_able_to_read_the_next_frame(pieces: list[bytes], size: int) -> None:
    protocol = Collector()
    protocol.feed(b"".join(pieces), size)
    protocol.feed(framed(b"next"), size)
    assert protocol.frames[-1] == b"next"
    assert all(b"\x0b" not in body and b"\x1c" not in body for body in protocol.frames)
    assert protocol.kept == 0


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("beginning", [b"", b"cut", b"x" * 500])
def test_a_frame_that_begins_again_was_cut(size: int, beginning: bytes) -> None:
    protocol = Collector(scratch=1000)
    protocol.feed(b"\x0b" + beginning + framed(b"whole"), size)
    assert protocol.frames == [b"whole"]
    assert b"".join(protocol.cuts) == beginning


def test_a_lost_connection_cuts_its_frame() -> None:
    protocol = Collector()
    protocol.feed(framed(b"one") + b"\x0bbeginning", 5)
    protocol.connection_lost(None)
    assert protocol.cuts == [b"beginning"]
    assert protocol.kept == 0
    protocol.feed(framed(b"two"), 50)
    assert protocol.frames == [b"one"]


@pytest.mark.parametrize("size", [10, 64, 100_000])
@pytest.mark.parametrize("whole", [True, False])
def test_a_frame_larger_than_may_be_is_given_up(size: int, whole: bool) -> None:
    protocol = Collector(max_size=10_000, scratch=200_000)
    protocol.feed(b"\x0bMSH|" + b"x" * 20_000 + (b"\x1c\r" if whole else b""), size)
    assert protocol.frames == []
    assert len(protocol.large) == 1
    assert protocol.large[0].startswith(b"MSH|")
    assert protocol.kept == 0
    protocol.feed(framed(b"more"), size)
    assert protocol.frames == []


def test_a_frame_of_just_the_largest_size_is_taken() -> None:
    protocol = Collector(max_size=10_000)
    protocol.feed(framed(b"x" * 10_000), 64)
    assert len(protocol.frames) == 1
    assert protocol.large == []


def test_memory_for_frames_under_way_is_bounded() -> None:
    protocol = Collector(memory=50_000)
    protocol.feed(b"\x0bMSH|" + b"x" * 200_000, 64)
    assert len(protocol.large) == 1
    assert protocol.kept == 0
    assert sum(len(part) for part in protocol._parts) == 0


def test_pieces_grow_with_the_frame() -> None:
    protocol = Collector(max_size=50_000_000, scratch=262_144, memory=100_000_000)
    body = bytes(range(32, 127)) * 60_000
    protocol.feed(framed(body), 200_000)
    assert protocol.frames == [body]
