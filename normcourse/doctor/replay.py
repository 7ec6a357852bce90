"""One formula for all norms, with every convention as a setting, and what two outputs are apart."""

from dataclasses import dataclass
from math import prod
from typing import Any

import torch

__all__ = ["Settings", "apart", "fitted_eps", "normalized", "replay", "unit"]

HALF = (torch.float16, torch.bfloat16)
UNEQUAL = 0.02  # of the numbers in half precision, between two that compute the same


@dataclass(frozen=True)
class Settings:
    """How a norm computes; vectors lie along ``channel``, or along the last axes if they have more.

    ``mean`` and ``var`` are running statistics that are used; None for those of the input.
    ``cast`` is "after" or "before" the scale, or "half" where statistics are in half precision,
    too ("half, times" where the reciprocal of the root is rounded). ``mixed`` stands for groups of
    neighbours in memory where channels are last.
    """

    axes: tuple[int, ...]
    channel: int
    centred: bool
    eps: float
    groups: int = 0
    outside: bool = False
    correction: int = 0
    weight: torch.Tensor | None = None
    bias: torch.Tensor | None = None
    offset: bool = False
    mean: torch.Tensor | None = None
    var: torch.Tensor | None = None
    cast: str = "after"
    mixed: bool = False


def replay(x: torch.Tensor, s: Settings) -> torch.Tensor:
    """The output for x: in float64, or rounded where a norm in half precision rounds."""
    half = x.dtype in HALF
    wide = x if half and s.cast.startswith("half") else x.float() if half else x.double()
    hat = normalized(wide, s)
    if half and s.cast == "before":
        hat = hat.to(x.dtype)
    weight, bias = (_along(t, x, s.channel) for t in (s.weight, s.bias))
    if weight is not None:
        hat = hat * (weight.to(hat.dtype) + 1 if s.offset else weight.to(hat.dtype))
    if bias is not None:
        hat = hat + bias.to(hat.dtype)
    return hat.to(x.dtype) if half else hat


def normalized(x: torch.Tensor, s: Settings) -> torch.Tensor:
    """Without scale and shift."""
    if s.mean is not None and s.var is not None:
        mean, var = (_along(t.to(x.dtype), x, s.channel) for t in (s.mean, s.var))
        assert mean is not None
        assert var is not None
        return (x - mean) / _root(var, s)
    z, axes = _grouped(x, s)
    centre = z - z.mean(axes, keepdim=True) if s.centred else z
    n = prod(z.shape[a] for a in axes)
    var = centre.pow(2).mean(axes, keepdim=True)
    if s.correction:
        var = var * (n / max(n - s.correction, 1))
    y = centre * (var + s.eps).rsqrt() if s.cast == "half, times" else centre / _root(var, s)
    if not s.mixed:
        return y.reshape(x.shape)
    return y.reshape(x.shape[0], *x.shape[2:], x.shape[1]).movedim(-1, 1)


def _root(var: torch.Tensor, s: Settings) -> torch.Tensor:
    return var.sqrt() + s.eps if s.outside else (var + s.eps).sqrt()


def _grouped(x: torch.Tensor, s: Settings) -> tuple[torch.Tensor, tuple[int, ...]]:
    """With an axis for each group's inside, and the axes that share a statistic."""
    if s.mixed:  # (N, H, W, C) cut into groups as if it were (N, G, ...)
        z = x.movedim(1, -1).reshape(x.shape[0], s.groups, -1)
        return z, (2,)
    if not s.groups:
        return x, s.axes
    d = 1 if 1 in s.axes else s.axes[-1]
    z = x.unflatten(d, (s.groups, x.shape[d] // s.groups))
    return z, tuple(a + (a >= d) for a in s.axes)


def _along(t: torch.Tensor | None, x: torch.Tensor, channel: int) -> torch.Tensor | None:
    """A vector in a shape that meets x."""
    if t is None or t.ndim >= x.ndim or t.numel() == 1:
        return t
    if t.ndim > 1:
        return t if tuple(t.shape) == tuple(x.shape[-t.ndim :]) else t.reshape(-1)
    axis = channel % x.ndim
    if x.shape[axis] != t.numel():
        axis = next((a for a in range(x.ndim - 1, 0, -1) if x.shape[a] == t.numel()), axis)
    return t.reshape([-1 if a == axis else 1 for a in range(x.ndim)])


def unit(y: torch.Tensor) -> float:
    """One rounding of numbers of this size: the machine epsilon times their root mean square."""
    size = float(y.double().pow(2).mean().sqrt())
    return torch.finfo(y.dtype).eps * max(size, 1e-30)


def apart(a: torch.Tensor, b: torch.Tensor) -> float:
    """The largest difference; infinite where one is not finite and the other is."""
    a, b = a.detach().double(), b.detach().double()
    same = (a == b) | (a.isnan() & b.isnan())
    difference = torch.where(same, 0.0, (a - b).abs()).nan_to_num(nan=float("inf"))
    return float(difference.max()) if difference.numel() else 0.0


def unequal(a: torch.Tensor, b: torch.Tensor) -> float:
    """The share of the numbers that are not the same."""
    return float((a.double() != b.double()).double().mean())


def fitted_eps(x: torch.Tensor, y: torch.Tensor, s: Settings) -> float | None:
    """The ε with which the settings come nearest to an output, or None.

    Of each statistic the output tells 1 / root, the root tells ε, and the smallest variance tells
    it best.
    """
    x, y = x.double(), y.double()
    weight, bias = (_along(t, x, s.channel) for t in (s.weight, s.bias))
    y = y if bias is None else y - bias.double()
    scale: Any = 1.0 if weight is None else weight.double() + (1.0 if s.offset else 0.0)
    if s.mean is not None and s.var is not None:
        mean, var = (_along(t.double(), x, s.channel) for t in (s.mean, s.var))
        axes: tuple[int, ...] = tuple(a for a in range(x.ndim) if a != s.channel % x.ndim)
        assert mean is not None
        centre, target = (x - mean) * scale, y
        v: Any = var
    elif s.mixed:
        return None
    else:
        z, axes = _grouped(x, s)
        centre = z - z.mean(axes, keepdim=True) if s.centred else z
        n = prod(z.shape[a] for a in axes)
        v = centre.pow(2).sum(axes, keepdim=True) / max(n - s.correction, 1)
        target, _ = _grouped(y, s)
        shaped = torch.as_tensor(scale, dtype=x.dtype).expand(x.shape)
        centre = centre * _grouped(shaped, s)[0]
    power = centre.pow(2).sum(axes, keepdim=True)
    inverse = (centre * target).sum(axes, keepdim=True) / power.clamp_min(1e-300)
    v = v.expand_as(inverse) if v.ndim == inverse.ndim else v.reshape(inverse.shape)
    known = (inverse > 0) & (power > 0)
    if not bool(known.any()):
        return None
    inverse, v = inverse[known], v[known]
    found = 1 / inverse - v.sqrt() if s.outside else 1 / inverse.pow(2) - v
    share = 1 / (v + v.median() * 1e-6 + 1e-30).pow(2)
    eps = float((found * share).sum() / share.sum())
    return eps if 0 <= eps < 1e3 else None
