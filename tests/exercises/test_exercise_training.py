"""Where the exercises lead: the learner's functions train, and the report tells of them."""

import gzip
import io
import re
import sys
from importlib.resources import files
from types import ModuleType

import exercise_solutions
import numpy as np
import pytest
import torch

import normcourse
from normcourse.exercises import (
    train_bounded,
    train_digits,
    train_divided,
    train_rescaled,
    train_switched,
    train_weights,
    training,
)

MORE = {"batch_norm": (), "layer_norm": ((32,),), "group_norm": (4,), "rms_norm": ((32,),)}
SCALES = exercise_solutions.RIGHT["standard_scale"]
MERGE, *MERGES = exercise_solutions.RIGHT["merge_statistics"]
WEIGHTS = exercise_solutions.start_numpy, normcourse.weight_norm, normcourse.weight_norm_backward


@pytest.fixture(params=MORE)
def technique(request):
    return request.param


@pytest.fixture
def pair(technique):
    return getattr(normcourse, technique), getattr(normcourse, f"{technique}_backward")


@pytest.fixture
def digits_anew():
    training._digits.cache_clear()
    yield
    training._digits.cache_clear()


def table(report):
    """The losses, one row for each step, and the words below."""
    rows = re.findall(r"^  \d+((?: +[\d.]+)+)$", repr(report), re.M)
    return np.array([row.split() for row in rows], float), " ".join(repr(report).split())


def by_autograd(technique):
    """The losses of the network, all of it in torch."""
    module = {
        "batch_norm": lambda: torch.nn.BatchNorm1d(32),
        "layer_norm": lambda: torch.nn.LayerNorm(32),
        "group_norm": lambda: torch.nn.GroupNorm(4, 32),
        "rms_norm": lambda: torch.nn.RMSNorm(32, eps=1e-5),
    }
    rng = np.random.default_rng(0)
    first, last = torch.nn.Linear(64, 32, bias=False), torch.nn.Linear(32, 10, bias=False)
    network = torch.nn.Sequential(first, module[technique](), torch.nn.ReLU(), last).double()
    with torch.no_grad():
        first.weight.copy_(torch.from_numpy(rng.normal(0, (2 / 64) ** 0.5, (64, 32)).T))
        last.weight.copy_(torch.from_numpy(rng.normal(0, (1 / 32) ** 0.5, (32, 10)).T))
    optimizer = torch.optim.SGD(network.parameters(), 0.5)
    (x, y), _ = training._digits()
    losses = []
    for _ in range(201):
        rows = rng.choice(len(x), 64, replace=False)
        scores = network(torch.from_numpy(x[rows]))
        loss = torch.nn.functional.cross_entropy(scores, torch.from_numpy(y[rows]))
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses[::40]


def test_the_network_trains_as_torchs_autograd_does(technique, pair):
    report = train_digits(*pair, *MORE[technique])
    losses, words = table(report)
    expected = by_autograd(technique)
    np.testing.assert_allclose(losses, np.transpose([expected, expected]), rtol=0, atol=0.00051)
    assert "step yours torch 0" in words
    assert re.search(r"reads right: 9[67]% \(yours\), 9[67]% \(torch\)\.", words)
    assert report.state == "passed"
    assert report.title.endswith(": the same result")


def test_without_torch_the_courses_functions_train_beside(technique, pair, monkeypatch):
    beside_torch, _ = table(train_digits(*pair, *MORE[technique]))
    monkeypatch.setitem(sys.modules, "torch", None)
    losses, words = table(train_digits(*pair, *MORE[technique]))
    np.testing.assert_array_equal(losses, beside_torch)
    assert "step yours course 0" in words


def test_every_right_solution_has_the_same_result(technique, pair):
    forward, backward = pair
    for name in (technique, f"{technique}_backward"):
        for fn in exercise_solutions.RIGHT[name]:

            def named(*arguments, fn=fn):
                return fn(*arguments)

            named.__name__ = name
            both = (named, backward) if name == technique else (forward, named)
            assert train_digits(*both, *MORE[technique]).state == "passed", fn


def test_a_wrong_gradient_has_another_result(technique, pair):
    forward, backward = pair

    def without_corrections(dy, x, *rest):
        dx, *others = backward(dy, x, *rest)
        return dx + 0.003 * dy, *others

    report = train_digits(forward, without_corrections, *MORE[technique])
    assert report.state == "wrong"
    assert "another result" in report.title
    assert "numbers of “yours” are not those of “torch”: see the checks above" in table(report)[1]


def test_a_gradient_that_is_no_number_is_shown():
    def nowhere(dy, x, *rest):
        return tuple(np.nan * d for d in normcourse.batch_norm_backward(dy, x, *rest))

    report = train_digits(normcourse.batch_norm, nowhere)
    assert report.state == "wrong"
    assert "40 nan 0.109" in table(report)[1]


