"""Structural faults: each is caught before any number is compared, and named."""

import numpy as np
import pytest
import torch

import normcourse
from normcourse.exercises import find, judge

right = normcourse.batch_norm
backward = normcourse.batch_norm_backward


def none(*args):
    right(*args)


def raises(x, weight, bias, eps):
    scale = 1 / 0
    return x * scale


def dropped_axes(x, weight, bias, eps):
    return x - x.mean(1)


def no_broadcast(x, weight, bias, eps):
    return x - np.zeros((5, 7, 11, 13))


def four_axes(x, weight, bias, eps):
    return x - x.mean((0, 2, 3), keepdims=True)


def another_order(*args):
    return backward(*args)[::-1]


def pair(*args):
    return right(*args), 0


def missing_gradient(*args):
    return backward(*args)[:2]


def missing_value(*args):
    return None, *backward(*args)[1:]


def text(*args):
    return "y"


def flattened(*args):
    return right(*args).ravel()


def truncated(*args):
    return right(*args).astype(int)


def half(*args):
    return right(*args).astype(np.float16)


def complex_numbers(*args):
    return right(*args).astype(complex)


def not_a_number(*args):
    return right(*args) * np.float32("nan")


def in_place(x, weight, bias, eps):
    y = right(x, weight, bias, eps)
    x[:] = y
    return y


def writes_bias(x, weight, bias, eps):
    y = right(x, weight, bias, eps)
    bias *= 2
    return y


def remembering(x, weight, bias, eps, calls=[]):  # noqa: B006 - this is the mistake
    calls.append(0)
    return right(x, weight, bias, eps) * np.float32(len(calls))


def random(x, weight, bias, eps):
    return right(x, weight, bias, eps) + np.random.rand(*x.shape).astype(x.dtype)


def exits(*args):
    raise SystemExit(0)


def verbose(*args):
    raise ValueError("broadcast " * 1000)


def dictionary(*args):
    return dict(zip(("dx", "dweight", "dbias"), backward(*args), strict=True))


def cached_by_shape(x, weight, bias, eps, cache={}):  # noqa: B006 - this is the mistake
    return cache.setdefault(x.shape, right(x, weight, bias, eps))


def too_few(x, weight):
    return x


def swapped(x, bias, weight, eps):
    return right(x, weight, bias, eps)


@pytest.mark.parametrize(
    ("exercise", "attempt", "name", "told"),
    [
        ("batch_norm", none, "returned None", "return y"),
        ("batch_norm", raises, "raised an exception", "ZeroDivisionError: division by zero"),
        ("batch_norm", raises, "raised an exception", "scale = 1 / 0"),
        ("batch_norm", dropped_axes, "wrong shape", "broadcasting"),
        ("batch_norm", no_broadcast, "axes do not line up", "keepdims=True"),
        ("batch_norm", four_axes, "written for one number of axes", "x.ndim"),
        ("batch_norm_backward", another_order, "results in another order", "dx, dweight, dbias"),
        ("batch_norm", pair, "wrong number of results", "Yours returned 2"),
        ("batch_norm_backward", missing_gradient, "wrong number of results", "dx, dweight, dbias"),
        ("batch_norm_backward", missing_value, "not an array", "dx"),
        ("batch_norm", text, "not an array", "str"),
        ("batch_norm", flattened, "lost keepdims", "(4, 1)"),
        ("batch_norm", truncated, "changed dtype", "int64"),
        ("batch_norm", half, "changed dtype", "float16"),
        ("batch_norm", complex_numbers, "changed dtype", "complex"),
        ("batch_norm", not_a_number, "NaN or infinity", "y"),
        ("batch_norm", in_place, "modified its input", "x"),
        ("batch_norm", writes_bias, "modified its input", "bias"),
        ("batch_norm", remembering, "depends on an earlier call", "mutable default"),
        ("batch_norm", random, "depends on an earlier call", "random"),
        ("batch_norm", cached_by_shape, "depends on an earlier call", "cache"),
        ("batch_norm", exits, "raised an exception", "SystemExit: 0"),
        ("batch_norm", verbose, "raised an exception", "ValueError: broadcast"),
        (
            "batch_norm_backward",
            dictionary,
            "wrong number of results",
            "value of type dict",
        ),
        ("batch_norm", too_few, "wrong parameters", "(x, weight)"),
        ("batch_norm", swapped, "parameters in another order", "(x, bias, weight, eps)"),
    ],
)
def test_a_structural_fault_is_named(exercise, attempt, name, told):
    verdict = judge(find(exercise), attempt)
    assert not verdict.passed
    (finding,) = verdict.findings
    assert finding.name == name
    assert told in finding.explanation
    assert len(finding.explanation) < 500


def test_results_stacked_in_one_array_count():
    def stacked(*args):
        return np.stack(normcourse.update_running_statistics(*args))

    assert judge(find("update_running_statistics"), stacked).passed


