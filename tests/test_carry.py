"""Carrying a layer: the same outputs in every framework, and the same statistics a step later."""

import dataclasses
import itertools
import subprocess
import sys

import numpy as np
import pytest

from normcourse import carry
from normcourse.lab.frameworks import FRAMEWORKS, KINDS, TITLES, Layer, absent

if absent():
    pytest.skip(f"not installed: {', '.join(absent())}", allow_module_level=True)

import equinox
import flax.linen
import jax
import keras
import torch
from flax import nnx

import normcourse.nn
from normcourse.lab.playgrounds import frameworks as playground

C, N, L = 6, 4, 5
PAIRS = [pair for pair in itertools.product(FRAMEWORKS, repeat=2) if pair[0] != pair[1]]
MOMENTUM = 0.3  # of the new batch


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def made(framework, kind, **options):
    options = {"eps": 3e-3, "dtype": "float64", **options}
    if kind == "batch":
        options = {"momentum": MOMENTUM if framework == "torch" else 1 - MOMENTUM, **options}
    return Layer(framework, kind, C, **options)


def at_random(layer, rng):
    """The layer with random numbers in all its variables but the beta that only Equinox has."""
    description = layer.read()
    arrays = {
        name: rng.uniform(0.3, 2, C) if name == "var" else rng.normal(size=C)
        for name in ("gamma", "beta", "mean", "var")
        if getattr(description, name) is not None
    }
    if description.kind == "rms":
        arrays["beta"] = None
    layer.write(dataclasses.replace(description, **arrays))
    for name, array in arrays.items():
        if array is not None:
            np.testing.assert_allclose(getattr(layer.read(), name), array, rtol=1e-6)
    return layer


def tolerance(pair, kind):
    """Keras computes in float32, whatever its dtype; Flax's running statistics are float32."""
    if "keras" in pair:
        return 1e-5
    return 1e-6 if "flax" in pair and kind == "batch" else 1e-12


def data(rng):
    return rng.normal(rng.normal(size=(1, C, 1)), 2, (N, C, L))


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_the_same(kind, record_property):
    rng = np.random.default_rng(KINDS.index(kind))
    found = {}
    for pair in PAIRS:
        source = made(pair[0], kind)
        target = made(pair[1], kind, eps=3e-3 if pair[1] == "equinox" else 0.5)
        description = at_random(source, rng).read()
        target.write(description)
        x = data(rng)
        away = np.abs(target(x) - source(x)).max()
        assert away < tolerance(pair, kind), pair
        assert np.abs(target(x) - made(pair[1], kind)(x)).max() > 0.1  # not by chance
        found["keras" in pair] = max(found.get("keras" in pair, 0), away)
        back = made(pair[0], kind).write(target.read())
        assert np.abs(back(x) - source(x)).max() < tolerance(pair, kind), pair
    figures = f"{found[False]:.0e} between torch, Flax and Equinox, {found[True]:.0e} with Keras"
    record_property("measured", f"carried {kind} norm, largest difference: {figures}")


