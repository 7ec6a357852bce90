"""The report in its three forms, the command, and what is said of wrong arguments."""

import html.parser
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from doctor_cases import CASES, batch, perceptron, trained
from torch import nn

import normcourse
from normcourse import doctor
from normcourse.doctor.__main__ import main
from normcourse.doctor.checks.measure import few


@pytest.fixture(scope="module")
def sick():
    """Something of each severity."""
    torch.manual_seed(0)
    layers = nn.Linear(6, 16), nn.BatchNorm1d(16, momentum=0.99), nn.ReLU(), nn.Linear(16, 16)
    model = nn.Sequential(*layers, nn.GroupNorm(16, 16), nn.ReLU(), nn.Linear(16, 4))
    return doctor(model, batch())


def test_the_most_severe_comes_first(sick):
    assert [f.severity for f in sick.findings] == ["severe", "warning", "note"]
    assert sick.worst == "severe"
    assert [f.where for f in sick.of("one_number")] == ["4"]


def test_text_has_place_measurement_reason_change_and_page(sick):
    text = repr(sick)
    flat = " ".join(text.split())
    for finding in sick.findings:
        for part in (finding.measured, finding.why, finding.change, finding.page):
            assert " ".join(part.split()) in flat
    assert max(map(len, text.splitlines())) <= 80
    assert "Not checked (no optimizer was given): decay_on_norm" in flat