def test_functions_that_are_missing_or_stop_are_told_with_their_line():
    def batch_norm_backward(dy, x, weight, bias, eps):
        raise NotImplementedError

    def stops(x, weight, bias, eps):
        return x / nothing  # noqa: F821

    missing = train_digits(normcourse.batch_norm, batch_norm_backward)
    assert missing.state == "open"
    assert "not started yet" in missing.title
    assert "Write batch_norm_backward first." in repr(missing)
    _, words = table(train_digits(stops, batch_norm_backward))
    line = stops.__code__.co_firstlineno + 1
    assert "handwritten digits: it stopped" in words
    assert f"NameError: name 'nothing' is not defined (stops, line {line}: return x" in words
    for nonsense in (None, lambda *_: None, lambda x, *_: x[:, :3]):
        assert "it stopped" in train_digits(nonsense, batch_norm_backward).title


def test_a_function_of_another_name_has_nothing_to_be_compared_with():
    def mine(x, weight, bias, eps):
        return normcourse.batch_norm(x, weight, bias, eps)

    report = train_digits(mine, normcourse.batch_norm_backward)
    assert (report.state, report.title.split(": ")[1]) == ("open", "nothing to compare with")
    assert "step yours 0" in table(report)[1]


def weights_by_autograd():
    """The losses of the network with normalized weights, all of it in torch."""
    rng, weight_norm = np.random.default_rng(0), torch.nn.utils.parametrizations.weight_norm
    layers = [torch.nn.Linear(64, 32), torch.nn.Linear(32, 10)]
    network = torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1]).double()
    for layer in layers:
        layer.weight.data = torch.from_numpy(rng.normal(0, 0.05, layer.weight.shape))
    (x, y), _ = training._digits()
    batch = torch.from_numpy(x[rng.choice(len(x), 64, replace=False)])
    with torch.no_grad():
        for layer, upto in zip(layers, (1, 3), strict=True):
            weight_norm(layer)
            layer.bias.zero_()
            stored = layer.parametrizations.weight
            stored.original0.fill_(1)
            std, mean = torch.std_mean(network[:upto](batch), 0, correction=0)
            stored.original0.copy_(1 / std[:, None])
            layer.bias.copy_(-mean / std)
    optimizer = torch.optim.SGD(network.parameters(), 0.02)
    losses = []
    for _ in range(201):
        rows = rng.choice(len(x), 64, replace=False)
        loss = torch.nn.functional.cross_entropy(
            network(torch.from_numpy(x[rows])), torch.from_numpy(y[rows])
        )
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses[::40]


def test_normalized_weights_train_as_torchs_autograd_does(monkeypatch):
    report = train_weights(*WEIGHTS)
    losses, words = table(report)
    expected = weights_by_autograd()
    np.testing.assert_allclose(losses[:, 1:], np.transpose([expected, expected]), atol=0.00051)
    assert "step plain yours torch 0" in words
    assert re.search(r"9[56]% \(yours\), 9[56]% \(torch\)\.", words)
    assert report.state == "passed"
    assert (losses[-1, 0], losses[-1, 1]) == pytest.approx((2.22, 0.12), abs=0.02)
    monkeypatch.setitem(sys.modules, "torch", None)
    without, words = table(train_weights(*WEIGHTS))
    np.testing.assert_array_equal(losses, without)
    assert "step plain yours course 0" in words


def test_it_is_the_start_from_data_that_makes_a_small_rate_enough(monkeypatch):
    """As the exercise says of the plain weights and of a start that looks at no data."""

    def at_the_norm(v, x):
        return np.linalg.norm(v, axis=1, keepdims=True), np.zeros(len(v))

    losses, _ = table(train_weights(at_the_norm, *WEIGHTS[1:]))
    plain, yours, beside = losses[-1]
    assert min(plain, yours) > 2 > 10 * beside
    monkeypatch.setattr(training, "WEIGHT_RATE", 20 * training.WEIGHT_RATE)
    losses, _ = table(train_weights(*WEIGHTS))
    assert losses[-1, 0] < 0.4


@pytest.mark.parametrize("position", range(3))
def test_every_right_solution_trains_its_weights_alike(position):
    name = ("weight_norm_init", "weight_norm", "weight_norm_backward")[position]
    for fn in exercise_solutions.RIGHT[name]:
        functions = [*WEIGHTS]
        functions[position] = fn
        assert train_weights(*functions).state == "passed", fn


