"""Every record is proven: rights pass, mistakes are rejected and named, no probe is idle."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from exercise_solutions import RIGHT, WRONG
from hypothesis import settings

from normcourse.exercises import EXERCISES, Exercise, Mistake, Probe, Steps, find, judge

ALL = [exercise for exercises in EXERCISES.values() for exercise in exercises]
by_name = pytest.mark.parametrize("exercise", ALL, ids=lambda e: e.name)
# `make search` looks longer than `make test`.
LONG = settings.get_current_profile_name() == "search"
SEEDS = 1000 if LONG else 100
STEPS = {step for exercise in ALL for step in exercise.reference.steps}


def names(verdict):
    return [finding.name for finding in verdict.findings]


def passes(exercise, fn, seed=0):
    """Whether it is accepted, without the search for a name, which takes longest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(judge.__globals__, "recognize", lambda *_, **__: ())
        return judge(exercise, fn, seed).passed


def cases(table):
    return [
        pytest.param(exercise, fn, id=f"{exercise.name}-{getattr(fn, '__name__', 'partial')}")
        for exercise in ALL
        for fn in table[exercise.name]
    ]


@pytest.mark.parametrize(("exercise", "solution"), cases(RIGHT))
def test_a_right_solution_passes(exercise, solution):
    verdict = judge(exercise, solution)
    assert verdict.passed, verdict
    assert verdict.findings == ()


def with_tolerances(exercise, factor):
    probes = (replace(probe, tolerance=factor * probe.tolerance) for probe in exercise.probes)
    return replace(exercise, probes=tuple(probes))


@by_name
def test_right_solutions_pass_on_many_inputs(exercise):
    """Even with half the tolerance: no verdict hangs on a threshold."""
    strict, solutions = with_tolerances(exercise, 0.5), RIGHT[exercise.name]
    for seed in range(SEEDS):
        solution = solutions[seed % len(solutions)]
        verdict = judge(strict, solution, seed)
        assert verdict.passed, (solution.__name__, seed, verdict.smallest_failure)


