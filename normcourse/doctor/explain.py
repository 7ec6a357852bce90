"""Why two norms differ: conventions are tried one after the other, and in pairs."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from normcourse.doctor.conventions import (
    EXPLANATIONS,
    Outputs,
    biased_variance,
    cast_order,
    epsilon,
    epsilon_outside_the_root,
    half_statistics,
)
from normcourse.doctor.recognize import Norm
from normcourse.doctor.replay import Settings, apart, replay

__all__ = ["Cause", "causes", "settings_of", "vectors"]


@dataclass(frozen=True)
class Cause:
    """Explanations that together remove a difference; ``left`` is what remains of it."""

    names: tuple[str, ...]
    said: str
    left: float


def causes(base: Settings, o: Outputs, tick: Callable[[], None]) -> list[Cause]:
    """What removes the difference, each by itself; where nothing does, in pairs.

    Args:
        base: the settings of the first model's norm.
        o: input and output of the second's.
        tick: called before each trial; it may raise.
    """
    found: list[Cause] = []
    for name, said, settings in _changed(base, o):
        tick()
        if name not in {n for c in found for n in c.names} and o.agrees(settings):
            found.append(Cause((name,), said, apart(replay(o.x, settings), o.y)))
    if found:
        return found
    order = list(EXPLANATIONS)
    for name, said, settings in _changed(base, o):
        for other, more, both in _changed(settings, o):
            if order.index(other) <= order.index(name):
                continue
            tick()
            if (name, other) not in {c.names for c in found} and o.agrees(both):
                left = apart(replay(o.x, both), o.y)
                found.append(Cause((name, other), f"{said}, and {more}", left))
    return found


def _changed(s: Settings, o: Outputs) -> Iterator[tuple[str, str, Settings]]:
    for name, tried in EXPLANATIONS.items():
        if tried.settings is not None:
            for said, settings in tried.settings(s, o):
                yield name, said, settings


EPS = ("eps", "epsilon", "variance_epsilon")


def settings_of(
    norm: Norm, x: torch.Tensor, y: torch.Tensor, limit: float, training: bool
) -> Settings | None:
    """The settings that replay a norm's own output; None where none do."""
    if norm.kind == "switchable":
        return None
    held = vectors(norm)
    uses_running = norm.tracks and not (training and norm.batch_count)
    given = next((v for k in EPS if isinstance(v := getattr(norm.module, k, None), float)), None)
    base = Settings(
        tuple(a % x.ndim for a in norm.axes),
        norm.channel,
        norm.centred,
        torch.finfo(x.dtype).eps if given is None else given,
        norm.groups,
        weight=held["weight"],
        bias=held["bias"],
        offset=norm.offset,
        mean=held["mean"] if uses_running else None,
        var=held["var"] if uses_running else None,
    )
    own = Outputs(x, y, limit, {})
    if own.agrees(base):
        return base
    tried = (epsilon_outside_the_root, biased_variance, cast_order, half_statistics, epsilon)
    for first in tried:
        for _, settings in first(base, own):
            for s in (settings, *(s for _, s in epsilon(settings, own))):
                if own.agrees(s):
                    return s
    return None


def vectors(norm: Norm) -> dict[str, torch.Tensor | None]:
    """γ, β and the running statistics of a norm."""
    running = norm.running or ("", "")
    names = {"weight": norm.weight, "bias": norm.bias, "mean": running[0], "var": running[1]}
    found = {role: norm.tensor(name) for role, name in names.items()}
    return {role: None if t is None else t.detach() for role, t in found.items()}
