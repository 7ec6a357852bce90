"""Three sick networks for the doctor, trained in seconds on the digits, and what may cure them."""

import copy
import re
from dataclasses import dataclass, replace
from functools import cache
from html import escape

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import update_bn

import normcourse
from normcourse.doctor import CHECKS
from normcourse.lab import data
from normcourse.lab.models import _linear
from normcourse.lab.pitfalls import accuracy, perceptron
from normcourse.lab.training import fit, one_thread
from normcourse.palette import ACCENT, RAW

__all__ = ["CASES", "CURES", "Case", "Checks", "case", "draw", "printed"]

EVERY, POINTS = 6, 20  # steps between two looks at the test set, and how many there are
CURES = ("eval", "renewed", "layer norm", "converted")


@dataclass(frozen=True)
class Case:
    """A network as it is handed to the doctor, and how it was read on the way.

    ``read`` is the accuracy on the test digits after every 6th step, in the mode and in batches of
    the size in which the network is used; ``given`` are the doctor's further arguments.
    """

    model: nn.Module
    read: tuple[float, ...]
    given: dict

    def report(self, doctor=normcourse.doctor):
        """What the doctor says."""
        with one_thread():
            return doctor(self.model, **self.given)


def case(name, *cures):
    """A fresh copy of a case, trained under some of :data:`CURES`.

    Args:
        name: one of :data:`CASES`.
        cures: "eval" in use, or of what is frozen; running statistics "renewed" by a pass over the
            digits before each look; "layer norm" in the place of batch norm; the constants of
            Keras "converted", momentum 0.01 and ε 0.001.

    Raises:
        ValueError: no such case, or no such cure.
    """
    if name not in CASES:
        raise ValueError(f"name must be one of {', '.join(CASES)}, got {name!r}.")
    for cure in cures:
        if cure not in CURES:
            raise ValueError(f"cures must be among {', '.join(CURES)}, got {cure!r}.")
    return copy.deepcopy(_case(name, frozenset(cures)))


@cache
def _case(name, cures):
    return CASES[name](cures)


# ---- the three -------------------------------------------------------------------------------


def _average(cures):
    """An average of weights without the buffers, served in training mode, four images at once."""
    norm = nn.LayerNorm if "layer norm" in cures else nn.BatchNorm1d
    model, average = perceptron(norm), _converted(perceptron(norm), cures)
    training, rng, read = "eval" not in cures, np.random.default_rng(0), []
    for k in range(1, POINTS + 1):
        fit(model, data.digits(), EVERY, lr=0.3, rng=rng)
        pairs = zip(average.parameters(), model.parameters(), strict=True)
        for a, p in pairs:
            a.data.lerp_(p.data, 1 / min(k, 5))
        _renewed(average, cures)
        read.append(accuracy(average, batch_size=4, training=training))
    return Case(average.train(training), tuple(read), {"batch": _images("x_test")})


def _frozen(cures):
    """A trained body under a new head for negatives; only requires_grad says that it is frozen."""
    trained = _trained("layer norm" in cures)
    body, head = copy.deepcopy(trained[:-1]), trained[-1]
    _converted(body.requires_grad_(False), cures)
    new_head = _linear(32, 2, np.random.default_rng(1)).double()
    model = nn.Sequential(Kept(*body) if "eval" in cures else body, new_head)
    x_train, y_train, x_test, y_test = data.digits()
    negatives = data.Split(1 - x_train, y_train % 2, 1 - x_test, y_test % 2)
    rng, read = np.random.default_rng(2), []
    optimizer = torch.optim.SGD(new_head.parameters(), 0.1)
    for _ in range(POINTS):
        fit(model, negatives, EVERY, lr=0.1, rng=rng)
        _renewed(body, cures)
        read.append(accuracy(nn.Sequential(*body, head)))
    given = {"batch": 1 - _images("x_train"), "optimizer": optimizer}
    return Case(model.train(), tuple(read), given)


def _port(cures):
    """Weights and statistics from Keras, its number for momentum taken over, torch's own ε."""
    model, rng, read = _trained("layer norm" in cures), np.random.default_rng(3), []
    for layer in _batch_norms(model):
        layer.momentum, layer.eps = 0.99, 1e-5
    _converted(model, cures)
    for _ in range(POINTS):
        fit(model, data.digits(), EVERY, lr=0.02, batch_size=8, rng=rng)
        _renewed(model, cures)
        read.append(accuracy(model))
    optimizer = torch.optim.SGD(model.parameters(), 0.02)
    given = {"batch": _images("x_train"), "optimizer": optimizer, "origin": "keras"}
    return Case(model.train(), tuple(read), given)


