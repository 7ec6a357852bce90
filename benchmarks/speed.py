"""How fast every technique is: against its counterpart in torch, and against a copy of its input.

    make bench
    python benchmarks/speed.py [--quick] [--best] [--threads N] [technique ...]

No normalization can be faster than a copy, which reads each number once and writes it once. In a
network that is compiled as a whole torch's own layers are compiled, too: "torch compiled". The
candidates of a row take turns, so that whatever else the machine does meets all of them alike;
printed are medians. Trust the ratios, not the milliseconds. Where other programs hold a core, two
threads wait for each other and medians measure that; --best prints the fastest rounds instead,
and --threads 1 waits for nobody.
"""

import argparse
import statistics
import time
from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np
import torch

import normcourse
from normcourse import nn
from normcourse.nn.utils import parametrizations

IMAGES = [(2, 8, 8, 8), (32, 64, 32, 32), (64, 128, 16, 16), (4, 256, 56, 56)]
TOKENS = [(4, 8, 32), (32, 128, 768), (8, 512, 1024), (64, 64, 256)]
WEIGHTS = [(16, 16), (256, 256, 3, 3), (2048, 2048)]  # the first shape of each is a small one

# ---- the candidates ------------------------------------------------------------------------


class Reparametrized(torch.nn.Module):
    """A weight alone: what a parametrization makes of its parameters, without a layer around."""

    def __init__(self, wrap, shape):
        super().__init__()
        self.layer = torch.nn.Module()
        self.layer.weight = torch.nn.Parameter(torch.randn(shape))
        wrap(self.layer)

    def forward(self):
        return self.layer.weight


def of_weight(name):
    """(ours, torch's) parametrization of this name, as functions of a shape."""
    wraps = getattr(parametrizations, name), getattr(torch.nn.utils.parametrizations, name)
    return tuple([partial(Reparametrized, wrap) for wrap in wraps])


def of_module(name, arguments):
    """(ours, torch's) module of this name, as functions of a shape; None where torch has none."""
    kinds = getattr(nn, name), getattr(torch.nn, name, None)
    return tuple([k and (lambda shape, k=k: k(*arguments(shape))) for k in kinds])


def channels(shape):
    return (shape[1],)


TECHNIQUES = {  # name: ((ours, torch's), shapes)
    "batch_norm": (of_module("BatchNorm2d", channels), IMAGES),
    "layer_norm": (of_module("LayerNorm", lambda shape: shape[-1:]), TOKENS),
    "layer_norm_chw": (of_module("LayerNorm", lambda shape: (shape[1:],)), IMAGES),
    "instance_norm": (of_module("InstanceNorm2d", lambda s: (s[1], 1e-5, 0.1, True)), IMAGES),
    "group_norm": (of_module("GroupNorm", lambda shape: (8, shape[1])), IMAGES),
    "rms_norm": (of_module("RMSNorm", lambda shape: shape[-1:]), TOKENS),
    "local_response_norm": (of_module("LocalResponseNorm", lambda shape: (5,)), IMAGES),
    "weight_norm": (of_weight("weight_norm"), WEIGHTS),
    "spectral_norm": (of_weight("spectral_norm"), WEIGHTS),
    "switchable_norm": (of_module("SwitchableNorm2d", channels), IMAGES),
    "divisive_norm": (of_module("DivisiveNorm", channels), IMAGES),
}


def forward(module, inputs, dy):
    with torch.no_grad():
        return module(*inputs)


def forward_backward(module, inputs, dy):
    wrt = [*inputs, *module.parameters()]
    return torch.autograd.grad(module(*inputs), wrt, dy)


def candidates(kinds, shape):
    """{(pass, candidate): function} for one technique and shape, in training mode."""
    torch.manual_seed(0)
    torch._dynamo.reset()  # or the second shape would be compiled for any shape
    ours, theirs = [kind and kind(shape) for kind in kinds]
    for p in ours.parameters():
        torch.nn.init.normal_(p)
    modules = {"ours": ours, "compiled": torch.compile(ours, fullgraph=True)}
    if theirs is not None:
        theirs.load_state_dict(ours.state_dict())
        theirs_compiled = torch.compile(theirs, fullgraph=True)
        modules = {"torch": theirs, "torch compiled": theirs_compiled, **modules}
    x, dy = torch.randn(2, *shape)
    inputs = () if isinstance(ours, Reparametrized) else (x.clone().requires_grad_(),)
    return {("", "copy"): x.clone} | {
        (step.__name__, name): partial(step, module, inputs, dy)
        for step in (forward, forward_backward)
        for name, module in modules.items()
    }


# ---- NumPy ---------------------------------------------------------------------------------