def test_html_is_whole_and_links_to_the_pages(sick):
    class Links(html.parser.HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.links = [], []

        def handle_starttag(self, tag, attributes):
            self.open.append(tag)
            self.links += [value for name, value in attributes if name == "href"]

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    parser = Links()
    parser.feed(sick._repr_html_())
    assert not parser.open
    assert parser.links == [f"../{f.page}" for f in sick.findings]


def test_html_escapes_what_came_from_the_model():
    class Odd(nn.Module):
        def forward(self, x):
            raise ValueError("<script>")

    text = doctor(Odd(), batch())._repr_html_()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_json_has_the_same(sick):
    read = json.loads(sick.json())
    assert [f["check"] for f in read["findings"]] == [f.check for f in sick.findings]
    assert read["worst"] == "severe"
    assert set(read["findings"][0]) >= {"where", "measured", "values", "why", "change", "page"}


def test_json_has_no_nan():
    given = CASES["far_statistics"].sick()
    report = doctor(**given | {"batch": given["batch"] * float("inf")})
    json.loads(report.json(), parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize(
    ("case", "fail_on", "status"),
    [
        ("one_number", "warning", 2),
        ("momentum", "warning", 1),
        ("momentum", "severe", 0),
        ("bias_before_norm", "warning", 0),
        ("bias_before_norm", "note", 1),
    ],
)
def test_the_exit_status_follows_the_severity(case, fail_on, status):
    report = doctor(**CASES[case].sick())
    assert report.exit_status(fail_on) == status
    assert doctor(**CASES[case].healthy()).exit_status(fail_on) == 0


def test_many_places_are_one_section():
    report = doctor(nn.Sequential(*(nn.BatchNorm1d(4, momentum=0.9) for _ in range(9))))
    assert len(report.of("momentum")) == 9
    assert repr(report).count("warning: momentum") == 1
    assert "and 6 more" in repr(report)


def test_several_faults_are_not_confused():
    def norm(width):
        return nn.BatchNorm1d(width, track_running_stats=False)

    model = nn.Sequential(*perceptron(norm), nn.BatchNorm1d(4, momentum=0.99))
    report = doctor(model.eval(), batch())
    found = {(f.check, f.where) for f in report.findings}
    assert found >= {("no_running_statistics", "1"), ("momentum", "4"), ("norm_after_output", "4")}
    assert not report.of("evaluation_depends_on_batch")


class Inference(nn.Module):
    """Tensors without version counters."""

    def __init__(self):
        super().__init__()
        self.net = perceptron()

    def forward(self, x):
        with torch.inference_mode():
            return self.net(x)


# --- arguments ---


@pytest.mark.parametrize(
    ("named", "error", "says"),
    [
        ({"model": 3}, TypeError, "model must be a torch.nn.Module, got int"),
        ({"model": nn.LazyLinear(4)}, ValueError, "no values for weight yet: call it once"),
        ({"model": nn.LayerNorm(4, device="meta")}, ValueError, "on the meta device"),
        ({"origin": "caffe"}, ValueError, "origin must be one of keras, .* got 'caffe'"),
        ({"checks": ["nothing"]}, ValueError, "'nothing', which is none of forgotten_eval"),
        ({"micro_batches": 1}, ValueError, "at least 2; got 1"),
        ({"time_limit": 0}, ValueError, "time_limit must be above 0 seconds, got 0"),
        ({"optimizer": [3]}, TypeError, "torch.optim.Optimizer or several, got int"),
        ({"data": 5}, TypeError, "data must be an iterable of batches, got int"),
        ({"checkpoint": "a.pt"}, TypeError, "checkpoint must be a state dict, got str"),
        ({"train_table": [1.0, 2]}, ValueError, r"train_table must be .* got shape \(2,\)"),
    ],
)
def test_a_wrong_argument_is_told(named, error, says):
    with pytest.raises(error, match=says):
        doctor(**{"model": perceptron(), **named})


def test_fail_on_must_be_a_severity(sick):
    with pytest.raises(ValueError, match="got 'bad'"):
        sick.exit_status("bad")


def test_one_check_is_enough():
    report = doctor(perceptron(), checks="momentum")
    assert report.sound == ("momentum",)


@pytest.mark.parametrize("kind", ["array", "tuple", "dictionary", "data", "pairs"])
def test_a_batch_comes_in_many_forms(kind):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = trained()

        def forward(self, x, scale=None):
            return self.net(x) if scale is None else self.net(x) * scale

    x = batch()
    given = {
        "array": {"batch": x.double().numpy()},
        "tuple": {"batch": (x, torch.ones(8, 1))},
        "dictionary": {"batch": {"x": x, "scale": torch.ones(8, 1)}},
        "data": {"data": [x, x]},
        "pairs": {"data": [(x, torch.zeros(8))]},
    }[kind]
    report = doctor(Two(), **given)
    assert not report.error
    assert "evaluation_depends_on_batch" in report.sound


def test_an_iterator_is_not_used_up():
    data = iter([batch()])
    reasons = {n.check: n.reason for n in doctor(perceptron(), data=data).not_checked}
    assert "used up" in reasons["last_batch_of_one"]
    assert len(list(data)) == 1


def test_progress_is_told():
    told = []
    doctor(perceptron(), progress=told.append)
    assert told[0] == f"forgotten_eval (1 of {len(doctor.CHECKS)})"
    assert len(told) == len(doctor.CHECKS)


@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(),
        nn.Linear(6, 4),
        nn.BatchNorm1d(6),
        nn.LSTM(6, 4),
        nn.Sequential(nn.Linear(6, 4), nn.SyncBatchNorm(4)),
        torch.nn.DataParallel(perceptron()),
        torch.compile(perceptron()),
        nn.Transformer(6, 2, 1, 1, 8, batch_first=True),
        nn.Sequential(nn.Linear(6, 4), torch.jit.script(nn.Sequential(nn.LayerNorm(4)))),
        torch.fx.symbolic_trace(perceptron()),
        Inference(),
    ],
    ids=lambda model: type(model).__name__,
)
def test_unusual_modules_are_examined_or_told(model):
    for given in ({}, {"batch": batch()}):
        report = doctor(model, **given)
        assert not [n for n in report.not_checked if "itself failed" in n.reason]
        assert report.worst != "severe"