def test_batch_norm_goes_on_in_training(record_property):
    """One more step: the variances differ by the share of one number in n, as predicted."""
    rng = np.random.default_rng(0)
    found = {"output": 0.0, "mean": 0.0, "variance, less the predicted gap": 0.0}
    gaps = []
    for pair in PAIRS:
        source, target = (made(framework, "batch") for framework in pair)
        target.write(at_random(source, rng).read())
        x = data(rng)
        outputs = [layer(x, training=True) for layer in (source, target)]
        one, other = source.read(), target.read()
        biased, n = x.var(axis=(0, 2)), N * L
        gap = MOMENTUM * biased / (n - 1) * (one.unbiased - other.unbiased)
        gaps.append(np.abs(gap).max())
        away = (
            np.abs(outputs[0] - outputs[1]).max(),
            np.abs(one.mean - other.mean).max(),
            np.abs(one.var - other.var - gap).max(),
        )
        assert max(away) < tolerance(pair, "batch"), pair
        found = {name: max(found[name], a) for name, a in zip(found, away, strict=True)}
    assert max(gaps) > 0.03  # far above the tolerance
    figures = ", ".join(f"{name} {value:.0e}" for name, value in found.items())
    record_property("measured", f"batch norm, carried and trained a step: {figures}")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_description_says_what_the_next_batch_does(framework):
    rng = np.random.default_rng(1)
    layer = at_random(made(framework, "batch"), rng)
    old = layer.read()
    assert old.momentum == pytest.approx(MOMENTUM)
    for _ in range(2):
        x = data(rng)
        layer(x, training=True)
        new = layer.read()
        for name, batch in (
            ("mean", x.mean(axis=(0, 2))),
            ("var", x.var(axis=(0, 2), ddof=int(old.unbiased))),
        ):
            expected = (1 - MOMENTUM) * getattr(old, name) + MOMENTUM * batch
            limit = tolerance((framework,), "batch")
            np.testing.assert_allclose(getattr(new, name), expected, atol=limit)
        old = new


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_layer_without_parameters_is_one_with_ones_and_zeros(framework, kind):
    if (framework, kind) == ("keras", "rms"):
        pytest.skip("Keras' RMS norm always has its parameter")
    rng = np.random.default_rng(2)
    bare = made(framework, kind, affine=False)
    assert bare.read().gamma is None
    x = data(rng)
    for target in FRAMEWORKS:
        written = at_random(made(target, kind), rng).write(bare.read())
        np.testing.assert_allclose(written(x), bare(x), atol=tolerance((framework, target), kind))
        if kind != "rms":
            bare.write(written.read())  # ones and zeros need no parameters


def test_equinox_counts_what_is_carried_as_many_batches():
    """With a count of 0 the first batch would divide the carried mean by the new one's weight."""
    rng = np.random.default_rng(3)
    carried = made("equinox", "batch").write(at_random(made("torch", "batch"), rng).read())
    layer, state = carried.layer, carried.state
    before = carried.read().mean
    carried.state = state.set(layer.batch_counter, 0 * state.get(layer.batch_counter))
    x = data(rng)
    np.testing.assert_allclose(carried.read().mean, before)
    carried(x, training=True)
    exploded = (1 - MOMENTUM) / MOMENTUM * before + x.mean(axis=(0, 2))
    np.testing.assert_allclose(carried.read().mean, exploded)


@pytest.mark.parametrize("steps", [1, 3])
def test_a_young_equinox_average_is_read_as_inference_uses_it(steps):
    rng = np.random.default_rng(4)
    young, other = made("equinox", "batch"), made("torch", "batch")
    for _ in range(steps):
        young(data(rng), training=True)
    x = data(rng)
    np.testing.assert_allclose(other.write(young.read())(x), young(x), atol=1e-12)


def test_momentum_zero_keeps_only_the_last_batch():
    last = made("torch", "batch", momentum=1.0)
    carried = made("equinox", "batch", momentum=0.0).write(last.read())
    x = data(np.random.default_rng(5))
    carried(x, training=True)
    np.testing.assert_allclose(carried.read().mean, x.mean(axis=(0, 2)))
    still, target = made("torch", "batch", momentum=0.0), made("equinox", "batch", momentum=1.0)
    with pytest.raises(ValueError, match="never takes in a batch"):
        target.write(still.read())


def test_layout_is_the_layer_s_own():
    """Keras with channels first, on images."""
    rng = np.random.default_rng(6)
    source = at_random(made("torch", "batch"), rng).read()
    norm = torch.nn.BatchNorm2d(C)
    carry.write(source, norm)
    x = rng.normal(size=(2, C, 3, 4)).astype("float32")
    expected = norm.eval()(torch.tensor(x)).detach().numpy()
    for axis in (1, -1):
        layer = keras.layers.BatchNormalization(axis=axis)
        layer.build(x.shape if axis == 1 else (2, 3, 4, C))
        carry.write(source, layer)
        y = layer(x if axis == 1 else np.moveaxis(x, 1, -1), training=False).detach().numpy()
        y = y if axis == 1 else np.moveaxis(y, -1, 1)
        np.testing.assert_allclose(y, expected, atol=1e-5)