CASES = {"average": _average, "frozen": _frozen, "port": _port}


# ---- what they are made of -------------------------------------------------------------------


class Kept(nn.Sequential):
    """A part that stays in evaluation mode, whatever is said to the whole."""

    def train(self, mode=True):
        """Set evaluation mode, also where training is asked for."""
        return super().train(False)


def _trained(layer_norm):
    """A copy of a network that reads the digits, without a bias in front of a norm."""
    return copy.deepcopy(_original(layer_norm))


@cache
def _original(layer_norm):
    model = perceptron(nn.LayerNorm if layer_norm else nn.BatchNorm1d)
    for k in (0, 3):
        model[k].bias = None
    fit(model, data.digits(), 200, lr=0.3)
    return model


def _converted(model, cures):
    """Keras' momentum 0.99 is torch's 0.01, and ε is the same number."""
    for layer in _batch_norms(model) if "converted" in cures else ():
        layer.momentum, layer.eps = 0.01, 1e-3
    return model


def _renewed(model, cures):
    """One pass over the training digits sets the running statistics, if that is a cure here."""
    if "renewed" in cures:
        with one_thread():
            update_bn(torch.tensor(data.digits().x_train).split(64), model)


def _batch_norms(model):
    return [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]


def _images(which):
    return torch.tensor(getattr(data.digits(), which)[:32])


# ---- what the page shows ---------------------------------------------------------------------


def draw(ax, before, after=None, title=""):
    """Accuracy in use over the steps of training, and after a cure."""
    steps = np.arange(1, POINTS + 1) * EVERY
    if after is not None:
        looks = {"color": ACCENT["batch_norm"], "marker": "o", "markersize": 3}
        ax.plot(steps, after.read, label="cured", **looks)
    ax.plot(steps, before.read, color=RAW, label="as it came")
    ax.set(xlabel="steps of training", ylabel="test accuracy, as used", ylim=(0, 1.02))
    ax.set_title(title)
    if after is not None:
        ax.legend(loc="lower right")


def printed(report, whole=False):
    """A report that is the same on every machine: without its seconds and without rounding noise.

    Args:
        report: what the doctor said.
        whole: also what was checked and found sound, and what was not checked.
    """
    findings = [
        replace(f, measured=NOISE.sub("less than 10⁻⁹", f.measured)) for f in report.findings
    ]
    rest = {} if whole else {"sound": (), "not_checked": ()}
    return Printed(replace(report, findings=tuple(findings), seconds=0.0, **rest))


NOISE = re.compile(r"\b\d(\.\d+)?e-(09|[1-9]\d)\b")


class Printed:
    """A report as a page shows it."""

    def __init__(self, report):
        self.report = report

    def __repr__(self):
        return re.sub(r" \(0\.0 s\)\n={8}", "\n", repr(self.report))

    def _repr_html_(self):
        return self.report._repr_html_().replace(" (0.0 s)", "")


class Checks:
    """The table of all checks, from their records."""

    heads = ("check", "usually", "looks for", "needs", "public reports")

    def __init__(self, checks=CHECKS):
        self.checks = list(checks.values())

    def __repr__(self):
        return "\n".join(f"{c.name} ({c.severity}): {c.about}" for c in self.checks)

    def _repr_html_(self):
        caption = f"What does the doctor look for? {len(self.checks)} checks"
        heads = "".join(f'<th scope="col">{head}</th>' for head in self.heads)
        rows = "\n".join(f"<tr>{_row(checked)}</tr>" for checked in self.checks)
        return (
            f'<div class="nc-table-box" role="region" aria-label="{caption}" tabindex="0">'
            f'<table class="nc-table"><caption>{caption}</caption><thead><tr>{heads}</tr></thead>\n'
            f"<tbody>\n{rows}\n</tbody></table></div>"
        )


def _row(checked):
    name = escape(checked.name.replace("_", " "))
    cells = [f'<th scope="row"><a href="../{escape(checked.page)}">{name}</a></th>']
    needs = ", ".join(checked.needs) or "the model"
    cells += [f"<td>{checked.severity}</td>", _wide(escape(checked.about))]
    cells += [f"<td>{escape(needs)}</td>", _wide("<br>".join(map(_thread, checked.threads)))]
    return "".join(cells)


def _wide(content):
    """A cell with room for a sentence."""
    return f'<td style="min-width: 11rem">{content}</td>'


def _thread(thread):
    repository, _, number = thread.partition("#")
    address = f"https://github.com/{repository}/issues/{number}"
    wraps = 'style="overflow-wrap: anywhere"'  # on the link: the theme says otherwise for links
    return f'<a {wraps} href="{escape(address)}">{escape(thread)}</a>'
