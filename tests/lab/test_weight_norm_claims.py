"""What the chapter on weight normalization says in a sentence is what its studies stored."""

from pathlib import Path

import numpy as np
import pytest

from normcourse.lab import data
from normcourse.lab.claims import claims
from normcourse.lab.claims.weight_norm import STARTING, InitializedLinear, WeightNormLinear, network
from normcourse.lab.network import Linear, cross_entropy

CHAPTER = Path(__file__).parents[2] / "book" / "weights" / "weight_norm.ipynb"
X, Y = (part[:STARTING] for part in data.digits()[:2])


def test_steps_are_the_stored_ones():
    found = claims()["wn_faster_than_none"].measure().intervals
    text = CHAPTER.read_text("utf-8")
    certain = found["none"]["3 layers, batches of 64"]
    assert [row for row, i in found["none"].items() if i.low > 1] == ["3 layers, batches of 64"]
    assert f"takes about {certain.mean} times fewer steps, certain in one case of three" in text
    same = [interval.mean for interval in found["same start"].values()]
    assert f"takes {min(same)} to {max(same)} times weight norm's steps" in text
    assert all(i.low < 1 < i.high for i in found["same start"].values())
    assert all(
        i.high < 1 for i in claims()["wn_faster_than_bn"].measure().intervals["batch norm"].values()
    )


def test_the_networks_start_alike_and_from_the_data():
    ours, same = (network(arm, 3, 0, X) for arm in ("weight norm", "the same start"))
    np.testing.assert_allclose(ours.forward(X), same.forward(X))
    for kind, net in ((WeightNormLinear, ours), (InitializedLinear, same)):
        z = X
        for layer in net.layers:
            z = layer.forward(z, training=False)
            if isinstance(layer, Linear):
                assert isinstance(layer, kind)
                np.testing.assert_allclose(z.mean(0), 0, atol=1e-9)
                np.testing.assert_allclose(z.std(0), 1)


def test_its_gradient_is_the_slope_of_the_loss():
    net = network("weight norm", 2, 0, X)
    _, dlogits = cross_entropy(net.forward(X, training=True), Y)
    net.backward(dlogits)
    for layer in (layer for layer in net.layers if layer.parameters):
        for p, gradient in zip(layer.parameters, layer.gradients, strict=True):
            at, loss = np.unravel_index(abs(gradient).argmax(), p.shape), []
            for step in (1e-5, -2e-5):
                p[at] += step
                loss.append(cross_entropy(net.forward(X), Y)[0])
            p[at] += 1e-5
            assert (loss[0] - loss[1]) / 2e-5 == pytest.approx(gradient[at], rel=1e-5)
