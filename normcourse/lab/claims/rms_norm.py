"""Claims of the chapter rms_norm: what the missing mean saves, and what it costs."""

from functools import partial

import numpy as np

from normcourse.lab import data, text
from normcourse.lab.claims.record import Claim, Experiment, Figure
from normcourse.layer_norm import layer_norm
from normcourse.rms_norm import rms_norm

SHAPES = ((2048, 128), (1024, 512), (512, 2048))  # tokens x features
PASSES = ("forward", "both ways")
EPS = 1e-6


# ---- time --------------------------------------------------------------------------------------


def _implementations():
    """name -> (layer norm, RMS norm), functions of (x, weight, bias) of tokens."""
    import torch
    from torch.nn import functional

    plain = (
        lambda x, w, b: layer_norm(x, x.shape[-1:], w, b, EPS),
        lambda x, w, b: rms_norm(x, x.shape[-1:], w, EPS),
    )
    own = (
        lambda x, w, b: functional.layer_norm(x, x.shape[-1:], w, b, EPS),
        lambda x, w, b: functional.rms_norm(x, x.shape[-1:], w, EPS),
    )
    compiled = tuple(torch.compile(f, fullgraph=True, dynamic=False) for f in plain)
    return {
        "torch": own,
        "our formula": plain,
        "our formula compiled": compiled,
    }


def _run(function, x, w, b, backward):
    import torch

    if backward:
        function(x, w, b).backward(x.detach())
    else:
        with torch.no_grad():
            function(x, w, b)


def timing(seed, shapes=SHAPES, rounds=60):
    """Time of RMS norm over that of layer norm: the least of many turns, in turns."""
    import torch

    from normcourse.lab.training import quickest

    rng = np.random.default_rng(seed)
    ratio = {}
    for name, pair in _implementations().items():
        for what in PASSES:
            logs = []
            for n, d in shapes:
                x = torch.tensor(rng.standard_normal((n, d), np.float32), requires_grad=True)
                w, b = (torch.ones(d, requires_grad=True) for _ in "wb")
                layer, rms = quickest(
                    [partial(_run, norm, x, w, b, what == PASSES[1]) for norm in pair], rounds
                )
                logs.append(np.log(rms / layer))
            ratio[f"{name} {what}"] = float(np.exp(np.mean(logs)))
    return {"time": ratio}


# ---- memory ------------------------------------------------------------------------------------


def kept_bytes(function, *inputs):
    """Bytes of the tensors that autograd keeps for the backward pass, each counted once."""
    import torch

    seen = {}

    def pack(tensor):
        seen[tensor.data_ptr(), tensor.shape] = tensor.numel() * tensor.element_size()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = function(*inputs)  # alive until all is counted: no address is used twice
    del result
    return sum(seen.values())


def memory(seed):
    """What autograd keeps of tokens (64, 512): RMS norm over layer norm, and each over x."""
    import torch

    from normcourse import nn

    rng, ratio, kept = np.random.default_rng(seed), {}, {}
    for dtype in (torch.float32, torch.bfloat16):
        short = str(dtype).removeprefix("torch.")
        x = torch.tensor(rng.standard_normal((64, 512))).to(dtype).requires_grad_()
        w, b = (torch.ones(512, dtype=dtype, requires_grad=True) for _ in "wb")
        ours = nn.LayerNorm(512, EPS).to(dtype), nn.RMSNorm(512, EPS).to(dtype)
        for name, (layer, rms) in {
            "torch": _implementations()["torch"],
            "our modules": tuple(lambda x, w, b, f=f: f(x) for f in ours),
        }.items():
            counts = [kept_bytes(f, x, w, b) for f in (layer, rms)]
            ratio[f"{name} in {short}"] = counts[1] / counts[0]
            for norm, count in zip(("layer norm", "RMS norm"), counts, strict=True):
                kept[f"{norm}, {name} in {short}"] = count / (x.numel() * x.element_size())
    return {"ratio": ratio, "kept": kept}


# ---- half precision ----------------------------------------------------------------------------


def _in_half(x, w, centre):
    """Every step in the dtype of x, which is what float32 statistics are there to avoid.

    A sum is rounded once, since in which order and precision a kernel adds depends on the machine.
    """

    def mean(a):
        return a.double().mean(-1, keepdim=True).to(a.dtype)

    if centre:
        x = x - mean(x)
    return x * (mean(x * x) + EPS).double().rsqrt().to(x.dtype) * w


