"""Half precision, and what published RMS norms do differently."""

from collections.abc import Iterator

import torch

from normcourse.doctor.checks.measure import few, plain
from normcourse.doctor.checks.record import ORIGINS, Found, check
from normcourse.doctor.patient import Patient
from normcourse.doctor.recognize import Norm, Probe, noise, standardized
from normcourse.doctor.trace import Call

HALF = (torch.float16, torch.bfloat16)


def _probes(patient: Patient) -> Iterator[tuple[Norm, Probe, Call | None]]:
    """Each norm with an input for it, recorded or made up."""
    for norm in patient.norms:
        calls = patient.trace.of(norm.name) if patient.has("batch") else []
        call = calls[0] if calls and calls[0].x is not None else None
        probe = norm.small(call)
        if probe.x is not None and not probe.x.is_meta:
            patient.tick()
            yield norm, probe, call


def _few(x: torch.Tensor) -> tuple[int, ...]:
    """The shape of two to four samples; of a vector, its own."""
    return (min(4, max(2, len(x))), *x.shape[1:]) if x.ndim > 1 else tuple(x.shape)


@check(
    "warning",
    "A sum of squares overflows in float16 above 65504, and a mean has three digits or fewer.",
    "Compute statistics in float32: x.float() first, cast the result.",
    "#an-epsilon-that-float16-rounds-to-0",
    "pytorch/pytorch#66707 meta-llama/llama#1048 facebookresearch/ConvNeXt#80 "
    "microsoft/onnxruntime#29045",
)
def half_statistics(patient: Patient) -> Iterator[Found]:
    """Statistics computed, or remembered, in half precision."""
    for norm, probe, call in _probes(patient):
        assert probe.x is not None
        dtype = probe.x.dtype
        if dtype not in HALF:
            continue
        if norm.tracks:
            yield from _half_buffers(patient, norm)
        if not norm.own:  # torch's own accumulate in float32
            continue
        shape = _few(probe.x)
        unit = (noise(shape, probe.x) - 1) / 3
        # Hard but possible: what passes between layers is not centred, and has outliers.
        hard = unit + 64 if norm.centred else 300 * unit
        state = [*norm.module.named_parameters(), *norm.module.named_buffers()]
        wide = {n: t.double() for n, t in state if t.is_floating_point()}
        exact = probe(hard.double(), norm.batch_count, wide).double()
        got = probe(hard, norm.batch_count).double()
        off = float((got - exact).abs().max() / exact.pow(2).mean().sqrt().clamp_min(1e-30))
        digits = torch.finfo(dtype).eps
        if not off <= 16 * digits:  # two roundings of numbers up to 4 deviations are 8; NaN is not
            own_bad = call is not None and not bool(probe(probe.x).isfinite().all())
            about = "offset of 64 deviations" if norm.centred else "size of 300"
            measured = f"{few(off)} away from float64 at an {about}, {off / digits:.0f} roundings"
            if not norm.centred:
                measured = measured.replace("an size", "a size")
            if own_bad:
                measured += "; not finite on the batch itself"
            yield Found(norm.name, measured, {"error": off}, "severe" if own_bad else None)


def _half_buffers(patient: Patient, norm: Norm) -> Iterator[Found]:
    mean, var = (norm.tensor(name) for name in norm.running)
    if mean is None or var is None or mean.dtype not in HALF or not patient.modes[norm.module]:
        return
    step = float((mean.abs() / (var.float() + 1e-5).sqrt()).max()) * torch.finfo(mean.dtype).eps
    least = torch.finfo(mean.dtype).eps / 0.1  # smaller changes of the variance are rounded away
    measured = f"running statistics in {str(mean.dtype).removeprefix('torch.')}: batches that "
    measured += f"differ by less than {least:.1g} leave the variance as it is"
    yield Found(norm.name, measured, {"step": step, "least": least})


def _sane(norm: Norm) -> bool:
    """Whether nothing in it is NaN or a negative variance, of which another check speaks."""
    held = [*norm.module.parameters(), *norm.module.buffers()]
    finite = all(bool(t.detach().isfinite().all()) for t in held)
    var = norm.tensor(norm.running[1]) if norm.tracks else None
    return finite and (var is None or bool((var >= 0).all()))


@check(
    "severe",
    "A blank row is 0/0, and one NaN spreads to the whole batch.",
    "A larger ε, or statistics in float32.",
    "#an-epsilon-that-float16-rounds-to-0",
    "deepspeedai/DeepSpeed#581 pytorch/pytorch#32137 tensorflow/tensorflow#24979",
)
def epsilon_underflows(patient: Patient) -> Iterator[Found]:
    """A constant input makes the norm return NaN or inf."""
    for norm, probe, _ in _probes(patient):
        assert probe.x is not None
        if norm.count == 1 or not _sane(norm):
            continue
        zeros = probe.x.new_zeros(_few(probe.x))
        y = probe(zeros, norm.batch_count and not norm.tracks)
        bad = int((~y.isfinite()).sum())
        if bad:
            eps = next((v for k, v in vars(norm.module).items() if "eps" in k), None)
            measured = f"{bad} of {y.numel()} outputs for zeros are not finite"
            if isinstance(eps, float):
                stored = float(torch.tensor(eps).to(probe.x.dtype))
                measured += f"; ε {eps:g} is {stored:g} in {str(probe.x.dtype)[6:]}"
            yield Found(norm.name, measured, {"outputs": bad})


