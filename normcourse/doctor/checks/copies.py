"""Copies of a model: averaged ones, and those on other devices."""

from collections.abc import Iterator

import torch

from normcourse.doctor.checks.measure import distance, few, updated
from normcourse.doctor.checks.record import Found, Unchecked, check
from normcourse.doctor.patient import Patient
from normcourse.doctor.recognize import Norm


@check(
    "severe",
    "An average of weights computes other activations than the weights it averages.",
    "One pass over training data with the averaged copy: torch.optim.swa_utils.update_bn.",
    "#an-average-of-weights-without-the-buffers",
    "fadel/pytorch_ema#13 CuriousAI/mean-teacher#9 pytorch/ignite#2590 boschresearch/OASIS#21",
    "averaged batch",
)
def average_without_buffers(patient: Patient) -> Iterator[Found]:
    """An averaged copy whose running statistics are not those of what it computes."""
    copy = getattr(patient.averaged, "module", patient.averaged)
    if not isinstance(copy, torch.nn.Module):
        raise Unchecked("averaged is no module")
    modules = dict(copy.named_modules())
    run = patient.run(patient.some, model=copy)
    for norm in patient.tracking:
        theirs, ours = run.of(norm.name), patient.trace.of(norm.name)
        if norm.name not in modules or len(theirs) != 1 or len(ours) != 1:
            continue
        if theirs[0].x is None or ours[0].x is None or not updated(norm):
            continue
        twin = Norm(norm.name, modules[norm.name], norm.kind, True, running=norm.running)
        away, ratio = distance(norm, theirs[0], twin)
        own, own_ratio = distance(norm, ours[0])
        far = max(away, abs(ratio**0.5 - 1))
        if far > 0.5 and far > 3 * max(own, abs(own_ratio**0.5 - 1)):
            measured = f"{few(away)} running deviations from what the copy sees, the model's own "
            measured += f"{few(own)}; variance {few(ratio)} times, {few(own_ratio)} times"
            yield Found(norm.name, measured, {"deviations": away, "own": own, "ratio": ratio})


@check(
    "warning",
    "Each device evaluates another function, and what is saved is that of one of them.",
    "Average means, and variances plus the variance of the means; or synchronized batch norm.",
    "#buffers-that-differ-over-devices",
    "huggingface/pytorch-image-models#110 pytorch/pytorch#13711 mlcommons/training#289",
    "ranks",
)
def buffers_over_ranks(patient: Patient) -> Iterator[Found]:
    """Running statistics that differ from device to device."""
    states = [r.state_dict() if isinstance(r, torch.nn.Module) else r for r in patient.ranks]
    found = []
    for norm in patient.tracking:
        name = patient.qualified(norm, norm.running[0])
        held = [s.get(name, s.get(f"module.{name}")) for s in states]
        variance = norm.tensor(norm.running[1])
        own = norm.tensor(norm.running[0])
        if variance is None or own is None:
            continue
        means = torch.stack([own, *(m.to(own) for m in held if m is not None)]).double()
        spread = (variance.double() + 1e-5).sqrt()
        apart = float(((means.amax(0) - means.amin(0)) / spread).max())
        if apart > 0.3:  # a single step of momentum 0.1 on batches of 32 gives 0.1 at most
            found.append((norm.name, apart, len(held) + 1))
    for where, apart, count in found:
        measured = f"the means of {count} devices are up to {few(apart)} deviations apart"
        yield Found(where, measured, {"deviations": apart})