def half_precision(seed):
    """Distance to float64 of RMS norm over that of layer norm, of activations of digits."""
    import torch

    rng = np.random.default_rng(seed)
    images = data.digits().x_train[:256]
    activations = images @ rng.normal(0, 64**-0.5, (64, 256)) + rng.normal(0, 0.1, 256)
    ratio, error = {}, {}
    for dtype in (torch.bfloat16, torch.float16):
        short = str(dtype).removeprefix("torch.")
        x = torch.tensor(activations).to(dtype)
        w = torch.tensor(rng.normal(1, 0.3, 256)).to(dtype)
        for name, norms in {
            "with float32 statistics": (
                lambda x, w: layer_norm(x, 256, w, None, EPS),
                lambda x, w: rms_norm(x, 256, w, EPS),
            ),
            "throughout": (
                partial(_in_half, centre=True),
                partial(_in_half, centre=False),
            ),
        }.items():
            errors = []
            for norm in norms:
                exact = norm(x.double(), w.double())
                away = (norm(x, w).double() - exact).square().mean() / exact.square().mean()
                errors.append(float(away.sqrt()))
            ratio[f"{short} {name}"] = errors[1] / errors[0]
            for norm, e in zip(("layer norm", "RMS norm"), errors, strict=True):
                error[f"{norm}, {short} {name}"] = 1000 * e
    return {"ratio": ratio, "error": error}


# ---- quality -----------------------------------------------------------------------------------


def quality(seed, steps=300, depth=2, length=32):
    """Test loss of a character transformer with RMS norm, less that with layer norm."""
    from normcourse.lab.models import Transformer
    from normcourse.lab.training import fit

    split, nats = text.windows(length, 128), {}
    for name, norm in (("layer norm", "layer"), ("RMS norm", "rms")):
        model = Transformer(norm, depth=depth, length=length, rng=seed)
        nats[name] = float(fit(model, split, steps, 3e-3, 16, seed, "adam").nats[-1])
    return {"more": nats["RMS norm"] - nats["layer norm"], "nats": nats}


SEEDS = tuple(range(100, 106))

CLAIMS = [
    Claim(
        "rms_faster",
        "RMSNorm is 15-20 % faster than LayerNorm.",
        Experiment(
            timing,
            "Float32, one thread, tokens x features 2048 x 128, 1024 x 512 and 512 x 2048, their "
            "geometric mean; of 60 turns the quickest. Of one kind of processor.",
            SEEDS,
            study="rms_faster",
            reduced=lambda seed: timing(seed, ((64, 32),), rounds=3),
            timing=True,
        ),
        (Figure("time, RMSNorm over LayerNorm", "time", log=True, below=0.85),),
        {"Zhang & Sennrich 2019": "arXiv:1910.07467"},
    ),
    Claim(
        "rms_less_memory",
        "RMSNorm needs less memory, forward and backward.",
        Experiment(
            memory,
            "Tokens 64 x 512 with weight, and bias in LayerNorm; the tensors that autograd keeps "
            "for the backward pass on a CPU, counted by torch's hooks. All runs agree.",
        ),
        (
            Figure("bytes kept, RMSNorm over LayerNorm", "ratio", log=True, below=1),
            Figure("bytes kept over those of the input", "kept", log=True),
        ),
    ),
    Claim(
        "rms_more_stable",
        "RMSNorm is numerically more stable in mixed precision.",
        Experiment(
            half_precision,
            "256 digits through a random linear layer with 256 outputs, in half precision; "
            "distance to the same formula in float64, root mean square.",
            SEEDS,
        ),
        (
            Figure("distance to float64, RMSNorm over LayerNorm", "ratio", log=True, below=1),
            Figure("distance to float64, in thousandths", "error", log=True),
        ),
    ),
    Claim(
        "rms_as_good",
        "RMSNorm is as good as or better than LayerNorm.",
        Experiment(
            quality,
            "Character transformer (Pre-LN, 2 blocks of width 32) on Python's help texts, 300 "
            "steps of Adam at 0.003 from the same weights; loss on the test set. As good: at "
            "most 0.02 nats more.",
            SEEDS,
            study="rms_as_good",
            reduced=lambda seed: quality(seed, steps=2, depth=1, length=8),
        ),
        (
            Figure("test loss in nats, RMSNorm minus LayerNorm", "more", below=0.02),
            Figure("test loss, nats", "nats"),
        ),
        {"Zhang & Sennrich 2019": "arXiv:1910.07467", "Narang et al. 2021": "arXiv:2102.11972"},
    ),
]