def test_a_gamma_of_several_axes_keeps_their_order():
    shape = (2, 3, 4)
    rng = np.random.default_rng(7)
    norm = torch.nn.LayerNorm(shape, dtype=torch.float64)
    description = dataclasses.replace(carry.read(norm), gamma=rng.normal(size=shape))
    carry.write(description, norm)
    x = rng.normal(size=(5, *shape))
    expected = norm(torch.tensor(x)).detach().numpy()
    same_order = carry.write(carry.read(norm), equinox.nn.LayerNorm(shape))
    np.testing.assert_allclose(jax.vmap(same_order)(x), expected, atol=1e-12)

    last = keras.layers.LayerNormalization(axis=[1, 2, 3])
    last.build((None, 3, 4, 2))
    with pytest.raises(ValueError, match="orders them differently"):
        carry.write(carry.read(norm), last)
    moved = {k: np.moveaxis(getattr(carry.read(norm), k), 0, -1) for k in ("gamma", "beta")}
    turned = dataclasses.replace(carry.read(norm), **moved, channels_first=False)
    y = carry.write(turned, last)(np.moveaxis(x, 1, -1)).detach().numpy()
    np.testing.assert_allclose(np.moveaxis(y, -1, 1), expected, atol=1e-5)


def test_a_subclass_is_what_it_is_a_subclass_of():
    layer = normcourse.nn.BatchNorm1d(C).double()
    description = at_random(made("flax", "batch"), np.random.default_rng(8)).read()
    assert carry.write(description, layer) is layer
    x = data(np.random.default_rng(9))
    expected = made("flax", "batch").write(description)(x)
    y = layer.eval()(torch.tensor(x)).detach()
    np.testing.assert_allclose(y, expected, atol=1e-6)


@pytest.mark.parametrize(("dtype", "eps"), [("float32", 2.0**-23), ("float64", 2.0**-52)])
def test_torch_s_rms_norm_has_the_machine_epsilon(dtype, eps):
    assert Layer("torch", "rms", C, dtype=dtype).read().eps == eps


def test_half_precision_is_read():
    layer = torch.nn.LayerNorm(2, dtype=torch.bfloat16)
    layer.weight.data.copy_(torch.tensor([0.5, 3.0]))
    np.testing.assert_array_equal(carry.read(layer).gamma, [0.5, 3])


def test_a_description_is_a_copy():
    layer = torch.nn.LayerNorm(C, dtype=torch.float64)
    description = carry.read(layer)
    layer.weight.data.fill_(7)
    np.testing.assert_array_equal(description.gamma, np.ones(C))


def parametrized():
    from torch.nn.utils.parametrizations import weight_norm

    return weight_norm(torch.nn.Linear(2, 2))


def without_state():
    return made("equinox", "batch").layer


def ema():
    return equinox.nn.make_with_state(equinox.nn.BatchNorm)(C, "batch", mode="ema")[0]


def keras_built(name, **options):
    layer = getattr(keras.layers, name)(**options)
    layer.build((None, C))
    return layer


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: torch.nn.Linear(2, 2), TypeError, "got torch.nn.modules.linear.Linear"),
        (parametrized, TypeError, "carry the weight that comes out"),
        (flax.linen.BatchNorm, TypeError, "use nnx"),
        (lambda: torch.nn.BatchNorm1d(C, track_running_stats=False), ValueError, "must be True"),
        (lambda: torch.nn.BatchNorm1d(C, momentum=None), ValueError, "only torch has None"),
        (
            lambda: torch.nn.InstanceNorm1d(C, track_running_stats=True),
            ValueError,
            "track_running_stats must be False",
        ),
        (keras.layers.BatchNormalization, ValueError, "layer.build"),
        (lambda: keras_built("BatchNormalization", renorm=True), ValueError, "renorm"),
        (
            lambda: nnx.LayerNorm(C, reduction_axes=(1, 2), rngs=nnx.Rngs(0)),
            ValueError,
            r"reduction_axes must be -1, got \(1, 2\)",
        ),
        (ema, ValueError, "mode must be 'batch', got 'ema'"),
        (without_state, ValueError, "state must be"),
    ],
)
def test_what_cannot_be_read_is_told(make, error, says):
    with pytest.raises(error, match=says):
        carry.read(make())


