"""The lab's network: its gradients, its training, its depth profile."""

import numpy as np
import pytest

from normcourse.lab import data
from normcourse.lab.network import BatchNorm, Linear, Network, cross_entropy, depth_profile, train


def loss_of(network, x, y):
    return cross_entropy(network.forward(x, training=True), y)[0]


@pytest.mark.parametrize("norm", [None, "batch", "layer"])
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_gradients_by_finite_differences(norm, activation):
    rng = np.random.default_rng(3)
    network = Network((7, 6, 5, 4), norm, "xavier", activation, rng)
    for layer in network.layers:
        for p in layer.parameters:
            p += rng.normal(0, 0.2, p.shape)
    x, y = rng.normal(size=(9, 7)), rng.integers(0, 4, 9)
    _, dlogits = cross_entropy(network.forward(x, training=True), y)
    dx = network.backward(dlogits)
    gradients = [g.copy() for layer in network.layers for g in layer.gradients]
    parameters = [p for layer in network.layers for p in layer.parameters]
    for p, gradient in zip([x, *parameters], [dx, *gradients], strict=True):
        for index in np.ndindex(p.shape):
            old, sides = p[index], []
            for step in (1e-6, -1e-6):
                p[index] = old + step
                sides.append(loss_of(network, x, y))
            p[index] = old
            assert gradient[index] == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=2e-8)


def test_cross_entropy_of_huge_logits():
    loss, dlogits = cross_entropy(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([0, 0]))
    assert loss == pytest.approx(5e3)
    np.testing.assert_allclose(dlogits, [[0, 0], [-0.5, 0.5]], atol=1e-12)


def test_momentum_is_the_sum_of_past_gradients():
    network = Network((3, 2), rng=0)
    start = network.layers[0].parameters[0].copy()
    for gradient in (1.0, 10.0):
        network.layers[0].gradients = [np.full((3, 2), gradient), np.zeros(2)]
        network.step(0.1, momentum=0.5)
    np.testing.assert_allclose(network.layers[0].parameters[0], start - 0.1 * (1 + 10.5))


def test_evaluation_leaves_the_running_statistics():
    network = Network((64, 8, 10), "batch", rng=0)
    split = data.digits()
    train(network, split, steps=3, rng=0, every=3)
    norm = next(layer for layer in network.layers if isinstance(layer, BatchNorm))
    before = [r.copy() for r in norm.running]
    one = network.forward(split.x_test[:1])
    np.testing.assert_allclose(one, network.forward(split.x_test)[:1], atol=1e-12)
    np.testing.assert_array_equal(before, norm.running)


def test_training_learns_and_is_deterministic():
    first, second = (
        train(Network((64, 16, 10), "batch", rng=0), data.digits(), 60, 0.3, rng=0)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.loss, second.loss)
    assert first.accuracy[-1] > 0.85
    assert first.steps_to(0.5) <= 60
    assert first.steps_to(1.1) == np.inf


def test_divergence_ends_early_and_silently(recwarn):
    history = train(Network((64, 32, 10), init=1e200, rng=0), data.digits(), 50, 1.0, rng=0)
    assert history.diverged
    assert len(history.loss) < 50
    assert not recwarn.list


def test_depth_profile_follows_the_scale_of_the_weights():
    layers = 20
    he = depth_profile(layers, (2 / 64) ** 0.5)
    double = depth_profile(layers, 2 * (2 / 64) ** 0.5)
    assert all(len(part) == layers for part in he)
    # A ReLU network without biases is homogeneous: doubled weights double each layer's output.
    np.testing.assert_allclose(double[0], he[0] * 2.0 ** np.arange(1, layers + 1), rtol=1e-9)
    normalized = depth_profile(layers, norm="batch")
    assert 0.5 < normalized[0].min() <= normalized[0].max() < 1


def test_batch_norm_ignores_the_scale_of_hidden_weights_and_gradients_shrink_with_it():
    split, logits, gradients = data.digits(), [], []
    for factor in (1, 64):
        network = Network((64, 32, 32, 10), "batch", rng=1)
        linear = [layer for layer in network.layers if isinstance(layer, Linear)]
        for layer in linear[:-1]:
            layer.parameters[0] *= factor
        logits.append(network.forward(split.x_train[:64], training=True))
        network.backward(cross_entropy(logits[-1], split.y_train[:64])[1])
        gradients.append([layer.gradients[0] for layer in linear])
    np.testing.assert_allclose(logits[1], logits[0], atol=1e-3)  # up to eps
    for one, large in zip(gradients[0][:-1], gradients[1][:-1], strict=True):
        assert np.linalg.norm(one) / np.linalg.norm(large) == pytest.approx(64, rel=1e-3)


def test_wrong_names_are_explained():
    with pytest.raises(ValueError, match="init must be one of small"):
        Network((3, 2), init="hee")
    with pytest.raises(ValueError, match="norm must be one of batch"):
        Network((3, 2), norm="bacth")
    with pytest.raises(ValueError, match="activation must be"):
        Network((3, 2), activation="gelu")