def test_wrong_weights_have_another_result():
    start, forward, backward = WEIGHTS

    def without_projection(dw, v, g, dim):
        norm = np.linalg.norm(v, axis=1, keepdims=True)
        return g / norm * dw, backward(dw, v, g, dim)[1]

    def unbiased(v, x):
        g, b = start(v, x)
        return g * (1 - 1 / len(x)) ** 0.5, b * (1 - 1 / len(x)) ** 0.5

    def half(v, g, dim):
        return forward(v, g, dim) / 2

    for wrong in (
        (unbiased, forward, backward),
        (start, half, backward),
        (start, forward, without_projection),
    ):
        report = train_weights(*wrong)
        assert report.state == "wrong"
        assert "numbers of “yours” are not those of “torch”" in table(report)[1]
    assert "Write stub first." in repr(train_weights(start, stub, backward))
    assert "ZeroDivisionError" in repr(train_weights(start, forward, lambda *_: 1 / 0))


@pytest.mark.parametrize(
    ("scale", "merge"), [*((scale, MERGE) for scale in SCALES), *((SCALES[0], m) for m in MERGES)]
)
def test_rescaled_pixels_are_learned_where_raw_ones_are_not(scale, merge):
    report = train_rescaled(scale, merge)
    losses, words = table(report)
    raw, *rescaled = losses[-1]
    assert report.state == "passed"
    assert "epoch raw yours chunks course 0" in words
    assert raw > 10 * rescaled[-1]
    assert len(set(rescaled)) == 1
    right = re.findall(r"(\d)\d% \(([^)]+)\)", words)
    assert right == [("5", "raw"), ("9", "yours"), ("9", "chunks"), ("9", "course")]


def test_wrong_rescaling_is_seen():
    scale, merge = SCALES[0], MERGE

    def each_by_itself(X_train, X_new):
        return scale(X_new, X_new)

    def no_variance(X_train, X_new):
        return X_new - X_train.mean(0)

    def average(a, b):
        return a[0] + b[0], (a[1] + b[1]) / 2, (a[2] + b[2]) / 2

    def in_place(X_train, X_new):
        X_train *= 0
        return X_new

    # The losses are the same: what differs is what the test set becomes.
    assert "numbers of “yours” are" in table(train_rescaled(each_by_itself, merge))[1]
    assert "numbers of “yours” are" in table(train_rescaled(no_variance, merge))[1]
    assert "numbers of “chunks” are" in table(train_rescaled(scale, average))[1]
    assert "numbers of “yours” are" in table(train_rescaled(in_place, merge))[1]
    assert "not started yet" in train_rescaled(stub, merge).title
    assert "Write stub first." in repr(train_rescaled(scale, stub))
    assert "ZeroDivisionError" in repr(train_rescaled(scale, lambda a, b: 1 / 0))


def stub(*_):
    raise NotImplementedError


def test_on_the_page_the_digits_are_those_of_scikit_learn(monkeypatch, digits_anew):
    expected = training._digits()
    training._digits.cache_clear()
    content = gzip.decompress(files("sklearn.datasets.data").joinpath("digits.csv.gz").read_bytes())
    http, asked = ModuleType("pyodide.http"), []
    http.open_url = lambda address: asked.append(address) or io.StringIO(content.decode())
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "pyodide.http", http)
    monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
    monkeypatch.setenv("NORMCOURSE_DIGITS", "https://here/digits.csv")
    train_digits(normcourse.batch_norm, normcourse.batch_norm_backward)
    for pair, expected_pair in zip(training._digits(), expected, strict=True):
        for array, expected_array in zip(pair, expected_pair, strict=True):
            np.testing.assert_array_equal(array, expected_array)
            assert array.dtype == expected_array.dtype
    assert asked == ["https://here/digits.csv"]
    training._digits.cache_clear()
    http.open_url = lambda _: io.StringIO("<h1>404</h1>")
    report = train_digits(normcourse.batch_norm, normcourse.batch_norm_backward)
    assert "They could not be loaded: ValueError: " in repr(report)
    http.open_url = lambda _: io.StringIO(content.decode())
    assert train_digits(normcourse.batch_norm, normcourse.batch_norm_backward).state == "passed"


def test_without_the_digits_the_report_says_so(monkeypatch, digits_anew):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    for report in (
        train_digits(normcourse.batch_norm, normcourse.batch_norm_backward),
        train_rescaled(stub, stub),
    ):
        assert report.state == "open"
        assert report.title.endswith("the digits are not here")
        assert "open the notebook where it is installed" in " ".join(repr(report).split())


LAYERS = exercise_solutions.RIGHT["spectral_norm_layer"]
BACKWARDS = exercise_solutions.RIGHT["spectral_norm_backward"]


