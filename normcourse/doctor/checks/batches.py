"""How many numbers stand behind a statistic, and what one step does with the batch."""

from collections.abc import Iterator
from typing import Any

import torch

from normcourse.doctor.checks.record import Found, Unchecked, check
from normcourse.doctor.patient import Patient, buffers_kept, samples, size_of, slopes
from normcourse.doctor.recognize import noise


@check(
    "severe",
    "A number minus its own mean is 0, whatever it was: nothing gets through.",
    "Fewer groups, more positions, or a norm over the features.",
    "#a-group-of-one-number",
    "meta-pytorch/opacus#567 pytorch/pytorch#19250 pytorch/pytorch#45687",
)
def one_number(patient: Patient) -> Iterator[Found]:
    """A statistic of one number: the output does not depend on the input."""
    for norm in patient.norms:
        if norm.count != 1 or (norm.tracks and not norm.batch_count):
            continue
        if norm.batch_count:
            continue  # last_batch_of_one and no_running_statistics say it
        calls = patient.trace.of(norm.name) if patient.has("batch") else []
        call = calls[0] if calls else None
        probe = norm.probe(call)
        if probe.x is None:
            continue
        shape = tuple(call.shape) if call is not None else tuple(probe.x.shape)
        a, b = noise(shape, probe.x, 1), noise(shape, probe.x, 2).abs() + 1
        a = a.abs() + 1  # for RMS norm the sign is left
        change = float((probe(a).double() - probe(b).double()).abs().max())
        if change < 1e-3:
            measured = f"1 number in a statistic; other inputs change the output by {change:.1g}"
            yield Found(norm.name, measured, {"count": 1, "change": change})


@check(
    "warning",
    "Its statistics are those of one sample, and training stops where it is one number.",
    "drop_last=True in the training loader, or another batch size.",
    "#a-last-batch-of-one",
    "fastai/fastai#1352 openvinotoolkit/nncf#379 azavea/raster-vision#1029",
    "data",
)
def last_batch_of_one(patient: Patient) -> Iterator[Found]:
    """A batch of a single sample in the data, for a batch norm."""
    if not patient.batch_norms:
        return
    sizes = _batch_sizes(patient)
    if 1 not in sizes or max(sizes) == 1:
        return
    n = size_of(patient.batch) or max(sizes)
    positions = {norm.name: norm.count // n for norm in patient.batch_norms if norm.count}
    alone = [name for name, count in positions.items() if count == 1]
    severity = "severe" if alone else None
    where = alone[0] if alone else patient.batch_norms[0].name
    least = min(positions.values(), default=0)
    measured = f"batches of {max(sizes)} and one of 1"
    if least:
        measured += f": down to {least} numbers in a statistic"
    yield Found(where, measured, {"smallest": 1, "numbers": least}, severity)


def _batch_sizes(patient: Patient) -> set[int]:
    """Of a DataLoader from its settings, of others by going through them."""
    data: Any = patient.data
    if hasattr(data, "__next__"):
        raise Unchecked("data is an iterator, which would be used up")
    size = getattr(data, "batch_size", None)
    dataset: Any = getattr(data, "dataset", None)
    if isinstance(size, int) and hasattr(dataset, "__len__"):
        rest = len(dataset) % size
        return {size} if rest == 0 or getattr(data, "drop_last", False) else {size, rest}
    sizes = set()
    for batch in data:
        patient.tick()
        one = batch[0] if type(batch) in (list, tuple) else batch
        found = size_of(one)
        if found is not None:
            sizes.add(found)
    if not sizes:
        raise Unchecked("the batches of data have no size")
    return sizes


COSINE = 0.9


@check(
    "warning",
    "Gradients add up over micro-batches; statistics do not.",
    "A norm inside the sample, synchronized batch norm, or frozen statistics.",
    "#accumulated-gradients",
    "ultralytics/yolov5#1630 run-ai/runai#14 giotto-ai/giotto-deep#75",
    "batch micro_batches",
)
def shrunk_batch(patient: Patient) -> Iterator[Found]:
    """The gradient accumulated over micro-batches is not that of the batch."""
    parts, n = patient.micro_batches or 2, size_of(patient.batch)
    if not patient.batch_norms:
        return
    if n is None or n < 2 * parts:
        raise Unchecked(f"the batch has no {parts} parts of two samples")
    n -= n % parts
    whole = gradient(patient, 0, n)
    step = n // parts
    total = torch.stack([gradient(patient, k, k + step) for k in range(0, n, step)]).sum(0)
    cosine = float(torch.nn.functional.cosine_similarity(whole, total, dim=0))
    if cosine < COSINE:
        norm = min(patient.batch_norms, key=lambda norm: norm.count or 10**9)
        numbers = norm.count // parts
        measured = f"cosine {cosine:.2f} to the gradient of the whole batch, in {parts} parts; "
        measured += f"down to {numbers} numbers in a statistic"
        yield Found(norm.name, measured, {"cosine": cosine, "numbers": numbers})


def gradient(patient: Patient, start: int, stop: int) -> torch.Tensor:
    """The gradient of the loss on some samples, all parameters in a row."""
    patient.tick()
    with buffers_kept(patient.model), torch.enable_grad():
        training = {norm.module for norm in patient.batch_norms}
        for module in patient.names:
            module.training = module in training
        output = patient.call(patient.model, samples(patient.batch, start, stop))
        loss = patient.loss(output, slice(start, stop))
        parameters = patient.parameters
        parts = slopes(loss, parameters)
    pairs = zip(parts, parameters, strict=True)
    return torch.cat(
        [(torch.zeros_like(p) if g is None else g.to_dense()).double().flatten() for g, p in pairs]
    )


@check(
    "severe",
    "What the first pass needs for its gradient is overwritten by the second.",
    "Clone the buffer before it is used; under DistributedDataParallel one pass for both.",
    "#u-changed-between-two-forward-passes",
    "pytorch/pytorch#13350 pytorch/pytorch#175024 pytorch/pytorch#22095",
    "batch",
)
def two_forwards(patient: Patient) -> Iterator[Found]:
    """Two forward passes, then one backward pass: GAN discriminators and siamese networks."""
    # torch's batch norm needs no running statistic for its gradient.
    others = [n for n, _ in patient.model.named_buffers() if not n.endswith(BATCH_BUFFERS)]
    if not patient.parameters or not others:
        return
    few = slice(0, 4)
    part = samples(patient.batch, 0, 4)
    training = {norm.module for norm in patient.batch_norms}
    training |= {m for m in patient.names if any(b is not None for b in m._buffers.values())}
    with buffers_kept(patient.model), torch.enable_grad():
        for module in patient.names:
            module.training = module in training
        first = patient.loss(patient.call(patient.model, part), few)
        versions = {name: b._version for name, b in patient.model.named_buffers()}
        second = patient.loss(patient.call(patient.model, part), few)
        moved = [n for n, b in patient.model.named_buffers() if b._version > versions.get(n, 0)]
        own = [n for n in moved if not n.endswith(BATCH_BUFFERS)]
        if not own:
            return
        try:
            torch.autograd.grad(first + second, patient.parameters, allow_unused=True)
        except RuntimeError as error:
            if "inplace" not in str(error):
                raise Unchecked(f"backward raised {str(error)[:100]}") from error
            measured = f"backward fails; {len(own)} buffers got a new version in the second pass"
            yield Found(own[0].rpartition(".")[0], measured, {"buffers": len(own)})


BATCH_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
