"""Messages: what is sent arrives, and what is no message is refused, whatever its bytes."""

import contextlib
import json
import os
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from normcourse.grading import wire
from normcourse.grading.channel import Broken, Channel, Late

DTYPES = st.sampled_from(["?", "i1", "<i4", "<i8", "<u2", "<f2", "<f4", ">f8", "<c8"])
ARRAYS = DTYPES.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=4)))
NUMBERS = st.one_of(st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.floats())
VALUES = st.recursive(
    st.one_of(ARRAYS, NUMBERS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.lists(inner, max_size=4).map(tuple)
    ),
    max_leaves=12,
)  # fmt: skip
KEYS = ["array", "scalar", "large", "tuple", "list", "type", "dtype", "order", "id"]
JSONS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(
            st.sampled_from(
                ["array", "scalar", "large", "tuple", "list", "type", "dtype", "order", "id"]
            ),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=20,
)


def equal(a, b):
    if isinstance(a, tuple | list):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, np.ndarray):
        same = isinstance(b, np.ndarray) and a.dtype == b.dtype and a.shape == b.shape
        return same and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    return type(a) is type(b) and (a == b or a != a)


@given(VALUES)
def test_what_is_sent_arrives(value):
    description, payload = wire.encode(value)
    header = wire.read_header(json.dumps({"value": description}).encode())
    assert equal(value, wire.decode(header["value"], payload))


@given(st.permutations(range(4)), st.booleans())
def test_the_order_in_memory_is_kept(order, back):
    x = np.arange(24.0, dtype=np.float32).reshape(1, 2, 3, 4).transpose(order)
    arrived = wire.decode(*wire.encode(x))
    assert np.array_equal(arrived, x)
    axes = [axis for axis in range(4) if x.shape[axis] > 1]
    assert np.argsort([-x.strides[a] for a in axes]).tolist() == (
        np.argsort([-arrived.strides[a] for a in axes]).tolist()
    )
    arrived += 1  # it is the learner's, and can be written to


@given(st.binary(max_size=200))
def test_bytes_that_are_no_header_are_refused(data):
    with contextlib.suppress(wire.Malformed):
        assert isinstance(wire.read_header(data), dict)


@given(JSONS, st.binary(max_size=64))
def test_a_description_that_is_none_is_refused_or_read(node, payload):
    try:
        value = wire.decode(node, payload)
    except wire.Malformed:
        return
    leaves = [value]
    while leaves:
        leaf = leaves.pop()
        if isinstance(leaf, tuple | list):
            leaves += leaf
        elif isinstance(leaf, np.ndarray):  # no array takes memory that did not arrive
            assert leaf.nbytes <= len(payload) or 0 in leaf.strides or leaf.size <= 1


@pytest.mark.parametrize(
    "node",
    [
        {"array": [1 << 39, 1 << 39], "dtype": "<f4", "order": [0, 1]},
        {"array": [-1], "dtype": "<f4", "order": [0]},
        {"array": [True], "dtype": "<f4", "order": [0]},
        {"array": [1], "dtype": "O", "order": [0]},
        {"array": [1], "dtype": "<f16", "order": [0]},
        {"array": [1], "dtype": "(9,)f4", "order": [0]},
        {"array": [1], "dtype": "<U4", "order": [0]},
        {"array": [1], "dtype": "<f4", "order": [0, 0]},
        {"array": [1], "dtype": "<f4", "order": ["0"]},
        {"array": [1] * 40, "dtype": "<f4", "order": list(range(40))},
        {"large": "all"},
        {"large": [1 << 39, 1 << 39], "dtype": "<f4"},
        {"large": [2], "dtype": "<c32"},
        {"tuple": [{}]},
        [1],
    ],
)
def test_arrays_that_cannot_be_are_refused(node):
    with pytest.raises(wire.Malformed):
        wire.decode(node, b"\0" * 4 if "array" in node else b"")


def test_too_many_parts_are_refused():
    with pytest.raises(wire.Malformed):
        wire.decode({"list": [1] * 100_000}, b"")
    deep = 1
    for _ in range(500):
        deep = {"list": [deep]}
    with pytest.raises(wire.Malformed):
        wire.decode(deep, b"")
    with pytest.raises(wire.Malformed):
        wire.read_header(b"[" * 200_000)
    with pytest.raises(wire.Malformed):
        wire.decode(1, b"more")


@given(st.text())
def test_text_is_made_harmless(text):
    shown = wire.clean(text, 50)
    assert len(shown) <= 54
    assert all(c.isprintable() for c in shown)
    shown.encode("utf-8")


def test_a_large_array_is_told_by_its_shape():
    description, payload = wire.encode((np.zeros((1000, 10)), 1), room=100)
    assert payload == b""
    value, _ = wire.decode(description, payload)
    assert value.shape == (1000, 10)


@pytest.fixture
def pipes():
    """A channel, and the ends that the other side has."""
    (a, b), (c, d) = os.pipe(), os.pipe()
    with os.fdopen(b, "wb") as to, os.fdopen(c, "rb") as back:
        yield Channel(to, back), a, d
    for end in (a, d):
        with contextlib.suppress(OSError):
            os.close(end)


def test_nobody_is_waited_for_for_ever(pipes):
    channel, _, _ = pipes
    started = time.monotonic()
    with pytest.raises(Late):
        channel.receive(0.2, 100)
    with pytest.raises(Late):
        channel.send(b"x" * (1 << 22), 0.2)  # nobody reads
    assert time.monotonic() - started < 2


def test_an_answer_byte_by_byte_is_an_answer(pipes):
    channel, _, back = pipes

    def slowly():
        for byte in wire.frame({"id": 1}, b"abc"):
            os.write(back, bytes([byte]))

    thread = threading.Thread(target=slowly)
    thread.start()
    assert channel.receive(5, 100) == ({"id": 1}, b"abc")
    thread.join()


def test_what_is_too_long_is_not_read(pipes):
    channel, _, back = pipes
    os.write(back, wire.LENGTHS.pack(2, 1 << 60) + b"{}")
    with pytest.raises(wire.Malformed, match="too long"):
        channel.receive(1, 100)


def test_a_closed_end_is_told(pipes):
    channel, to, back = pipes
    os.close(back)
    with pytest.raises(Broken):
        channel.receive(1, 100)
    os.close(to)
    with pytest.raises(Broken):
        channel.send(b"x" * (1 << 20), 1)