@pytest.mark.parametrize(
    ("source", "target", "says"),
    [
        (("torch", "batch"), ("flax", "layer"), "layer is layer norm; the description is of batch"),
        (
            ("torch", "group"),
            ("keras", "group", {"groups": 3}),
            "group norm with 3 groups; the description is of group norm with 2 groups",
        ),
        (("torch", "instance"), ("flax", "group"), "of group norm with 6 groups"),
        (("torch", "batch"), ("equinox", "batch", {"eps": 1e-3}), "make it with eps=0.003"),
        (("torch", "batch"), ("equinox", "batch", {"momentum": 0.3}), "make it with momentum=0.7"),
        (("equinox", "rms"), ("flax", "rms"), "layer has no bias"),
        (("keras", "rms"), ("torch", "rms", {"affine": False}), "layer has no weight"),
        (("flax", "layer"), ("keras", "layer", {"affine": False}), "layer has no gamma"),
    ],
)
def test_what_cannot_be_written_is_told_and_changes_nothing(source, target, says):
    rng = np.random.default_rng(10)
    description = made(*source).read()
    names = [n for n in ("gamma", "beta", "mean") if getattr(description, n) is not None]
    description = dataclasses.replace(description, **{n: rng.normal(size=C) for n in names})
    framework, kind, *options = target
    layer = made(framework, kind, **(options[0] if options else {}))
    before = repr(layer.read())
    with pytest.raises(ValueError, match=says):
        layer.write(description)
    assert repr(layer.read()) == before


def test_channels_must_be_as_many():
    description = carry.read(torch.nn.BatchNorm1d(C + 1, eps=3e-3, momentum=MOMENTUM))
    for framework in FRAMEWORKS:
        with pytest.raises(ValueError, match=r"\(6,\).*\(7,\)"):
            made(framework, "batch").write(description)
    with pytest.raises(ValueError, match="layer has 6 channels, the description 7"):
        made("equinox", "batch", affine=False).write(description)


@pytest.mark.parametrize("copied", range(len(playground.COPIED)))
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_playground_does_what_the_frameworks_do(framework, copied):
    """Its lines come from the course's update; here the layers themselves are trained."""
    name = TITLES[framework]
    what, size, channels = playground.COPIED[copied], 8, 1
    source = torch.nn.BatchNorm1d(channels)
    torch.nn.init.constant_(source.running_mean, playground.MEAN)
    options = {} if what == playground.COPIED[0] else {"eps": 1e-5, "momentum": 0.1}
    if what == "carried" and framework != "torch":
        options["momentum"] = 0.9
    layer = Layer(framework, "batch", channels, **options)
    own = layer.read()
    numbers = carry.read(source)
    if what != "carried":
        numbers = dataclasses.replace(numbers, eps=own.eps, momentum=own.momentum)
    layer.write(numbers)
    if framework == "equinox" and what != "carried":
        count = layer.layer.batch_counter
        layer.state = layer.state.set(count, 0 * layer.state.get(count))
    lines = playground.averages(normcourse.update_running_statistics, name, what, size)
    for k, batch in enumerate(playground.batches(size)[:5], 1):
        layer(batch, training=True)
        now = layer.read()
        np.testing.assert_allclose(lines[k], [now.mean.mean(), now.var.mean()], rtol=1e-4)


def test_importing_it_imports_no_framework():
    code = (
        "import sys, normcourse.carry; "
        f"print([n for n in ('jax', 'tensorflow', *{FRAMEWORKS}) if n in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