@dataclass
class ByHand:
    """The fewest passes over memory that we found: arrays used again, no array of squares.

    ``axes`` share a statistic, ``shared`` share a weight, and along ``inner`` both are constant.
    ``accurate`` corrects the mean for its rounding, as our functions do.
    """

    axes: tuple[int, ...]
    shared: tuple[int, ...]
    centered: bool = True
    accurate: bool = True

    @property
    def inner(self):
        return tuple([a for a in self.axes if a in self.shared])

    def statistics(self, x, eps=1e-5):
        """(x - mean, rounded, as a new array; what rounding left; 1 / std)."""
        if not self.centered:
            return x, 0, 1 / np.sqrt(self.dot(x, x, self.axes) / self.count(x) + eps)
        c = x - x.mean(self.axes, keepdims=True)
        rest = c.mean(self.axes, keepdims=True) if self.accurate else 0
        variance = abs(self.dot(c, c, self.axes) / self.count(x) - rest * rest)
        return c, rest, 1 / np.sqrt(variance + eps)

    def count(self, x):
        return np.float32(prod([x.shape[a] for a in self.axes]))

    def dot(self, a, b, axes):
        """(a * b).sum(axes, keepdims=True) without a * b."""
        letters = "abcdefg"[: a.ndim]
        kept = "".join([c for i, c in enumerate(letters) if i not in axes])
        shape = [1 if i in axes else n for i, n in enumerate(a.shape)]
        return np.einsum(f"{letters},{letters}->{kept}", a, b).reshape(shape)

    def forward(self, x, weight, bias):
        y, rest, rstd = self.statistics(x)
        if self.inner:  # one factor and one summand for many numbers
            scale = rstd * weight
            y *= scale
            y += bias - rest * scale
            return y
        if not self.centered:
            y = y * rstd
            y *= weight
            return y
        if self.accurate:
            y -= rest
        y *= rstd
        y *= weight
        y += bias
        return y

    def backward(self, dy, x, weight, bias):
        c, rest, rstd = self.statistics(x)
        n = self.count(x)
        if self.inner:
            sums = dy.sum(self.inner, keepdims=True)
            products = (self.dot(dy, c, self.inner) - rest * sums) * rstd
            outer = [a for a in self.axes if a not in self.inner]
            along_one = (weight * sums).sum(tuple(outer), keepdims=True) / n
            along_xhat = (weight * products).sum(tuple(outer), keepdims=True) / n
            factor = -along_xhat * rstd * rstd
            c *= factor
            c += dy * (weight * rstd)
            c -= along_one * rstd + rest * factor
            rest_of_shared = tuple([a for a in self.shared if a not in self.inner])
            return c, products.sum(rest_of_shared), sums.sum(rest_of_shared)
        if self.accurate and self.centered:
            c -= rest
        xhat = np.multiply(c, rstd, out=c if self.centered else None)
        dweight = self.dot(dy, xhat, self.shared)
        g = dy * weight
        along_xhat = self.dot(g, xhat, self.axes) / n
        if self.centered:
            g -= g.mean(self.axes, keepdims=True)
        xhat *= along_xhat
        g -= xhat
        g *= rstd
        return g, dweight, dy.sum(self.shared) if self.centered else None


