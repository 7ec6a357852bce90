"""The lab's text, its torch networks and their training."""

import itertools

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from normcourse.lab import data, text, training  # noqa: E402
from normcourse.lab.models import (  # noqa: E402
    NORM,
    ConvolutionalNetwork,
    RecurrentNetwork,
    Transformer,
    gradient_norms,
    norm_layer,
)

RNG = np.random.default_rng(0)
DIGITS = RNG.random((6, 64)), RNG.integers(0, 10, 6)
TEXT = RNG.integers(0, 7, (3, 9)), RNG.integers(0, 7, (3, 9))
SMALL = {"depth": 2, "width": 8, "heads": 2, "length": 9, "vocabulary": 7}
FLAT = [None, "batch", "layer", "group", "rms"]  # what can normalize (N, D)
MODELS = (
    [(ConvolutionalNetwork, {"norm": n, "pool": p}) for n in [None, *NORM] for p in (True, False)]
    + [(RecurrentNetwork, {"norm": n, "hidden": 8}) for n in FLAT]
    + [
        (Transformer, {"norm": n, "place": p, **SMALL})
        for n in ("layer", "rms", None)
        for p in ("pre", "post")
    ]
)


def perturbed(model):
    """The model with random parameters everywhere: ones and zeros hide errors."""
    rng = np.random.default_rng(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.from_numpy(rng.normal(0, 0.2, p.shape)))
    return model


def loss_of(model, x, y):
    logits = model(torch.tensor(x)).flatten(0, -2)
    return functional.cross_entropy(logits, torch.tensor(y).flatten())


@pytest.mark.parametrize(("cls", "options"), MODELS, ids=str)
def test_shapes_and_gradients_by_finite_differences(cls, options):
    model, (x, y) = perturbed(cls(**options)), TEXT if cls is Transformer else DIGITS
    assert model(torch.tensor(x)).shape == (*y.shape, 7 if cls is Transformer else 10)
    loss_of(model, x, y).backward()
    rng = np.random.default_rng(2)
    for name, p in model.named_parameters():
        assert p.dtype == torch.float64
        flat = p.data.view(-1)
        for i in rng.integers(0, len(flat), 2):
            old, sides = flat[i].item(), []
            for step in (1e-6, -1e-6):
                flat[i] = old + step
                sides.append(loss_of(model, x, y).item())
            flat[i] = old
            found = p.grad.view(-1)[i].item()
            assert found == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=3e-8), name


@pytest.mark.parametrize("name", NORM)
def test_a_norm_name_stands_for_its_axes(name):
    x = np.random.default_rng(0).normal(3, 2, (5, 8, 4, 4)) * np.arange(1, 9)[:, None, None]
    y = norm_layer(name, (8, 4, 4), groups=2).double()(torch.from_numpy(x)).detach().numpy()
    axes = {"batch": (0, 2, 3), "position": 1, "instance": (2, 3), "group": (2, 3, 4)}
    shared, x = axes.get(name, (1, 2, 3)), x.reshape(5, 2, 4, 4, 4) if name == "group" else x
    centred = x - x.mean(shared, keepdims=True) * (name != "rms")
    expected = centred / (centred**2).mean(shared, keepdims=True) ** 0.5
    np.testing.assert_allclose(y.reshape(x.shape), expected, atol=1e-4)
    assert type(norm_layer(name, (8, 4, 4))).__module__.startswith("normcourse.")


def test_a_norm_may_be_a_function_of_the_shape():
    seen = []
    ConvolutionalNetwork(lambda shape: seen.append(shape) or torch.nn.Identity(), (4, 6, 8))
    assert seen == [(4, 8, 8), (6, 4, 4), (8, 2, 2)]
    for make in (RecurrentNetwork, Transformer, ConvolutionalNetwork):
        with pytest.raises(ValueError, match=r"norm must be one of batch, layer, .*got 'bacth'"):
            make("bacth")


def test_recurrent_network_is_the_formula():
    model = perturbed(RecurrentNetwork("layer", features=4, hidden=5))
    x, p = torch.tensor(DIGITS[0]), dict(model.named_parameters())
    h = torch.zeros(6, 5, dtype=torch.float64)
    for t in range(16):
        a = h @ p["state.weight"].T + x[:, 4 * t : 4 * t + 4] @ p["input.weight"].T
        a = functional.layer_norm(
            a + p["input.bias"], (5,), p["norms.0.weight"], p["norms.0.bias"], 1e-5
        )
        h = torch.tanh(a)
    torch.testing.assert_close(model(x), h @ p["output.weight"].T + p["output.bias"])


