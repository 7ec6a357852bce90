"""What a module normalizes, by its class where torch wrote it, else by what it computes.

One number of the input is moved: the outputs that move with it share a statistic. A norm ignores
the scale of those numbers, and where it subtracts a mean their shift, too; and what it returns is
a linear function of the normalized numbers, position by position.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.modules import batchnorm, instancenorm

from normcourse.doctor.trace import Call, first_tensor

__all__ = ["Norm", "Probe", "recognize"]

BATCH = ("batch", "switchable")
RANKS: dict[str, tuple[int, ...]] = {"1d": (), "2d": (3, 3), "3d": (2, 2, 2)}


@dataclass(frozen=True)
class Norm:
    """A normalization layer found in a model.

    ``kind`` is "batch", "instance", "layer", "group", "rms" or "switchable", ``axes`` are those of
    the recorded input that share a statistic, ``count`` is how many numbers do, and ``channel`` is
    the axis that keeps its own. ``offset`` is True where the weight is stored as γ - 1.
    """

    name: str
    module: nn.Module
    kind: str
    centred: bool
    axes: tuple[int, ...] = ()
    count: int = 0
    channel: int = 1
    groups: int = 0
    running: tuple[str, ...] = ()  # names of the buffers: mean, variance
    weight: str = ""
    bias: str = ""
    offset: bool = False
    own: bool = False  # recognized by what it computes
    call: Call | None = field(default=None, repr=False, compare=False)  # with this input

    def probe(self, call: Call | None = None) -> "Probe":
        """The module by itself, with the recorded input, or one that it takes."""
        return Probe(self.module, self.call if call is None or call.x is None else call)

    def small(self, call: Call | None = None) -> "Probe":
        """The same with a small input of that dtype, where a layer of torch takes any size."""
        probe = self.probe(call)
        if self.kind in ("layer", "rms"):  # which take their size
            return probe
        made = None if self.own or probe.x is None else synthetic(self.module)
        if made is None or made.is_meta or probe.x is None or probe.x.numel() <= made.numel():
            return probe
        if type(self.module).forward.__module__.startswith(("torch.nn", "normcourse.")):
            probe.x = made.to(probe.x.dtype)
        return probe

    def tensor(self, name: str) -> torch.Tensor | None:
        """Its weight, bias or buffer of that name."""
        return getattr(self.module, name) if name else None

    @property
    def tracks(self) -> bool:
        """Whether it has running statistics to use in evaluation."""
        return bool(self.running)

    @property
    def batch_count(self) -> bool:
        """Whether its statistics are those of the batch."""
        return self.kind in BATCH


class Probe:
    """A module by itself, called on other inputs; buffers and mode stay as they are."""

    def __init__(self, module: nn.Module, call: Call | None = None) -> None:
        self.module, self.call = module, call
        self.x = call.x if call is not None else synthetic(module)

    def __call__(
        self,
        x: torch.Tensor,
        training: bool = False,
        replaced: dict[str, torch.Tensor] | None = None,
        moved: dict[str, torch.Tensor] | None = None,
        itself: bool = False,
    ) -> torch.Tensor:
        """The output; ``replaced`` are other parameters, ``moved`` receives the new buffers.

        The module gets a copy of ``x``, since it may write into it; or ``itself``.
        """
        args, kwargs = self._with(x if itself else x.clone())
        own = dict(self.module.named_buffers())
        state = own | (replaced or {})
        state |= {name: state[name].clone() for name in own}  # for the module to write into
        modes = {m: m.training for m in self.module.modules()}
        for m in modes:
            m.training = training
        try:
            with torch.no_grad():
                y = torch.func.functional_call(self.module, state, args, kwargs)
        finally:
            for m, mode in modes.items():
                m.training = mode
        if moved is not None:
            moved.update({k: state[k] for k in own})  # also where one was replaced
        found = first_tensor(y)
        if found is None:
            raise TypeError("no tensor came back")
        return found

    def _with(self, x: torch.Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if self.call is None or not (self.call.args or self.call.kwargs):
            return (x,), {}
        place, args, kwargs = True, [], {}
        for value in self.call.args:
            is_x = place and isinstance(value, torch.Tensor) and value.is_floating_point()
            args.append(x if is_x else self._beside(x, value))
            place = place and not is_x
        for key, value in self.call.kwargs.items():
            is_x = place and isinstance(value, torch.Tensor) and value.is_floating_point()
            kwargs[key] = x if is_x else self._beside(x, value)
            place = place and not is_x
        return tuple(args), kwargs

    def _beside(self, x: torch.Tensor, value: Any) -> Any:
        """Another argument, for as many samples as x has: a condition, a mask."""
        shape = self.call.shape if self.call is not None else ()
        if not isinstance(value, torch.Tensor) or value.ndim == 0 or len(value) != shape[0]:
            return value
        if len(x) == len(value) or (value.ndim == 1 and len(value) in shape[1:]):  # a vector
            return value
        return value[torch.arange(len(x), device=value.device) % len(value)]


def synthetic(module: nn.Module) -> torch.Tensor | None:
    """A random input that a layer of torch takes; None for others."""
    size: Any = module
    name = next((c.__name__ for c in type(module).__mro__ if c.__name__[-2:] in RANKS), "")
    inside = RANKS.get(name[-2:], (3, 3))
    if isinstance(module, batchnorm._NormBase) and module.num_features:
        alone = isinstance(module, instancenorm._InstanceNorm) or inside
        shape = (4 if inside else 16, size.num_features, *((inside or (8,)) if alone else ()))
    elif isinstance(module, nn.GroupNorm):
        shape = (4, size.num_channels, 3, 3)
    elif isinstance(module, nn.LayerNorm | nn.RMSNorm):
        shape = (8, *size.normalized_shape)
    else:
        return None
    like = next(iter([*module.parameters(), *module.buffers()]), torch.empty(0))
    dtype = like.dtype if like.is_floating_point() else torch.float32
    return noise(shape, torch.empty(0, dtype=dtype, device=like.device))


def noise(shape: tuple[int, ...], like: torch.Tensor, seed: int = 0) -> torch.Tensor:
    """Numbers of mean 1 and deviation 3, the same each time."""
    if like.is_meta:
        return torch.empty(shape, dtype=like.dtype, device="meta")
    made = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + 1
    return made.to(like)


def recognize(
    name: str, module: nn.Module, call: Call | None, known: dict[Any, Norm] | None = None
) -> Norm | None:
    """The norm that a module is, or None; with the recorded call also its axes and count.

    ``known`` are those found so far: a network has many of a kind, and each takes a second where
    inputs are large.
    """
    if _torchs(module):
        norm = _by_class(name, module)
        return _placed(norm, call) if norm is not None else None
    known = {} if known is None else known
    for tried in (call,) if call is not None else _guesses(name, module):
        if tried.x is None or tried.x.ndim < 2 or tried.x[0].numel() == 0:
            continue
        like = _likeness(module, tried)
        try:
            found = known.get(like) or _by_computation(name, module, tried)
        except Exception:  # it takes no such input
            continue
        if found is not None:
            found = replace(found, name=name, module=module, call=tried)
            if like is not None:
                known[like] = found
            return found if call is not None else replace(found, count=0)
    return None


TORCHS = frozenset(vars(nn.Module()))
SIMPLE = (bool, int, float, str, type(None), torch.dtype)


def _likeness(module: nn.Module, call: Call) -> Any:
    """What is the same for modules that compute the same, but for the numbers in their vectors.

    None where something else may count: hooks, other arguments, attributes of other types.
    """
    own = {k: v for k, v in vars(module).items() if k not in TORCHS}
    parts = [p for v in own.values() for p in (v if isinstance(v, tuple) else (v,))]
    hooks = module._forward_hooks or module._forward_pre_hooks
    if hooks or not all(isinstance(p, SIMPLE) for p in parts):
        return None
    if call.kwargs or len(call.args) > 1:
        return None
    held = [*module.named_parameters(), *module.named_buffers()]
    single = tuple(t.item() for _, t in held if t.numel() == 1)  # a buffer may be a switch
    shapes = tuple((n, tuple(t.shape), t.dtype) for n, t in held)
    return type(module), tuple(sorted(own.items())), shapes, single, call.shape, call.dtype


def _guesses(name: str, module: nn.Module) -> list[Call]:
    """Inputs for a module that was not run, by the length of its first vector."""
    held = [*module.parameters(), *module.buffers()]
    vector = next((t for t in held if t.numel() > 1 and t.is_floating_point()), None)
    if vector is None or vector.numel() != max(vector.shape):
        return []
    n = vector.numel()
    inputs = [noise(shape, vector.detach()) for shape in ((4, 6, n), (4, n, 5, 5), (16, n))]
    return [Call(name, module, tuple(x.shape), x.dtype, x=x) for x in inputs]


def candidate(module: nn.Module) -> bool:
    """Whether a module may be a norm: torch's, or small and not torch's."""
    if isinstance(module, torch.jit.ScriptModule):
        return False
    if _torchs(module):
        return _by_class("", module) is not None
    written_elsewhere = not type(module).__module__.startswith("torch.nn")
    return written_elsewhere and not any(module.children())


def _torchs(module: nn.Module) -> bool:
    """Whether the forward is torch's or the course's; batch norms are known by their buffers."""
    where = type(module).forward.__module__ or ""
    ours = where.startswith(("torch.nn", "normcourse."))
    return ours or isinstance(module, batchnorm._BatchNorm)


def _by_class(name: str, module: nn.Module) -> Norm | None:
    own = [role if getattr(module, role, None) is not None else "" for role in ("weight", "bias")]
    parameters: dict[str, Any] = dict(zip(("weight", "bias"), own, strict=True))
    running = ("running_mean", "running_var")
    kept = running if getattr(module, "running_mean", None) is not None else ()
    if isinstance(module, instancenorm._InstanceNorm):
        return Norm(name, module, "instance", True, running=kept, **parameters)
    if isinstance(module, batchnorm._NormBase):
        kind = "switchable" if hasattr(module, "mean_weight") else "batch"
        return Norm(name, module, kind, True, running=kept, **parameters)
    if isinstance(module, nn.GroupNorm):
        return Norm(name, module, "group", True, groups=module.num_groups, **parameters)
    if isinstance(module, nn.LayerNorm):
        return Norm(name, module, "layer", True, channel=-1, **parameters)
    if isinstance(module, nn.RMSNorm):
        return Norm(name, module, "rms", False, channel=-1, weight=parameters["weight"])
    return None


def _placed(norm: Norm, call: Call | None) -> Norm:
    """With its axes in the recorded input."""
    module: Any = norm.module
    shape = call.shape if call is not None else ()
    if norm.kind in ("layer", "rms"):
        last = len(module.normalized_shape)
        axes = tuple(range(len(shape) - last, len(shape)))
        return replace(norm, axes=axes, count=prod(module.normalized_shape))
    if not shape:
        return norm
    inside = tuple(range(2, len(shape)))
    if norm.kind == "instance":
        if isinstance(module, nn.InstanceNorm1d) and len(shape) == 2:
            inside = (1,)
        return replace(norm, axes=inside, count=prod(shape[a] for a in inside))
    if norm.kind == "group":
        axes = (1, *inside)
        return replace(norm, axes=axes, count=prod(shape[1:]) // norm.groups)
    axes = (0, *inside)
    return replace(norm, axes=axes, count=prod(shape[a] for a in axes))


def _by_computation(name: str, module: nn.Module, call: Call) -> Norm | None:
    assert call.x is not None
    probe = Probe(module, call)
    like = call.x[:4].float() if call.x.dtype.itemsize < 4 else call.x[:4]
    like = torch.cat([like, like]) if len(like) < 2 else like
    state = [*module.named_parameters(), *module.named_buffers()]
    wide = {n: t.detach().to(like.dtype) for n, t in state if t.is_floating_point()}

    start = [n for n, p in module.named_parameters() if p.numel() > 1 and not p.any()]
    x = noise(tuple(like.shape), like)
    if start and not probe(x, False, wide).std() > 0:  # γ starts at 0
        wide |= {n: torch.ones_like(wide[n]) for n in start}

    for training in (False, True):

        def f(x: torch.Tensor, training: bool = training) -> torch.Tensor:
            return probe(x, training, wide)

        found = _sharing(f, x)
        if found is not None:
            break
    else:
        return None
    axes, centred, partial = found
    kind = "layer" if centred else "rms"
    if 0 in axes:
        kind = "batch"
    elif partial:
        kind = "group"
    elif centred and axes == tuple(range(2, like.ndim)) and like.ndim > 3:
        kind = "instance"
    channel = _other_axis(axes, like.ndim) if kind == "batch" else 1 if 1 in axes else -1
    groups = partial if kind == "group" else 0
    count = prod(call.shape[a] for a in axes) // max(groups, 1)
    running = _running(probe, like, wide, channel) if training else ()
    roles = _roles(probe, like, wide, training)
    return Norm(
        name,
        module,
        kind,
        centred,
        axes,
        count,
        channel,
        groups,
        running,
        own=True,
        call=call,
        **roles,
    )


def _other_axis(axes: tuple[int, ...], ndim: int) -> int:
    others = [a for a in range(ndim) if a not in axes]
    return others[0] if others else 1


NEAR, SAME = 1e-4, 1e-2  # shares of the output's spread: rounding, and what ε still makes


def _sharing(
    f: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor
) -> tuple[tuple[int, ...], bool, int] | None:
    """(axes, whether the mean is subtracted, number of groups or 0), or None for no norm."""
    y = f(x)
    if y.shape != x.shape or not y.isfinite().all():
        return None
    size = y.double().std().clamp_min(1e-30)

    def apart(a: torch.Tensor, b: torch.Tensor) -> float:  # large numbers may be rounded to half
        a, b = a.double(), b.double()
        return float(((a - b).abs() / (size + b.abs())).max())

    if apart(f(x), y) > NEAR or apart(f(4 * x), y) > SAME:
        return None
    # Where a normalized number happens to be the same again it has not moved: of thousands, some
    # are, but not the same ones for three inputs. The step is of the size of their whole spread.
    moved = torch.zeros_like(y, dtype=torch.bool)
    for seed in range(3):
        one = noise(tuple(x.shape), x, seed)
        other = one.clone()
        other[tuple(n // 2 for n in x.shape)] += 30 * x.numel() ** 0.5
        moved |= (f(other).double() - f(one).double()).abs() > NEAR * size
    places = [_places(moved, d) for d in range(x.ndim)]
    axes = tuple(d for d, found in enumerate(places) if len(found) > 1)
    # One block of neighbours: a statistic is over whole axes, or over neighbouring channels.
    if not axes or any(int(p[-1] - p[0]) >= len(p) for p in places):
        return None
    if any(x.shape[d] % len(p) for d, p in enumerate(places) if d in axes):
        return None
    steps = (4 * x).round() / 4  # which half precision holds, also after a shift
    centred = apart(f(steps + 8), f(steps)) < SAME
    if not _linear(f, x, places, centred):
        return None
    partial = [x.shape[d] // len(places[d]) for d in axes if len(places[d]) < x.shape[d]]
    return axes, centred, partial[0] if partial else 0


def _places(moved: torch.Tensor, d: int) -> torch.Tensor:
    """The indices of an axis at which a number has moved."""
    return moved.movedim(d, 0).reshape(moved.shape[d], -1).any(1).nonzero().flatten()


def _linear(
    f: Callable[[torch.Tensor], torch.Tensor],
    like: torch.Tensor,
    places: list[torch.Tensor],
    centred: bool,
) -> bool:
    """Whether, position by position, the output is a linear function of the normalized input."""

    def block(x: torch.Tensor) -> torch.Tensor:
        for d, found in enumerate(places):
            x = x.index_select(d, found)
        return x.double()

    xs = [noise(tuple(like.shape), like, seed) for seed in range(1, 6)]
    y = torch.stack([block(f(x)) for x in xs])
    hat = torch.stack([standardized(block(x), tuple(range(like.ndim)), centred) for x in xs])
    h, y = hat - hat.mean(0), y - y.mean(0)
    slope = (h * y).sum(0) / (h * h).sum(0).clamp_min(1e-12)
    left = (y - slope * h).pow(2).sum()
    return bool(left < 1e-2 * y.pow(2).sum())


def standardized(x: torch.Tensor, axes: tuple[int, ...], centred: bool) -> torch.Tensor:
    """Without the mean, if ``centred``, and over the root mean square."""
    x = x - x.mean(axes, keepdim=True) if centred else x
    return x / x.pow(2).mean(axes, keepdim=True).sqrt().clamp_min(1e-30)


def _running(
    probe: Probe, like: torch.Tensor, wide: dict[str, torch.Tensor], channel: int
) -> tuple[str, ...]:
    """The names of the buffers that follow the batch's mean and variance."""
    x, moved = noise(tuple(like.shape), like), []
    for shift in (0, 7):
        after: dict[str, torch.Tensor] = {}
        probe(x + shift, True, wide, after)
        moved.append(after)
    one, other = moved
    names = [
        name
        for name, b in probe.module.named_buffers()
        if b.is_floating_point()
        and b.numel() == x.shape[channel]
        and not torch.equal(wide[name], one[name])
    ]
    mean = [name for name in names if (other[name] - one[name]).abs().max() > 1e-3]
    var = [name for name in names if name not in mean]
    return (mean[0], var[0]) if mean and var else ()


def _roles(
    probe: Probe, like: torch.Tensor, wide: dict[str, torch.Tensor], training: bool
) -> dict[str, Any]:
    """Which parameter is the weight, and whether 1 is added to it; which is the bias."""
    x, x2 = (noise(tuple(like.shape), like, seed) for seed in (0, 1))
    roles: dict[str, Any] = {}
    for name, parameter in probe.module.named_parameters():
        if parameter.numel() < 2:
            continue
        zero, one = (torch.full_like(wide[name], value) for value in (0.0, 1.0))
        y0 = probe(x, training, wide | {name: zero})
        step = (probe(x, training, wide | {name: one}) - y0).double()
        if step.std() < 0.1 * step.abs().mean():  # the same everywhere but for rounding: added
            roles["bias"] = name
        elif step.std() > 0:
            roles["weight"] = name
            rest = (probe(x2, training, wide | {name: zero}) - y0).double()
            roles["offset"] = bool(rest.abs().max() > 0.1 * step.abs().max())
    return roles
