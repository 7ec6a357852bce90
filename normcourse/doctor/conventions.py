"""The conventions in which two norms may differ, each as a change of settings."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import torch

from normcourse.doctor.checks.measure import few
from normcourse.doctor.replay import (
    HALF,
    UNEQUAL,
    Settings,
    apart,
    fitted_eps,
    replay,
    unequal,
    unit,
)

__all__ = ["EXPLANATIONS", "Explanation", "Outputs"]

Change = Callable[[Settings, "Outputs"], Iterator[tuple[str, Settings]]]
EXPLANATIONS: dict[str, "Explanation"] = {}
PITFALLS = "practice/pitfalls.html"
ROUNDINGS = 8  # times what one rounding of the input does to the output


@dataclass(frozen=True)
class Explanation:
    """A convention. ``change`` is its mend in a line, ``page`` where the course explains it."""

    name: str
    about: str
    change: str
    page: str
    settings: Change | None = None


@dataclass(frozen=True)
class Outputs:
    """One input, what the other norm made of it, and its own vectors where they can be had.

    ``limit`` is the largest difference that rounding may make, ``before`` that of the two outputs.
    """

    x: torch.Tensor
    y: torch.Tensor
    limit: float
    vectors: dict[str, torch.Tensor | None]
    before: float = float("inf")

    def agrees(self, s: Settings) -> bool:
        """Whether these settings make the same output down to rounding."""
        y = replay(self.x, s)
        if self.y.dtype in HALF:
            return unequal(y, self.y) <= UNEQUAL
        away = apart(y, self.y)
        if away <= self.limit:
            return True
        if away > min(1000 * self.limit, self.before / 100):
            return False
        # Few numbers in a statistic: rounding of the input does more to it than to the first's.
        some = torch.randn(self.x.shape, generator=torch.Generator().manual_seed(0)).to(self.x)
        moved = replay(self.x.double() + unit(self.x) * some.double(), s)
        return away <= ROUNDINGS * apart(moved, y)


def explanation(about: str, change: str, page: str) -> Callable[[Change], Change]:
    """Put a function from settings to other settings into the table."""

    def register(settings: Change) -> Change:
        name = settings.__name__
        EXPLANATIONS[name] = Explanation(name, about, change, page, settings)
        return settings

    return register


# --- vectors that did not arrive ---

COPY = "Copy all four vectors by name, and compare with random numbers in each of them."
ORDER = "practice/frameworks.html#pitfalls-from-public-reports"
PORTED = f"{PITFALLS}#a-ported-or-converted-model-is-off"


@explanation("The scale γ is missing.", "Copy γ.", PORTED)
def missing_scale(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if s.weight is not None:
        yield "γ is 1", replace(s, weight=None)


@explanation("The shift β is missing.", "Copy β.", PORTED)
def missing_shift(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if s.bias is not None:
        yield "β is 0", replace(s, bias=None)


@explanation(
    "The running statistics are those of a fresh layer.",
    "Copy the buffers, too: state_dict(), not parameters().",
    f"{PITFALLS}#an-adapter-file-without-the-buffers",
)
def statistics_not_copied(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if s.mean is not None and s.var is not None:
        zero, one = torch.zeros_like(s.mean), torch.ones_like(s.var)
        yield "the running mean is 0, the variance 1", replace(s, mean=zero, var=one)
        yield "the running mean is 0", replace(s, mean=zero)
        yield "the running variance is 1", replace(s, var=one)


@explanation("Two vectors are exchanged.", COPY, ORDER)
def exchanged(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    held = {"weight": s.weight, "bias": s.bias, "mean": s.mean, "var": s.var}
    letters = {"weight": "γ", "bias": "β", "mean": "mean", "var": "variance"}
    for one, other in combinations(held, 2):
        a, b = held[one], held[other]
        if a is not None and b is not None and a.shape == b.shape:
            changed: Any = {one: b, other: a}
            yield f"{letters[one]} and {letters[other]} are exchanged", replace(s, **changed)


@explanation("The vectors are others than the first model's.", COPY, PORTED)
def other_vectors(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    letters = {"weight": "γ", "bias": "β", "mean": "running mean", "var": "running variance"}
    for name, letter in letters.items():
        own, theirs = getattr(s, name), o.vectors.get(name)
        if own is None or theirs is None or own.numel() != theirs.numel() or _flat(theirs):
            continue
        away = float((own.double().flatten() - theirs.double().flatten()).abs().max())
        if away > 0:
            changed: Any = {name: theirs}
            yield f"{letter} differs by up to {few(away)}", replace(s, **changed)


def _flat(t: torch.Tensor) -> bool:
    return bool((t == t.flatten()[0]).all())


# --- what is computed ---


@explanation(
    "The batch's statistics take the place of the running ones.",
    "eval(), training=False or use_running_average=True; and running statistics to be used.",
    f"{PITFALLS}#a-forgotten-eval",
)
def batch_statistics(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if s.mean is not None:
        yield "the batch's statistics are used", replace(s, mean=None, var=None)


@explanation(
    "Running statistics take the place of the batch's.",
    "Compare both in the same mode.",
    f"{PITFALLS}#no-running-statistics",
)
def running_statistics(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    mean, var = o.vectors.get("mean"), o.vectors.get("var")
    if s.mean is None and 0 in s.axes and mean is not None and var is not None:
        yield "running statistics are used", replace(s, mean=mean, var=var)


@explanation(
    "RMS norm in the place of layer norm, or the other way round.",
    "Take the norm the model was trained with: with a mean, or without.",
    f"{PITFALLS}#layer-norm-for-rmsnorm",
)
def rms_for_layer_norm(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if s.mean is None:
        said = "the mean is not subtracted" if s.centred else "the mean is subtracted"
        yield said, replace(s, centred=not s.centred)


@explanation(
    "Statistics over other axes.",
    "Name the features' axis for the layout at hand: 1 for (N, C, H, W), -1 for (N, H, W, C).",
    f"{PITFALLS}#layer-norm-over-the-time-axis",
)
def layout(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if s.mean is not None:
        return
    ndim, tried = o.x.ndim, {s.axes}
    everything = tuple(range(ndim))
    for kept in everything[1:]:  # like batch norm; and over that axis alone
        for axes in (tuple(a for a in everything if a != kept), (kept,)):
            if axes not in tried:
                tried.add(axes)
                yield _axes(axes), replace(s, axes=axes, groups=0)
    for axes in (everything[1:], everything[2:]):
        if axes and axes not in tried:
            tried.add(axes)
            yield _axes(axes), replace(s, axes=axes, groups=0)


def _axes(axes: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, axes))
    return f"statistics over {'axis' if len(axes) == 1 else 'axes'} {shown} of the first's layout"


@explanation(
    "Other groups of channels.",
    "The same number of groups, cut out of the channels: move them to axis 1 before a reshape.",
    ORDER,
)
def groups(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if not s.groups or s.mean is not None:
        return
    channels = o.x.shape[1]
    for g in range(1, channels + 1):
        if channels % g == 0 and g != s.groups:
            yield f"groups: {g} in the place of {s.groups}", replace(s, groups=g)
    if o.x.ndim > 2:
        yield "groups of positions and channels, mixed", replace(s, mixed=True)


@explanation(
    "Divided by n, or by n - 1.",
    "Normalize with the biased variance, the mean of squares: correction=0.",
    "practice/frameworks.html#side-by-side",
)
def biased_variance(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if s.mean is None:
        said = "the variance is unbiased" if s.correction == 0 else "the variance is biased"
        yield said, replace(s, correction=1 - s.correction)


@explanation(
    "γ is stored as γ - 1.",
    "Add 1 once: when loading, or in the norm.",
    f"{PITFALLS}#weights-stored-as-gamma-minus-1",
)
def one_plus_weight(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if s.weight is not None:
        said = "1 is not added to the weight" if s.offset else "1 is added to the weight"
        yield said, replace(s, offset=not s.offset)
        if not s.offset:
            yield "1 is taken from the weight", replace(s, weight=s.weight - 1)


@explanation(
    "Rounded before the scale, or after.",
    "Take the order the model was trained with.",
    f"{PITFALLS}#cast-before-the-scale-or-after",
)
def cast_order(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if o.x.dtype in HALF:
        for cast in ("before", "after"):
            if cast != s.cast:
                yield f"rounds {cast} the scale", replace(s, cast=cast)


@explanation(
    "Statistics in half precision.",
    "Compute statistics in float32: x.float() first, cast the result.",
    f"{PITFALLS}#an-epsilon-that-float16-rounds-to-0",
)
def half_statistics(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    if o.x.dtype in HALF and not s.cast.startswith("half"):
        for cast in ("half", "half, times"):
            yield "statistics in half precision", replace(s, cast=cast)


@explanation(
    "ε is added to the root, or inside it.",
    "Add ε to the variance, inside the root, or as the model was trained.",
    "activations/rms_norm.html#in-the-wild-one-name-several-functions",
)
def epsilon_outside_the_root(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    said = "ε is inside the root" if s.outside else "ε is outside the root"
    yield said, replace(s, outside=not s.outside)


@explanation(
    "Another ε.",
    "Copy ε with the weights.",
    f"{PITFALLS}#momentum-and-epsilon-of-another-framework",
)
def epsilon(s: Settings, o: Outputs) -> Iterator[tuple[str, Settings]]:
    found = fitted_eps(o.x, o.y, s)
    if found is not None:
        for digits in (1, 2, 4):
            eps = float(f"{found:.{digits - 1}e}")
            if eps != s.eps:
                yield f"ε is {eps:g} in the place of {s.eps:.2g}", replace(s, eps=eps)


# Seen in running statistics after a batch, not in outputs.
MOMENTUM = Explanation(
    "momentum",
    "Another weight of the new batch.",
    "momentum = 1 - (that of Keras, TensorFlow or Flax).",
    f"{PITFALLS}#momentum-and-epsilon-of-another-framework",
)
STORED = Explanation(
    "stored_variance",
    "The running variance takes in the biased or the unbiased one.",
    "Nothing where many numbers share a statistic; else n / (n - 1) once, by hand.",
    "practice/frameworks.html#side-by-side",
)
EXPLANATIONS |= {MOMENTUM.name: MOMENTUM, STORED.name: STORED}