def test_a_single_result_in_a_list_counts():
    assert judge(find("batch_norm"), lambda *args: [right(*args)]).passed
    assert judge(find("batch_norm"), lambda *args: right(*args).tolist()).passed


def test_error_settings_of_the_learner_do_not_leak():
    def strict(*args):
        np.seterr(all="raise")
        return right(*args)

    before = np.geterr()
    assert judge(find("batch_norm"), strict).passed
    assert np.geterr() == before


def test_a_dropped_or_kept_axis_of_length_one_is_named():
    def squeezed(*args):
        return normcourse.batch_norm_inference(*args).squeeze()

    def unsqueezed(*args):
        return tuple(s[None] for s in normcourse.update_running_statistics(*args))

    lost = judge(find("batch_norm_inference"), squeezed)
    assert [f.name for f in lost.findings] == ["lost keepdims"]
    kept = judge(find("update_running_statistics"), unsqueezed)
    assert [f.name for f in kept.findings] == ["kept an axis of length 1"]


def test_a_fault_in_a_nested_argument_is_seen():
    def merge(a, b):
        result = normcourse.merge_statistics(a, b)
        a[1][:] = 0
        return result

    (finding,) = judge(find("merge_statistics"), merge).findings
    assert finding.name == "modified its input"


def test_a_wider_result_passes_with_a_note():
    def wide(*args):
        return right(*args).astype(np.float64)

    verdict = judge(find("batch_norm"), wide)
    assert verdict.passed
    assert "float64" in verdict.notes[0]
    assert judge(find("batch_norm"), right).notes == ()


def test_an_unwritten_function_is_not_a_failure():
    def stub(x, weight, bias, eps):
        raise NotImplementedError

    verdict = judge(find("batch_norm"), stub)
    assert not verdict.started
    assert verdict.findings == ()

    def partly(x, weight, bias, eps):
        if x.ndim > 2:
            raise NotImplementedError
        return right(x, weight, bias, eps)

    verdict = judge(find("batch_norm"), partly)
    assert verdict.started
    assert verdict.points == 4
    assert [f.name for f in verdict.findings] == ["raised an exception"]


def test_the_smallest_failing_input_is_shown():
    def images_wrong(x, weight, bias, eps):
        return right(x, weight, bias, eps) + (0 if x.ndim == 2 else 1)

    verdict = judge(find("batch_norm"), images_wrong)
    assert verdict.smallest_failure.probe.name == "a sequence (N, C, L)"
    assert verdict.points == 4


def test_each_result_is_judged_on_its_own():
    def dx_wrong(*args):
        dx, dweight, dbias = backward(*args)
        return 0.5 * dx, dweight, dbias

    verdict = judge(find("batch_norm_backward"), dx_wrong)
    assert verdict.by_result == {"dx": False, "dweight": True, "dbias": True}
    assert verdict.points == 2 * len(verdict.trials)


@pytest.mark.parametrize(
    "times",
    [
        lambda matrix, vector: matrix @ vector,
        np.dot,
        lambda matrix, vector: np.einsum("ij,j->i", matrix, vector),
        lambda matrix, vector: torch.tensor(matrix) @ torch.tensor(vector),
        lambda matrix, vector: (torch.tensor(matrix) @ torch.tensor(vector)[:, None])[:, 0],
    ],
)
def test_a_matrix_taken_for_its_transpose_is_named(times):
    def exchanged(weight_matrix, u, v, n, eps):
        return times(weight_matrix.T, v), times(weight_matrix, u)

    (finding,) = judge(find("power_iteration"), exchanged).findings
    assert finding.name == "matrix and vector do not fit"
    assert "Print the shapes" in finding.explanation


def test_a_shape_that_a_mistake_has_is_named_as_the_mistake():
    def as_matrix(weight, dim):
        return weight.reshape(-1, weight.shape[dim])

    verdict = judge(find("as_matrix"), as_matrix)
    (reading,) = verdict.readings
    assert reading.names == ("reshaped to (-1, h)",)
    assert reading.evidence == "matrix should have shape (2, 4), yours has (4, 2)"
    assert verdict.points == 0


def test_a_shape_that_no_mistake_has_is_a_fault():
    for wrong in (np.ravel, lambda a: a[:1], lambda a: a[..., None].astype(object)):
        (finding,) = judge(find("as_matrix"), lambda weight, dim, f=wrong: f(weight)).findings
        assert finding.name in ("wrong shape", "lost keepdims", "not an array")


def test_results_in_a_list_of_the_wrong_shape_are_a_fault():
    def layer(weight, u, v, training, n, dim):
        return [weight[None], u, None]

    (finding,) = judge(find("spectral_norm_layer"), layer).findings
    assert finding.name == "kept an axis of length 1"