def test_batch_norm_has_statistics_of_each_step_and_none_for_a_longer_sequence():
    model, x = RecurrentNetwork("batch"), torch.tensor(DIGITS[0])
    training.fit(model, data.digits(), steps=3)
    means = torch.stack([norm.running_mean for norm in model.norms])
    assert len(means) == 8
    assert all((a - b).abs().max() > 1e-3 for a, b in itertools.combinations(means, 2))
    assert model.norms[7].weight is model.norms[0].weight
    assert model.eval()(x[:, :40]).shape == (6, 10)
    longer = torch.cat([x, x], 1)
    with pytest.raises(
        ValueError, match=r"16 steps, but .* for 8: cut it, train with steps=16, or"
    ):
        model(longer)
    assert RecurrentNetwork("layer")(longer).shape == (6, 10)


def test_place_is_where_the_norm_is():
    def all_ones(shape):
        return type("Double", (torch.nn.Module,), {"forward": lambda self, x: 2 * x})()

    x = torch.tensor(TEXT[0])
    for place in ("pre", "post"):
        model = Transformer(all_ones, place, **SMALL | {"depth": 1})
        block, h = model.blocks[0], model.tokens(x) + model.positions.weight
        if place == "pre":
            h = h + block.attention(2 * h)
            h = 2 * (h + block.mlp(2 * h))  # the last norm
        else:
            h = 2 * (h + block.attention(h))
            h = 2 * (h + block.mlp(h))
        torch.testing.assert_close(model(x), model.output(h))
    with pytest.raises(ValueError, match="place must be 'pre' or 'post', got 'middle'"):
        Transformer(place="middle")
    with pytest.raises(ValueError, match="heads must divide width, got 3 and 8"):
        Transformer(width=8, heads=3)


def test_attention_is_softmax_of_scaled_products_of_the_past():
    block = perturbed(Transformer(**SMALL)).blocks[0]
    x = torch.from_numpy(np.random.default_rng(0).normal(size=(3, 9, 8)))
    heads = []
    for part in (slice(0, 4), slice(4, 8)):
        q, k, v = (f(x)[..., part] for f in (block.query, block.key, block.value))
        scores = (q @ k.mT / 4**0.5).masked_fill(torch.ones(9, 9).triu(1).bool(), -torch.inf)
        heads.append(scores.softmax(-1) @ v)
    torch.testing.assert_close(block.attention(x), block.mix(torch.cat(heads, -1)))


@pytest.mark.parametrize("place", ["pre", "post"])
def test_a_later_character_changes_no_earlier_logit(place):
    model, x = perturbed(Transformer("layer", place, **SMALL)), TEXT[0]
    before = model(torch.tensor(x))
    for position in range(9):
        changed = x.copy()
        changed[:, position] = (x[:, position] + 1) % 7
        moved = (model(torch.tensor(changed)) - before).abs().amax((0, 2))
        assert (moved[:position] == 0).all()
        assert (moved[position:] > 1e-6).all()


def test_gradient_norms_are_those_of_each_block():
    model, (x, y) = perturbed(Transformer(**SMALL)), TEXT
    loss_of(model, x, y).backward()
    down = [block.down.weight.grad.norm().item() for block in model.blocks]
    assert gradient_norms(model, x, y, "down") == pytest.approx(down)
    total = [
        sum((p.grad**2).sum().item() for name, p in block.named_parameters() if p.dim() == 2) ** 0.5
        for block in model.blocks
    ]
    assert gradient_norms(model, x, y) == pytest.approx(total)
    torch.testing.assert_close(model.blocks[0].down.weight.grad.norm().item(), down[0])


@pytest.mark.parametrize("cls", [ConvolutionalNetwork, RecurrentNetwork, Transformer])
def test_the_seed_alone_decides_the_weights(cls):
    torch.manual_seed(0)
    first = cls(rng=3).state_dict()
    torch.manual_seed(1)
    again, other = cls(rng=3).state_dict(), cls(rng=4).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    weights = [name for name in first if name.endswith("weight") and first[name].dim() > 1]
    assert not any(torch.equal(first[name], other[name]) for name in weights)
    assert cls(rng=3, dtype=torch.float32).output.weight.dtype == torch.float32


