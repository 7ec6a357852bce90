"""Which module of one model is which of the other, and what came in and out of both."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import nn

from normcourse.doctor.patient import Patient, buffers_kept
from normcourse.doctor.recognize import Norm, recognize
from normcourse.doctor.replay import apart, unit
from normcourse.doctor.trace import Call, Trace, first_tensor, watch

__all__ = ["Pair", "Side", "aligned", "as_tensor", "observe", "paired", "paired_with_arrays"]

ALL = 2**40  # samples


@dataclass
class Side:
    """A module's call: input and output, and the norm that it is, if it is one."""

    name: str
    call: Call
    x: torch.Tensor
    y: torch.Tensor
    norm: Norm | None = None

    @property
    def module(self) -> nn.Module:
        return self.call.module

    @property
    def kind(self) -> str:
        """What has to be the same in both models."""
        if self.norm is not None:
            return "norm"
        weighted = isinstance(self.module, nn.Linear | nn.modules.conv._ConvNd)
        return "weighted" if weighted else type(self.module).__name__.lower()


@dataclass
class Pair:
    """A call of the first model and what the other has for it, in the first one's layout.

    ``axes`` are the other's axes in the order of the first's. ``x`` is the other's input, None
    where only outputs were recorded; ``other`` is its call, if it is a module.
    """

    one: Side
    y: torch.Tensor
    name: str
    axes: tuple[int, ...]
    x: torch.Tensor | None = None
    other: Side | None = None
    away: float = field(default=0.0)


def observe(model: nn.Module, batch: Any, deadline: float) -> tuple[list[Side], Trace]:
    """One run as the modes are: the calls of all modules without children that return a tensor.

    Raises:
        ModelError: the model raised an error.
        OutOfTime: the time was up.
    """
    patient = Patient(model, batch, deadline=deadline)
    with (
        buffers_kept(model),
        torch.no_grad(),
        watch(patient.names, deadline, lambda module: not any(module.children()), ALL) as trace,
    ):
        patient.call(model, batch)
    norms: dict[str, Norm | None] = {}
    known: dict[Any, Norm] = {}
    sides = []
    for call in trace.calls:
        x, y = call.ends
        if x is None or y is None or call.x is None:
            continue
        if call.name not in norms:
            patient.tick()
            with torch.random.fork_rng(devices=[]):
                norms[call.name] = recognize(call.name, call.module, call, known)
        sides.append(Side(call.name, call, x, y, norms[call.name]))
    return sides, trace


def paired(ones: Sequence[Side], others: Sequence[Side]) -> list[Pair]:
    """By name, where all norms of the first are in the other; else by order and kind."""
    by_name: dict[tuple[str, int], Side] = {}
    for side in others:
        by_name[side.name, _occurrence(by_name, side.name)] = side
    seen: dict[tuple[str, int], Side] = {}
    found: list[tuple[Side, Side]] = []
    missed = False
    for side in ones:
        key = side.name, _occurrence(seen, side.name)
        seen[key] = side
        if key in by_name and side.y.numel() == by_name[key].y.numel():
            found.append((side, by_name[key]))
        else:
            missed = missed or side.norm is not None
    if missed or not found:
        a, b = ([(s.kind, s.y.numel()) for s in sides] for sides in (ones, others))
        blocks = SequenceMatcher(None, a, b, autojunk=False).get_matching_blocks()
        found = [(ones[i + k], others[j + k]) for i, j, n in blocks for k in range(n)]
    pairs = []
    for one, other in found:
        axes = aligned(one.y, other.y)
        inside = axes if one.x.ndim == one.y.ndim else aligned(one.x, other.x)
        if axes is None:
            continue
        pair = Pair(one, other.y.permute(axes), other.name, axes, other=other)
        if inside is not None and other.x.ndim == len(inside):
            x = other.x.permute(inside)
            pair.x = x if x.shape == one.x.shape else None
        pairs.append(pair)
    return pairs


def _occurrence(seen: dict[tuple[str, int], Side], name: str) -> int:
    k = 0
    while (name, k) in seen:
        k += 1
    return k


NORM_LIKE = re.compile(r"norm|(^|[._/\d])(bn|ln|gn|rms)", re.IGNORECASE)


def paired_with_arrays(ones: Sequence[Side], arrays: Mapping[str, Any]) -> list[Pair]:
    """By name; or, in their order, with the next call that has such an output.

    A name that sounds like a norm means one, and others do not.
    """
    left = list(ones)
    names = {side.name for side in ones}
    found = []
    for name, array in arrays.items():
        y = as_tensor(array)
        like = NORM_LIKE.search(name) is not None
        if name in names:
            fitting = [s for s in left if s.name == name]
        else:
            fitting = [s for s in left if (s.norm is not None) == like]
        for side in fitting:
            axes = aligned(side.y, y)
            if axes is not None:
                found.append(Pair(side, _laid(y, axes, side.y).to(side.y), name, axes))
                left = left[left.index(side) + 1 :] if name not in names else left
                break
    order = {id(side): k for k, side in enumerate(ones)}
    return sorted(found, key=lambda pair: order[id(pair.one)])


def _laid(y: torch.Tensor, axes: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    return y.permute(axes) if len(axes) == y.ndim and axes else y.reshape(like.shape)


def as_tensor(array: Any) -> torch.Tensor:
    """A copy of another framework's array."""
    if isinstance(array, torch.Tensor):
        return array.detach().clone()
    held = np.array(array)
    if held.dtype.name == "bfloat16":  # which NumPy has from JAX, and torch does not take
        return torch.from_numpy(held.astype(np.float32)).bfloat16()
    return torch.from_numpy(held)


def aligned(like: torch.Tensor, y: torch.Tensor) -> tuple[int, ...] | None:
    """The order of y's axes that fits, the nearest where several do; None where none does.

    Of several orders the first is that of y, then channels from last to second; another one has to
    be much nearer. () stands for another shape with as many numbers, as (N * L, C) for (N, L, C).
    """
    if like.ndim != y.ndim:
        return () if like.numel() == y.numel() and like.numel() > 0 else None
    d = y.ndim
    if d > 6:
        return tuple(range(d)) if like.shape == y.shape else None
    orders = [tuple(range(d)), *([(0, d - 1, *range(1, d - 1))] if d > 2 else [])]
    orders += [p for p in permutations(range(d)) if p not in orders]
    best, least = None, float("inf")
    near = 100 * unit(like)
    for order in orders:
        if tuple(y.shape[a] for a in order) != tuple(like.shape):
            continue
        away = apart(like, y.permute(order))
        if best is None or away < 0.1 * least:
            best, least = order, away
        if least <= near:
            break
    return best


def output_of(trace: Trace) -> torch.Tensor | None:
    """What a model returned."""
    y = first_tensor(trace.output)
    return None if y is None else y.detach()