@pytest.mark.parametrize(
    ("layer", "backward"),
    [*((layer, BACKWARDS[0]) for layer in LAYERS), *((LAYERS[0], b) for b in BACKWARDS[1:])],
)
def test_bounded_weights_train_as_torchs_parametrization_does(layer, backward):
    report = train_bounded(layer, backward)
    losses, words = table(report)
    assert report.state == "passed"
    assert "step raw yours torch 0" in words
    np.testing.assert_array_equal(losses[:, 1], losses[:, 2])
    raw, yours, torchs = (float(b) for b, _ in re.findall(r"(\d+\.\d) \((\w+)\)", words))
    assert raw > 5 * yours
    assert 1 < yours == torchs < 2


def test_without_torch_bounded_weights_train_beside_the_course(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    report = train_bounded(LAYERS[0], BACKWARDS[0])
    assert report.state == "passed"
    assert "step raw yours course 0" in table(report)[1]


def test_wrong_bounded_weights_are_seen():
    def sigma_constant(dy, weight, u, v, dim):
        return dy / (u @ weight @ v)

    def forgets(weight, u, v, training, n, dim):
        return LAYERS[0](weight, u, v, training, n, dim)[0], u, v

    for pair in ((LAYERS[0], sigma_constant), (forgets, BACKWARDS[0])):
        report = train_bounded(*pair)
        assert report.state == "wrong"
        assert "numbers of “yours” are not those of “torch”" in table(report)[1]
    nowhere = train_bounded(LAYERS[0], lambda dy, *_: np.nan * dy)
    assert nowhere.state == "wrong"
    assert "nan (yours)" in table(nowhere)[1]
    assert "Write stub first." in repr(train_bounded(stub, BACKWARDS[0]))
    assert "it stopped" in train_bounded(LAYERS[0], lambda *_: None).title


FORWARDS = exercise_solutions.RIGHT["signed_divisive_norm"]
GRADIENTS = exercise_solutions.RIGHT["signed_divisive_norm_backward"]


@pytest.mark.parametrize(
    ("forward", "backward"),
    [*((forward, GRADIENTS[1]) for forward in FORWARDS), (FORWARDS[1], GRADIENTS[4])],
)
def test_division_evens_out_the_light(forward, backward):
    report = train_divided(forward, backward)
    losses, words = table(report)
    assert report.state == "passed"
    assert "step raw yours course 0" in words
    np.testing.assert_array_equal(losses[:, 1], losses[:, 2])
    assert losses[-1, 0] > 5 * losses[-1, 1]
    raw, yours, courses = (int(p) for p, _ in re.findall(r"(\d+)% \((\w+)\)", words))
    assert raw < yours - 4 == courses - 4


def test_a_network_divided_wrongly_is_seen():
    def pool_constant(dy, x, weight, bias, power):
        _, *rest = GRADIENTS[1](dy, x, weight, bias, power)
        return dy / (bias + x**2 @ weight.T) ** power, *rest

    def transposed(x, weight, bias, power):
        return FORWARDS[1](x, weight.T, bias, power)

    for pair in ((FORWARDS[1], pool_constant), (transposed, GRADIENTS[1])):
        report = train_divided(*pair)
        assert report.state == "wrong"
        assert "numbers of “yours” are not those of “course”" in table(report)[1]
    assert "Write stub first." in repr(train_divided(FORWARDS[1], stub))
    assert "it stopped" in train_divided(lambda *_: None, GRADIENTS[1]).title


MIXTURES = exercise_solutions.RIGHT["switchable_norm"]
SHARES = exercise_solutions.RIGHT["shares_backward"]
EVALUATIONS = exercise_solutions.RIGHT["switchable_norm_inference"]


@pytest.mark.parametrize("functions", [(1, 0, 1), (2, 2, 4)])
def test_shares_are_learned_as_by_the_course(functions):
    report = train_switched(
        *(right[i] for right, i in zip((MIXTURES, SHARES, EVALUATIONS), functions, strict=True))
    )
    losses, words = table(report)
    assert report.state == "passed"
    np.testing.assert_array_equal(losses[:, 0], losses[:, 1])
    assert losses[-1, 0] < losses[0, 0] / 10
    assert [
        float(s) for s in re.findall(r"batch 64 means ([\d.]+) ([\d.]+) ([\d.]+)", words)[0]
    ] != [0.33] * 3


def test_shares_that_learn_wrongly_are_seen():
    def without_softmax(dy, x, mean_weight, var_weight, weight, eps):
        return tuple(3 * d for d in SHARES[0](dy, x, mean_weight, var_weight, weight, eps))

    report = train_switched(MIXTURES[1], without_softmax, EVALUATIONS[1])
    assert report.state == "wrong"
    assert "Write stub first." in repr(train_switched(MIXTURES[1], stub, EVALUATIONS[1]))
    assert "it stopped" in train_switched(lambda *_: None, SHARES[0], EVALUATIONS[1]).title
