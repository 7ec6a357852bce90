"""What passes between the judge and the process that computes: plain data, nothing that can run.

A message is a frame: eight bytes each for the length of a JSON header and of the bytes behind it,
then both. The header describes a value, the bytes are those of its arrays. This file also runs in
the other process, which is given its source; it needs NumPy alone.
"""

import json
import math
import struct

import numpy as np

LENGTHS = struct.Struct("<QQ")
LONGEST_HEADER = 1 << 20  # bytes
MOST_NODES, DEEPEST, MOST_AXES = 20_000, 8, 16  # of a value
KINDS = "biufc"


class Malformed(ValueError):
    """What came is no message."""


def frame(header, payload=b""):
    """A message as bytes."""
    told = json.dumps(header, ensure_ascii=True).encode()
    return LENGTHS.pack(len(told), len(payload)) + told + payload


def read_header(data):
    """The header of a message; :class:`Malformed` if it is none."""
    try:
        header = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("the header is no JSON") from None
    if not isinstance(header, dict):
        raise Malformed("the header is no object")
    return header


def encode(value, room=math.inf):
    """(a description, bytes) of a value; what is no plain data is told by the name of its type.

    An array larger than ``room`` bytes is told by its shape.
    """
    arrays, nodes = [], [0]

    def describe(value, depth=0):
        nodes[0] += 1
        if nodes[0] > MOST_NODES or depth > DEEPEST:
            return {"type": type(value).__name__}
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int | float) and not isinstance(value, np.generic):
            return _number(value)
        if isinstance(value, tuple | list):
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [describe(v, depth + 1) for v in value[:MOST_NODES]]}
        return of_array(value)

    def of_array(value):
        kind = type(value).__name__
        try:
            given = value.detach().cpu() if hasattr(value, "detach") else value
            array = np.asarray(given)
        except Exception:  # whatever an object of the learner's answers
            return {"type": kind}
        if array.dtype.kind not in KINDS or array.ndim > MOST_AXES:
            return {"type": kind}
        if array.dtype.itemsize > 8 and array.dtype.kind == "f":  # long double: as good in float64
            array = array.astype(np.float64)
        if array.dtype.itemsize > 16:
            array = array.astype(np.complex128)
        if array.nbytes > room:
            return {"large": list(array.shape), "dtype": array.dtype.str}
        # The order of the axes in memory is kept: a transposed array arrives transposed.
        order = sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))
        arrays.append(array.transpose(order).tobytes())
        name = "scalar" if isinstance(value, np.generic) else "array"
        return {name: list(array.shape), "dtype": array.dtype.str, "order": order}

    description = describe(value)
    return description, b"".join(arrays)


def _number(value):
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return {"type": "int"}
    return int(value) if isinstance(value, int) else float(value)


def decode(description, payload):
    """The value of a description: numbers, tuples, lists, arrays; :class:`Malformed` otherwise.

    What was told by the name of its type becomes an object of a type of that name, which has
    nothing; a large array one of the right shape that takes no memory.
    """
    place, nodes = [0], [0]

    def value(node, depth=0):
        nodes[0] += 1
        if nodes[0] > MOST_NODES + 1 or depth > DEEPEST + 1:
            raise Malformed("a value with too many parts")
        if node is None or isinstance(node, bool | int | float):
            return node
        if not isinstance(node, dict):
            raise Malformed("a part that is no value")
        for kind, make in (("tuple", tuple), ("list", list)):
            if isinstance(node.get(kind), list):
                return make(value(part, depth + 1) for part in node[kind])
        if isinstance(node.get("type"), str):
            return type(clean(node["type"], 60) or "object", (), {"__slots__": ()})()
        return array(node)

    def array(node):
        kind = next((k for k in ("array", "scalar", "large") if k in node), None)
        if kind is None:
            raise Malformed("a part that is no value")
        shape, dtype = _shape(node[kind]), _dtype(node.get("dtype"))
        if kind == "large":
            return np.broadcast_to(np.zeros((), dtype), shape)
        size = math.prod(shape) * dtype.itemsize
        order = node.get("order")
        if not isinstance(order, list) or sorted(map(_axis, order)) != list(range(len(shape))):
            raise Malformed("an order of axes that is none")
        data = payload[place[0] : place[0] + size]
        place[0] += size
        if len(data) != size:
            raise Malformed("an array that is shorter than its shape")
        stored = np.frombuffer(data, dtype).reshape([shape[axis] for axis in order])
        made = np.empty_like(stored)
        made[...] = stored  # a copy that may be written to, in the same order in memory
        back = sorted(range(len(order)), key=order.__getitem__)
        return made.transpose(back)[()] if kind == "scalar" else made.transpose(back)

    made = value(description)
    if place[0] != len(payload):
        raise Malformed("more bytes than the arrays need")
    return made


def _axis(axis):
    if type(axis) is not int:
        raise Malformed("an axis that is no number")
    return axis


def _shape(shape):
    if not isinstance(shape, list) or len(shape) > MOST_AXES:
        raise Malformed("a shape that is none")
    if not all(type(n) is int and 0 <= n < 1 << 40 for n in shape) or math.prod(shape) >= 1 << 58:
        raise Malformed("a shape that is none")
    return tuple(shape)


def _dtype(name):
    known = isinstance(name, str) and len(name) <= 4 and name[:1] in "<>|" and name[1:2] in KINDS
    try:
        dtype = np.dtype(name) if known else None
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in KINDS or dtype.itemsize > 16:
        raise Malformed("a dtype that is none")
    return dtype


def clean(text, most=400):
    """Text of a learner's, made harmless: one line of printable characters, not too long."""
    shown = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * most])
    shown = " ".join(shown.encode("utf-8", "replace").decode().split())
    return shown if len(shown) <= most else shown[:most] + " ..."