def grouped(a, shape, groups=8):
    """An image as (N, G, C / G, positions), a vector (C,) as (1, G, C / G, 1)."""
    return a.reshape((shape[0] if a.ndim > 1 else 1, groups, shape[1] // groups, -1))


def per_channel(a, shape):
    return a.reshape((shape[0] if a.ndim > 1 else 1, shape[1], -1))


def last(a, shape):
    return a.reshape((-1, shape[-1]))


def sample(a, shape):
    return a.reshape((-1, prod(shape[1:])))


NUMPY = {  # name: (ours as a function of a shape, view, by hand, shapes)
    "batch_norm": ("batch_norm", lambda s: (), per_channel, ByHand((0, 2), (0, 2)), IMAGES),
    "layer_norm": ("layer_norm", lambda s: (s[-1],), last, ByHand((1,), (0,)), TOKENS),
    "layer_norm_chw": ("layer_norm", lambda s: (s[1:],), sample, ByHand((1,), (0,)), IMAGES),
    "instance_norm": ("instance_norm", lambda s: (), per_channel, ByHand((2,), (0, 2)), IMAGES),
    "group_norm": ("group_norm", lambda s: (8,), grouped, ByHand((2, 3), (0, 3)), IMAGES),
    "rms_norm": ("rms_norm", lambda s: (s[-1],), last, ByHand((1,), (0,), False), TOKENS),
}


def numpy_candidates(name, setting, view, best, shape):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((2, *shape), dtype=np.float32)
    setting = setting(shape)
    parameter = setting[0] if name in ("layer_norm", "rms_norm") else shape[1]
    weight, bias = rng.standard_normal((2, *np.atleast_1d(parameter)), dtype=np.float32)
    learned = (weight,) if name == "rms_norm" else (weight, bias)
    ours = partial(getattr(normcourse, name), x, *setting, *learned, 1e-5)
    backward = getattr(normcourse, f"{name}_backward")
    functions = {("", "copy"): x.copy, ("forward", "ours"): ours}
    functions["forward_backward", "ours"] = lambda: (
        ours(),
        *backward(dy, x, *setting, *learned, 1e-5),
    )
    views = [view(a, shape) for a in (dy, x, weight, bias)]
    for key, hand in (("best", best), ("inaccurate", replace(best, accurate=False))):
        functions["forward", key] = partial(hand.forward, *views[1:])
        functions["forward_backward", key] = lambda hand=hand: (
            hand.forward(*views[1:]),
            *hand.backward(*views),
        )
    expected = functions["forward_backward", "ours"]()
    for a, b in zip(expected, functions["forward_backward", "best"](), strict=False):
        np.testing.assert_allclose(a, b.reshape(a.shape), rtol=1e-3, atol=1e-3)  # the same result
    return functions


# ---- the tables ----------------------------------------------------------------------------


def measure(functions, rounds, summary):
    """The median time, or another summary, of each function in ms; every round calls all."""
    times = {key: [] for key in functions}
    for i in range(rounds + 5):
        for key, function in functions.items():
            function()  # else who comes after a copy would find x in the cache, and others not
            start = time.perf_counter()
            function()
            if i >= 5:  # the first rounds warm up
                times[key].append(time.perf_counter() - start)
    return {key: 1e3 * summary(t) for key, t in times.items()}


def width(head):
    return max(10, len(head) + 2)


def table(title, columns, ratios, rows, build, rounds, summary):
    """Print a row per technique, shape and pass: times in ms, and ratios (above, below)."""
    if not rows:
        return
    print(f"\n{title}\n")
    heads = [*columns, *(f"{above}/{below}" for above, below in ratios)]
    print(
        f"{'technique':<20}{'shape':<17}{'pass':<18}" + "".join(f"{h:>{width(h)}}" for h in heads)
    )
    for name, shape, arguments in rows:
        times = measure(build(*arguments, shape), rounds, summary)
        for step in ("forward", "forward_backward"):
            got = {c: times.get((step, c)) for c in columns} | {"copy": times["", "copy"]}
            numbers = [f"{got[c]:.3f}" if got[c] else "-" for c in columns]
            numbers += [f"{got[a] / got[b]:.2f}" if got[a] else "-" for a, b in ratios]
            label = f"{name:<20}{'x'.join(map(str, shape)):<17}{step:<18}"
            print(
                label + "".join(f"{n:>{width(h)}}" for h, n in zip(heads, numbers, strict=True)),
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description="Measure how fast every technique is.")
    parser.add_argument("techniques", nargs="*", metavar="technique", help=", ".join(TECHNIQUES))
    parser.add_argument("--quick", action="store_true", help="one shape each, fewer rounds")
    parser.add_argument("--best", action="store_true", help="fastest rounds instead of medians")
    parser.add_argument("--threads", type=int, default=2, help="of torch, 2 by default")
    chosen = parser.parse_args()
    names = chosen.techniques or list(TECHNIQUES)
    if unknown := set(names) - set(TECHNIQUES):
        parser.error(f"no technique {sorted(unknown)}; there are {', '.join(TECHNIQUES)}")
    shapes = slice(1, 2) if chosen.quick else slice(None)
    rounds = 20 if chosen.quick else 60
    summary = min if chosen.best else statistics.median
    torch.set_num_threads(chosen.threads)
    what = "fastest rounds" if chosen.best else "medians"
    rows = [
        (name, shape, (TECHNIQUES[name][0],))
        for name in names
        for shape in TECHNIQUES[name][1][shapes]
    ]
    table(
        f"torch {torch.__version__}, threads: {chosen.threads}, float32, training mode; ms, {what}",
        ["torch", "torch compiled", "ours", "compiled", "copy"],
        [("torch", "compiled"), ("torch compiled", "compiled"), ("compiled", "copy")],
        rows,
        candidates,
        rounds,
        summary,
    )
    rows = [
        (name, shape, NUMPY[name][:-1])
        for name in names
        if name in NUMPY
        for shape in NUMPY[name][-1][shapes]
    ]
    table(
        f"NumPy {np.__version__}, float32: ours, and the best we could write by hand; ms, {what}",
        ["ours", "best", "inaccurate", "copy"],
        [("ours", "best"), ("best", "inaccurate")],
        rows,
        numpy_candidates,
        rounds,
        summary,
    )


if __name__ == "__main__":
    main()