@check(
    "note",
    "Rounding before or after the multiplication gives other numbers, layer after layer.",
    "Take the order the model was trained with, and return the dtype that came in.",
    "#cast-before-the-scale-or-after",
    "huggingface/transformers#30236 vllm-project/vllm-xpu-kernels#536 tinygrad/tinygrad#5095",
)
def cast_order(patient: Patient) -> Iterator[Found]:
    """RMS norms that round before the scale beside others that round after; another dtype."""
    expected = ORIGINS.get(patient.origin or "", {}).get("cast")
    orders: dict[str, str] = {}
    shares: dict[str, float] = {}
    for norm, probe, call in _probes(patient):
        if call is not None and call.dtype in HALF and call.out_dtype != call.dtype:
            came, went = (str(d).removeprefix("torch.") for d in (call.dtype, call.out_dtype))
            share = torch.finfo(call.out_dtype or call.dtype).bits / torch.finfo(call.dtype).bits
            measured = f"{came} came in, {went} went out: {share:.0f} times the bytes from here on"
            yield Found(norm.name, measured, {"bytes": share}, "warning")
        if norm.kind == "rms" and norm.weight:
            seen = _order(norm, probe)
            if seen is not None:
                orders[norm.name], shares[norm.name] = seen
    usual = expected or (max(orders.values(), key=list(orders.values()).count) if orders else None)
    for name, order in orders.items():
        if order != usual:
            measured = f"rounds {order} the scale ({shares[name]:.0%} of the numbers agree); "
            measured += f"{patient.origin if expected else 'the other norms'}: {usual}"
            severity = "warning" if expected else None
            yield Found(name, measured, {"agree": shares[name]}, severity)


def _order(norm: Norm, probe: Probe) -> tuple[str, float] | None:
    """("before" or "after", the share of outputs that agree with it) in bfloat16; None: neither."""
    assert probe.x is not None
    like = torch.empty(0, dtype=torch.bfloat16, device=probe.x.device)
    x = noise((max(4, probe.x.shape[0]), *probe.x.shape[1:]), like)[:4]
    stored = norm.tensor(norm.weight)
    assert stored is not None
    random = torch.Generator().manual_seed(3)
    scale = (1 + 0.3 * torch.randn(stored.shape, generator=random)).to(like)
    replaced = plain(norm) | {norm.weight: (scale - 1 if norm.offset else scale).to(like)}
    try:
        y = probe(x, False, replaced)
    except Exception:
        return None
    axes = norm.axes or (-1,)
    if norm.offset:
        scale = (1 + replaced[norm.weight].float()).to(torch.float32)
    hat = standardized(x.float(), axes, False)
    agree = {
        "before": float((y == (hat.to(like) * scale).to(y.dtype)).float().mean()),
        "after": float((y == (hat * scale.float()).to(y.dtype)).float().mean()),
    }
    order = max(agree, key=lambda key: agree[key])
    return (order, agree[order]) if agree[order] > 0.95 and y.dtype == like.dtype else None


NEGATIVE = 0.2  # of the weights; scales γ that were trained are positive but for a few


@check(
    "warning",
    "Gemma and its kin store γ - 1 and add 1: without it nearly nothing comes out, with two of "
    "them twice too much.",
    "Add 1 once: when loading, or in the norm.",
    "#weights-stored-as-gamma-minus-1",
    "linkedin/Liger-Kernel#74 pytorch/executorch#19901 kekzl/imp#459",
)
def one_plus_weight(patient: Patient) -> Iterator[Found]:
    """Weights stored as γ - 1 that are used as γ, or the other way round."""
    for norm in patient.norms:
        weight = norm.tensor(norm.weight)
        if weight is None or norm.kind not in ("rms", "layer") or weight.numel() < 2:
            continue
        stored = weight.detach().double()
        mean, negative = float(stored.mean()), float((stored < 0).double().mean())
        minus = not norm.offset and abs(mean) < 0.3 and negative >= NEGATIVE
        twice = norm.offset and bool((stored == 1).all())
        if minus or twice:
            used = "1 is added: all are 2" if twice else "they are used as they are"
            measured = f"mean weight {few(mean)}, {negative:.0%} negative; {used}"
            severity = "severe" if minus and patient.origin == "gemma" else None
            yield Found(norm.name, measured, {"mean": mean, "negative": negative}, severity)


@check(
    "severe",
    "Whoever still holds the input, a residual stream for instance, now holds the output.",
    "No operation with an underscore on what came in: x = x * r, not x.mul_(r).",
    "#an-rmsnorm-that-changes-its-input",
    "GeeeekExplorer/nano-vllm#170 GeeeekExplorer/nano-vllm#205",
)
def input_changed(patient: Patient) -> Iterator[Found]:
    """A norm that writes into its input."""
    for norm, probe, _ in _probes(patient):
        assert probe.x is not None
        x = noise(_few(probe.x), probe.x)
        before, version = x.clone(), x._version
        probe(x, norm.batch_count and not norm.tracks, itself=True)
        change = float((x - before).abs().max())
        if x._version > version and change > 0:
            writes = x._version - version
            measured = f"writes into the input: {writes}; it changes by {few(change)}"
            yield Found(norm.name, measured, {"change": change})