def test_initial_weights_have_the_spread_of_their_names():
    convolution = ConvolutionalNetwork(channels=(64, 64), rng=0).features[3].weight
    assert convolution.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.03)
    down = Transformer(width=64, rng=0).blocks[0].down.weight
    assert down.std().item() == pytest.approx((2 / 320) ** 0.5, rel=0.03)
    state = RecurrentNetwork(hidden=64, rng=0).state.weight
    assert state.std().item() == pytest.approx(1 / 8, rel=0.05)


# ---- training --------------------------------------------------------------------------------


def test_training_learns_is_deterministic_and_tests_in_evaluation_mode():
    split, found = data.digits(), []
    threads = torch.get_num_threads()
    for _ in range(2):
        model = ConvolutionalNetwork("batch", channels=(8, 8), pool=False)
        found.append(training.fit(model, split, 80, momentum=0.9, every=20))
    first, second = found
    np.testing.assert_array_equal(first.loss, second.loss)
    np.testing.assert_array_equal(first.nats, second.nats)
    assert first.accuracy[-1] > 0.9
    assert list(first.steps) == [20, 40, 60, 80]
    assert first.steps_to(0.5) <= 80
    assert torch.get_num_threads() == threads
    before = [b.clone() for b in model.buffers()]
    nats, accuracy = training.evaluate(model, split.x_test, split.y_test)
    assert (nats, accuracy) == (second.nats[-1], second.accuracy[-1])
    assert model.training
    assert all(map(torch.equal, before, model.buffers()))
    assert training.evaluate(model, split.x_test[:1], split.y_test[:1])[1] in (0, 1)


def test_plain_gradient_descent_by_hand():
    split = data.Split(*DIGITS, *DIGITS)
    model, again = (RecurrentNetwork("layer", hidden=4) for _ in range(2))
    history = training.fit(model, split, 2, lr=0.3, batch_size=6, warmup=4)
    for step in (1, 2):  # all six samples are the batch, in whatever order
        loss = loss_of(again, *DIGITS)
        assert history.loss[step - 1] == pytest.approx(loss.item(), rel=1e-12)
        for p, g in zip(
            again.parameters(), torch.autograd.grad(loss, [*again.parameters()]), strict=True
        ):
            p.data -= 0.3 * step / 4 * g
    for p, q in zip(model.parameters(), again.parameters(), strict=True):
        torch.testing.assert_close(p, q)
    assert history.nats[-1] == pytest.approx(loss_of(again, *DIGITS).item())


def test_training_on_text_with_warmup_and_adam():
    model = Transformer(width=16, depth=1, length=16)
    split = text.windows(16)
    history = training.fit(model, split, 60, 0.01, 16, optimizer="adam", warmup=10)
    assert history.loss[0] > 4
    assert history.nats[-1] < 3.3
    assert history.accuracy[-1] > 0.15


def test_training_ends_when_it_reached_the_goal_or_diverged():
    model = ConvolutionalNetwork("batch", channels=(8,), pool=False)
    history = training.fit(model, data.digits(), 200, momentum=0.9, every=5, stop_at=0.8)
    assert len(history.loss) < 100
    assert history.accuracy[-1] >= 0.8
    history = training.fit(RecurrentNetwork(), data.digits(), 50, lr=1e308)
    assert history.diverged
    assert len(history.loss) < 50
    assert len(history.nats) == len(history.steps) == 0


# ---- text ------------------------------------------------------------------------------------


def test_characters_are_numbered_and_others_left_out():
    assert len(text.VOCABULARY) == 96
    np.testing.assert_array_equal(text.encode("\n ~é–\t"), [0, 1, 95])
    assert text.decode(text.encode("if x:\n    pass…")) == "if x:\n    pass"


def test_text_is_english_of_a_size_to_learn_from():
    ids = text.characters()
    assert len(ids) > 300_000
    assert ids.min() == 0
    assert ids.max() < 96
    assert "expression" in text.decode(ids[:5000])


def test_windows_of_training_and_test_do_not_overlap():
    split, ids = text.windows(20, tests=10), text.characters()
    assert split.x_test.shape == split.y_test.shape == (10, 20)
    for x, y in ((split.x_train, split.y_train), (split.x_test, split.y_test)):
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])
    cut = round(0.9 * len(ids))
    np.testing.assert_array_equal(split.x_train[-1], ids[cut - 21 : cut - 1])
    np.testing.assert_array_equal(split.x_test[0], ids[cut : cut + 20])
    np.testing.assert_array_equal(split.y_test[-1], ids[-20:])
    with pytest.raises(ValueError, match="is within a window"):
        text.windows(10**6)