class Block(nn.Module):
    """A norm that is a module, and two that are functions, however they are called."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(6)

    def forward(self, x):
        x = torch.nn.functional.layer_norm(self.norm(x), (6,))
        return nn.functional.batch_norm(x, None, None, training=True)


class Scaled(nn.Module):
    """A norm of one's own, which calls a function: it is looked at as a module."""

    def forward(self, x):
        return 2 * nn.functional.layer_norm(x, (6,))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (nn.Sequential(*(Block() for _ in range(4)), nn.Linear(6, 2)), "0, 1, 2 and 1 more"),
        (Block(), "the model"),
        (nn.Sequential(nn.LayerNorm(6), nn.Linear(6, 2)), ""),
        (nn.Sequential(Scaled(), nn.Linear(6, 2)), ""),
        (Scaled(), ""),
    ],
)
def test_norms_that_are_functions_are_told_of(model, says):
    report = doctor(model.eval(), batch())
    told = [n.reason for n in report.not_checked if n.check == "norms that are no modules"]
    functions = ("batch_norm", "layer_norm") if says else ()
    assert told == [f"F.{function} is called in {says}" for function in functions]
    assert not [n for n in doctor(model).not_checked if n.check == "norms that are no modules"]


def test_it_is_a_function_and_a_module():
    assert normcourse.doctor is doctor
    assert callable(doctor)
    assert isinstance(doctor(perceptron()), doctor.Report)
    assert doctor.examine(perceptron()).model == "Sequential"


def test_importing_the_course_imports_no_torch():
    code = "import sys, normcourse; print('torch' in sys.modules, callable(normcourse.doctor))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


# --- the command ---

FACTORIES = """
import torch
from torch import nn

def sick():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.GroupNorm(16, 16), nn.Linear(16, 4))

def sound():
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Linear(16, 4))

def with_optimizer():
    model = sound()
    optimizer = torch.optim.SGD(model.parameters(), 1.0, weight_decay=0.1)
    return {"model": model, "optimizer": optimizer}

def raises():
    return nn.Linear(5, 5)

def nothing():
    return None
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "factories.py").write_text(FACTORIES)
    np.save(tmp_path / "batch.npy", np.ones((4, 6)))
    np.savez(tmp_path / "batch.npz", input=np.ones((4, 6), np.float32), more=np.ones(4))
    torch.save(torch.ones(4, 6), tmp_path / "batch.pt")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("factories", None)


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        ("sick --batch batch.npy", 2, "severe: one number"),
        ("sick --batch batch.pt --check one_number", 2, "severe: one number"),
        ("sound --batch batch.npy", 0, "0 severe, 0 warnings, 0 notes"),
        ("with_optimizer", 1, "warning: decay on norm"),
        ("with_optimizer --fail-on severe", 0, "warning: decay on norm"),
        ("raises --batch batch.npy", 2, "The model raised RuntimeError"),
    ],
)
def test_the_command(folder, capsys, arguments, status, says):
    name, *rest = arguments.split()
    assert main([f"factories:{name}", *rest]) == status
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("factories", "must be module:function, got 'factories'"),
        ("factories:nothing", "must return a torch.nn.Module, got NoneType"),
        ("absent:model", "No module named 'absent'"),
        ("factories:sound --batch batch.csv", "batch.csv must be a .pt, .npy or .npz file"),
    ],
)
def test_the_command_tells_what_it_cannot_have(folder, capsys, arguments, says):
    assert main(arguments.split()) == 3
    assert says in capsys.readouterr().err


def test_the_command_prints_json(folder):
    command = [sys.executable, "-m", "normcourse.doctor", "factories:sick", "--json"]
    run = subprocess.run([*command, "--batch", "batch.pt"], capture_output=True, text=True)
    assert run.returncode == 2
    assert json.loads(run.stdout)["findings"][0]["check"] == "one_number"


def test_the_command_lists_the_checks(capsys):
    assert main(["--checks"]) == 0
    text = capsys.readouterr().out
    assert main(["--checks", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert [entry["check"] for entry in listed] == list(doctor.CHECKS)
    for entry in listed:
        assert f"{entry['check']} ({entry['severity']})" in text
        for word in (entry["about"], entry["page"], *entry["threads"]):
            assert word in text


def test_the_command_needs_a_factory(capsys):
    with pytest.raises(SystemExit):
        main([])
    assert "required: factory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (0.0123, "0.012"),
        (7, "7"),
        (99.6, "100"),
        (264, "260"),
        (69314, "69000"),
        (9.4e6, "9.4e+06"),
    ],
)
def test_numbers_have_two_digits_and_no_exponent_below_a_million(x, text):
    assert few(x) == text