@pytest.mark.parametrize(
    ("exercise", "mistake"),
    [pytest.param(e, m, id=f"{e.name}-{m.name}") for e in ALL for m in e.mistakes],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # a twin may divide by zero
def test_a_mistake_is_rejected_and_named(exercise, mistake):
    for seed in range(5):
        verdict = judge(exercise, exercise.twin(mistake), seed)
        assert not verdict.passed
        assert names(verdict) == [mistake.name]
        assert not verdict.readings[0].evidence.startswith("Not sure")


def nc_shape(v, x):
    return v.reshape((1, -1) + (1,) * (x.ndim - 2))


def torch_var(x, weight, bias, eps):
    x = torch.from_numpy(np.ascontiguousarray(x))
    axis = [i for i in range(x.ndim) if i != 1]
    xhat = (x - x.mean(axis, keepdim=True)) / torch.sqrt(x.var(axis, keepdim=True) + eps)
    return xhat * nc_shape(torch.from_numpy(weight), x) + nc_shape(torch.from_numpy(bias), x)


def two_dimensional(x, weight, bias, eps):
    mu = sum(x) / len(x)
    var = sum((x - mu) ** 2) / len(x)
    return weight * (x - mu) / (var + eps) ** 0.5 + bias


def expanded_square(x, weight, bias, eps):
    axis = (0, *range(2, x.ndim))
    mu = np.sum(x, axis, keepdims=True) / np.float32(x.size // x.shape[1])
    var = np.sum(x * x, axis, keepdims=True) / np.float32(x.size // x.shape[1]) - mu * mu
    return (x - mu) / np.sqrt(var + eps) * nc_shape(weight, x) + nc_shape(bias, x)


def only_direct_path(dy, x, weight, bias, eps):
    axis = (0, *range(2, x.ndim))
    centered = x - x.mean(axis, keepdims=True)
    inverse = 1 / np.sqrt(np.square(centered).mean(axis, keepdims=True) + eps)
    dx = dy * nc_shape(weight, x) * inverse
    return dx, np.sum(dy * centered * inverse, axis), np.sum(dy, axis)


def keras_momentum(running_mean, running_var, x, momentum):
    rows = np.moveaxis(x, 1, -1).reshape(-1, x.shape[1])
    mean = running_mean * momentum + rows.mean(0) * (1 - momentum)
    var = np.atleast_2d(np.cov(rows.T)).diagonal()
    return mean, running_var * momentum + var * (1 - momentum)


def pandas_scaler(X_train, X_new):
    mean = X_train.sum(0) / len(X_train)
    std = np.sqrt(((X_train - mean) ** 2).sum(0) / (len(X_train) - 1))
    std[std == 0] = 1
    return (X_new - mean) / std


def no_eps(x, weight, bias, eps):
    axis = (0, *range(2, x.ndim))
    std = x.std(axis, keepdims=True)
    xhat = (x - x.mean(axis, keepdims=True)) / np.where(std == 0, 1, std)
    return xhat * nc_shape(weight, x) + nc_shape(bias, x)


def library_std(x, weight, bias, eps):
    x = torch.from_numpy(np.ascontiguousarray(x))
    axis = [i for i in range(x.ndim) if i != 1]
    xhat = (x - x.mean(axis, keepdim=True)) / (x.std(axis, keepdim=True) + eps)
    return xhat * nc_shape(torch.from_numpy(weight), x) + nc_shape(torch.from_numpy(bias), x)


def flax_momentum(running_mean, running_var, x, momentum):
    axis = (0, *range(2, x.ndim))
    pairs = (running_mean, x.mean(axis)), (running_var, x.var(axis))
    return tuple(momentum * old + (1 - momentum) * new for old, new in pairs)


def wide_guard(X_train, X_new):
    return (X_new - X_train.mean(0)) / np.maximum(X_train.std(0), 1)


def nan_to_num(X_train, X_new, low, high):
    with np.errstate(all="ignore"):
        unit = (X_new - X_train.min(0)) / np.ptp(X_train, axis=0)
    return np.nan_to_num(unit) * (high - low) + low


def tiny_variance(X_train, X_new):
    return (X_new - X_train.mean(0)) / np.sqrt(X_train.var(0) + 1e-5)


@pytest.mark.parametrize(
    ("name", "attempt", "mistake"),
    [
        ("batch_norm", torch_var, "unbiased variance"),
        ("batch_norm", two_dimensional, "written for (N, C) only"),
        ("batch_norm", expanded_square, "cancellation"),
        ("batch_norm_backward", only_direct_path, "statistics treated as constants"),
        ("update_running_statistics", keras_momentum, "momentum turned around"),
        ("standard_scale", pandas_scaler, "divided by n - 1"),
        ("batch_norm", no_eps, "eps forgotten"),
        ("standard_scale", wide_guard, "small scale replaced by 1"),
        ("standard_scale", tiny_variance, "constant feature divided by a tiny number"),
        ("min_max_scale", nan_to_num, "division by zero papered over"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_mistake_is_named_in_code_that_looks_like_a_learners(name, attempt, mistake):
    for seed in range(20):
        assert names(judge(find(name), attempt, seed)) == [mistake]


@pytest.mark.parametrize(
    ("name", "attempt", "mistakes"),
    [
        ("batch_norm", library_std, {"unbiased variance", "eps outside the square root"}),
        (
            "update_running_statistics",
            flax_momentum,
            {"momentum turned around", "biased variance stored"},
        ),
    ],
)
def test_two_mistakes_at_once_are_both_named(name, attempt, mistakes):
    for seed in range(20):
        (reading,) = judge(find(name), attempt, seed).readings
        assert set(reading.names) == mistakes


@pytest.mark.parametrize(("exercise", "attempt"), cases(WRONG))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_wrong_solution_in_no_record_is_rejected(exercise, attempt):
    assert not any(passes(exercise, attempt, seed) for seed in range(20))


@by_name
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_no_probe_is_idle(exercise):
    """Without any one probe, something wrong is accepted, or cannot be named any more.

    But for the numbers for the hand: they are there to be understood.
    """
    designed = [probe for probe in exercise.probes if not probe.by_hand]
    for probe in designed:
        rest = tuple(p for p in designed if p is not probe)
        fewer = replace(exercise, probes=rest)
        accepted = any(passes(fewer, fn) for fn in WRONG[exercise.name])
        assert accepted or any(
            names(judge(fewer, fewer.twin(m))) != [m.name] for m in exercise.mistakes
        ), f"{probe.name!r} can be deleted"


@by_name
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_ten_times_the_tolerance_accepts_no_mistake(exercise):
    lenient = with_tolerances(exercise, 10)
    assert not any(passes(lenient, lenient.twin(m)) for m in exercise.mistakes)


def test_two_mistakes_that_look_alike_are_both_reported():
    def double(x):
        return 2 * x

    exercise = Exercise(
        name="identity",
        task="Return x.",
        returns=("y",),
        reference=Steps("x", "y", y=lambda q: q.x),
        probes=(Probe("numbers", lambda rng: (rng.standard_normal(3).astype(np.float32),)),),
        mistakes=(
            Mistake("doubled", "You multiply by 2.", {"y": lambda q: 2 * q.x}),
            Mistake("added to itself", "You add x to x.", {"y": lambda q: q.x + q.x}),
            Mistake("tripled", "You multiply by 3.", {"y": lambda q: 3 * q.x}),
        ),
        hints=(),
    )
    assert names(judge(exercise, double)) == ["doubled", "added to itself"]


@by_name
def test_a_record_is_complete(exercise):
    assert len(exercise.hints) >= 3
    assert len({probe.name for probe in exercise.probes}) == len(exercise.probes)
    told = {(mistake.name, mistake.explanation) for mistake in exercise.mistakes}
    assert len({name for name, _ in told}) == len(told)
    for hint in exercise.hints:
        assert set(hint.about.split()) <= STEPS, hint
    assert exercise.points == len(exercise.probes) * len(exercise.returns)


def group_mean(a, axis):
    return a.mean(axis, keepdims=True)


def in_float64(fn):
    return lambda *args: fn(*(a.astype(float) if hasattr(a, "astype") else a for a in args))


@pytest.mark.parametrize(
    "name", ["batch_norm_backward", "layer_norm_backward", "group_norm_backward"]
)
@pytest.mark.parametrize(
    ("slip", "mistake"),
    [
        ({"half": 1}, "variance path counted twice"),
        ({"power": 2}, "x - μ where x̂ belongs once in dx"),
        ({"power": 1}, "x - μ where x̂ belongs in dx"),
        ({"two": 1}, "half of the variance path"),
        ({"n": 1}, "1/n forgotten in the variance path"),
        ({"half": -0.5}, "wrong sign of the variance path"),
        ({"to_var": 0}, "path through the variance missing"),
        ({"to_mean": 0}, "path through the mean missing"),
        ({"to_mean": 0, "to_var": 0}, "statistics treated as constants"),
        ({"to_mean": -1}, "wrong sign of the mean path"),
        ({"sum": lambda a, axis: a}, "sum over the group forgotten"),
        (
            {"sum": lambda a, axis: a.mean(axis, keepdims=True)},
            "variance path divided by n once more",
        ),
        ({"r": lambda r: 1}, "dx not divided by the standard deviation"),
    ],
)
def test_a_slip_in_the_chapters_derivation_is_named(name, slip, mistake):
    """The derivation node by node, with one thing forgotten."""
    values = {"half": 0.5, "power": 3, "two": 2, "n": None, "to_var": 1, "to_mean": 1} | slip
    total = values.get("sum", lambda a, axis: a.sum(axis, keepdims=True))
    exercise = find(name)

    def backward(*arguments):
        q = exercise.reference.trace(*arguments)
        r = 1 / q.s
        dr = total(q.g * q.c, q.axis)
        dvar = -values["half"] * r ** values["power"] * dr
        dc = q.g * r + values["to_var"] * values["two"] / (values["n"] or q.n) * q.c * dvar
        dx = dc - values["to_mean"] * dc.mean(q.axis, keepdims=True)
        dx = dx if "r" not in slip else dx / r
        return dx.reshape(q.x.shape), q.dweight, q.dbias

    for seed in range(5):
        (reading,) = judge(exercise, in_float64(backward), seed).readings
        assert reading.names == (mistake,)
        assert not reading.evidence.startswith("Not sure")


@pytest.mark.parametrize(
    ("slip", "mistake"),
    [
        ({"half": 1}, "projection counted twice"),
        ({"two": 1}, "half of the projection"),
        ({"half": -0.5}, "projection added"),
        ({"half": 0}, "norm treated as a constant"),
        ({"power": 2}, "v where v̂ belongs once in dv"),
        ({"power": 1}, "v where v̂ belongs in dv"),
        ({"power": 4}, "projection divided by the norm once more"),
        ({"g": lambda q: 1}, "g forgotten in dv"),
        ({"g_of_s": lambda q: 1}, "g forgotten in the projection"),
        ({"sum": lambda a, axes: a}, "sum over the vector forgotten"),
        (
            {"sum": lambda a, axes: a.mean(axes, keepdims=True)},
            "mean instead of the dot product in dv",
        ),
    ],
)
def test_a_slip_in_the_derivation_of_a_weights_gradient_is_named(slip, mistake):
    """v to 1/‖v‖ to w, node by node, with one thing forgotten."""
    values = {"half": 0.5, "two": 2, "power": 3} | slip
    total = values.get("sum", lambda a, axes: a.sum(axes, keepdims=True))
    exercise = find("weight_norm_backward")

    def backward(*arguments):
        q = exercise.reference.trace(*arguments)
        g = slip.get("g", lambda q: q.g)(q)
        ds = total(q.dw * slip.get("g_of_s", lambda q: g)(q) * q.v, q.axes)
        dsquare = -values["half"] / q.norm ** values["power"] * ds
        return q.dw * g / q.norm + values["two"] * q.v * dsquare, q.dg

    for seed in range(5):
        (reading,) = judge(exercise, in_float64(backward), seed).readings
        assert reading.names == (mistake,)
        assert not reading.evidence.startswith("Not sure")


def test_there_are_enough_mistakes(record_property):
    for technique, least in (("rescaling", 8), ("batch_norm", 14), ("group_norm", 14)):
        exercises = EXERCISES[technique]
        distinct = {mistake.name for exercise in exercises for mistake in exercise.mistakes}
        assert len(distinct) >= least
        listed = sum(len({m.name for m in exercise.mistakes}) for exercise in exercises)
        figures = f"{len(exercises)} functions, {sum(e.points for e in exercises)} probes"
        record_property("measured", f"exercises: {technique}: {figures}, {listed} mistakes")
