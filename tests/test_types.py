"""What a type checker makes of a call: arrays keep their type, and a wrong call is an error."""

import inspect
import os
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import normcourse
from normcourse import doctor, nn, preprocessing

ROOT = Path(__file__).parents[1]
BEFORE = """
import jax
import numpy as np
import torch
import normcourse
from normcourse import nn, preprocessing

array = np.ones((2, 3))
tensor = torch.ones(2, 3)
"""
TYPES = {
    "normcourse.batch_norm(array)": "ndarray[tuple[int, int], dtype[float64]]",
    "normcourse.layer_norm(tensor, 3, weight=tensor[0])": "Tensor",
    "normcourse.rms_norm(jax.numpy.ones((2, 3)), 3)": "Array",
    "normcourse.layer_norm_backward(tensor, tensor, (3,))": (
        "tuple[Tensor, Tensor | None, Tensor | None]"
    ),
    "normcourse.standard_scale(tensor, tensor[0], tensor[0])": "Tensor",
    "preprocessing.StandardScaler().fit(array)": "StandardScaler",
    "nn.LayerNorm(3).forward(tensor)": "Tensor",
    "nn.LayerNorm(3).weight": "Parameter",
    "normcourse.doctor(nn.LayerNorm(3))": "Report",
}
ERRORS = {
    'normcourse.group_norm(tensor, num_groups="a")': "arg-type",
    "normcourse.layer_norm(tensor)": "call-arg",
    "normcourse.batch_norm(tensor, epsilon=1e-3)": "call-arg",
    'normcourse.rms_norm(tensor, 3, eps="small")': "arg-type",
    "normcourse.min_max_scale(array, array[0])": "call-arg",
    "preprocessing.MinMaxScaler(feature_range=1)": "arg-type",
    'nn.BatchNorm2d("64")': "arg-type",
    "normcourse.doctor(tensor)": "arg-type",
}


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """What mypy says of each call."""
    file = tmp_path_factory.mktemp("types") / "calls.py"
    calls = [f"reveal_type({call})" for call in TYPES] + list(ERRORS)
    file.write_text("\n".join([*BEFORE.splitlines(), *calls]))
    run = subprocess.run(
        [sys.executable, "-m", "mypy", file],
        cwd=ROOT,
        env=os.environ | {"MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    said = re.findall(r"calls\.py:(\d+): \w+: (Revealed .*|.*\])$", run.stdout, re.MULTILINE)
    assert said, run.stdout + run.stderr
    first = len(BEFORE.splitlines()) + 1
    return {[*TYPES, *ERRORS][int(line) - first]: answer for line, answer in said}


@pytest.mark.parametrize("call", TYPES)
def test_a_result_has_the_type_of_the_input(answers, call):
    shown = re.search('"(.*)"', answers[call])[1]
    assert re.sub(r"\b[a-z_]\w*\.", "", shown) == TYPES[call]


@pytest.mark.parametrize("call", ERRORS)
def test_a_wrong_call_is_an_error(answers, call):
    assert answers[call].endswith(f"[{ERRORS[call]}]")


PUBLIC = {
    f"{module.__name__}.{name}": getattr(module, name)
    for module in (
        normcourse,
        preprocessing,
        doctor,
        nn,
        nn.utils.parametrizations,
        nn.utils.operator_norm,
    )
    for name in module.__all__
    if callable(getattr(module, name))
}


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_public_has_types(name):
    functions = [PUBLIC[name]]
    if inspect.isclass(PUBLIC[name]):
        methods = inspect.getmembers(PUBLIC[name], inspect.isfunction)
        own = [m for key, m in methods if m.__module__.startswith("normcourse")]
        functions = [m for m in own if m.__name__ == "__init__" or m.__name__[0] != "_"]
    for function in functions:
        hints = typing.get_type_hints(function)
        assert "return" in hints, function
        missing = set(inspect.signature(function).parameters) - {"self", "cls"} - hints.keys()
        assert not missing, (function, missing)
