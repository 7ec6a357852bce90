"""The gallery of pitfalls: each entry whole, each in the index; and what the page measures with."""

import copy
import re
from pathlib import Path

import nbformat
import pytest
import torch
from torch import nn

from normcourse.lab import data
from normcourse.lab.pitfalls import (
    accuracy,
    changed,
    first_bad,
    mode_gap,
    perceptron,
    trained,
)

PAGE = Path(__file__).parents[2] / "book" / "practice" / "pitfalls.ipynb"
CELLS = nbformat.read(PAGE, 4).cells
PUBLIC = r"\[[\w.-]+/[\w.-]+#(\d+)\]\(https://github\.com/([\w.-]+/[\w.-]+)/(?:issues|pull)/(\d+)\)"


def sections(level):
    """title -> the cells from a heading of that level to the next heading."""
    found, title = {}, None
    for cell in CELLS:
        heading = cell.cell_type == "markdown" and re.match(r"(#+) (.+)", cell.source)
        if heading:
            title = heading[2] if len(heading[1]) == level else None
            assert title not in found, f"two headings {title!r}: one anchor"
        if title:
            found.setdefault(title, []).append(cell)
    return found


def text(cells):
    return "\n\n".join(c.source for c in cells if c.cell_type == "markdown")


def anchor(title):
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


ENTRIES = sections(3)
(INDEX,) = (text(cells) for title, cells in sections(2).items() if title == "What do you see?")
each = pytest.mark.parametrize("title", ENTRIES)


def test_there_are_at_least_twenty():
    assert len(ENTRIES) >= 20


@each
def test_an_entry_has_its_four_parts_in_order(title):
    said = re.findall(r"\*\*(Symptom|Measurement|Mend|Rule)\.\*\* (\S)", text(ENTRIES[title]))
    assert [part for part, _ in said] == ["Symptom", "Measurement", "Mend", "Rule"]


@each
def test_an_entry_is_seen_happening(title):
    """Code that is not folded prints something, and the text stands on both sides of it."""
    kinds = [cell.cell_type for cell in ENTRIES[title]]
    assert kinds[0] == kinds[-1] == "markdown"
    shown = [
        cell
        for cell in ENTRIES[title]
        if cell.cell_type == "code"
        and not {"hide-input", "remove-input"} & set(cell.metadata.get("tags", []))
    ]
    assert len(shown) == 1
    assert any("text" in output for output in shown[0].outputs)


@each
def test_an_entry_has_a_public_report(title):
    """The text of a link names the number that it leads to."""
    reports = re.findall(PUBLIC, text(ENTRIES[title]))
    assert reports
    for number, _, linked in reports:
        assert number == linked
    for name, repository in re.findall(
        r"\[([\w.-]+/[\w.-]+)#\d+\]\(https://github\.com/([\w.-]+/[\w.-]+)/", text(ENTRIES[title])
    ):
        assert name == repository


@each
def test_the_rule_is_the_end_and_short(title):
    last = ENTRIES[title][-1].source
    assert last.startswith("**Rule.** ")
    assert len(last.split()) <= 60


@each
def test_a_title_makes_one_anchor_everywhere(title):
    """Letters and digits alone: what other signs become differs between tools."""
    assert re.fullmatch(r"[A-Za-z0-9 -]+", title)
    assert len(title.split()) <= 8


def test_the_index_and_the_entries_are_the_same():
    linked = re.findall(r"^- .+: \[(.+)\]\(#(.+)\)$", INDEX, re.MULTILINE)
    assert [title for title, _ in linked] == list(ENTRIES)
    for title, target in linked:
        assert target == anchor(title)


def test_the_index_names_each_group_over_its_entries():
    groups = re.findall(r"^\*\*\[(.+?)\]\(#", INDEX, re.MULTILINE)
    targets = re.findall(r"^\*\*\[.+?\]\(#(.+?)\)\*\*$", INDEX, re.MULTILINE)
    assert targets == [anchor(group) for group in groups]
    order = re.findall(r"^\*\*\[(.+?)\]\(#|^- .+: \[(.+)\]\(#", INDEX, re.MULTILINE)
    headings = re.findall(r"^#{2,3} (.+)", text(CELLS), re.MULTILINE)
    start, end = headings.index(groups[0]), headings.index("Quick checks")
    assert [group or entry for group, entry in order] == headings[start:end]


# --- what it measures with ---


def test_a_trained_network_is_a_copy():
    first = trained()
    with torch.no_grad():
        first[0].weight.zero_()
    assert accuracy(trained()) > 0.9
    assert accuracy(first) < 0.3
    assert not first.training


def test_accuracy_leaves_the_network_as_it_is():
    model = trained()
    model[1].train()
    before = copy.deepcopy(model.state_dict())
    assert accuracy(model, batch_size=10, training=True) != accuracy(model)
    assert not changed(before, model)
    assert [m.training for m in (model, model[1], model[4])] == [False, True, False]


def test_accuracy_counts_what_is_read_right():
    split = data.digits()
    model = trained()
    right = model(torch.tensor(split.x_test)).argmax(1).numpy() == split.y_test
    assert accuracy(model) == pytest.approx(right.mean())
    assert accuracy(model, batch_size=7) == pytest.approx(right.mean())
    assert accuracy(model, split.x_test[right], split.y_test[right]) == 1
    assert accuracy(model, split.x_test[~right], split.y_test[~right]) == 0


def test_changed_names_what_differs():
    model = trained()
    other = copy.deepcopy(model)
    assert changed(model, other) == []
    other.train()(torch.zeros(2, 64, dtype=torch.float64))
    moved = ["running_mean", "running_var", "num_batches_tracked"]
    assert changed(model, other) == [f"{k}.{name}" for k in (1, 4) for name in moved]
    assert changed({"a": torch.ones(2)}, {"b": torch.ones(2)}) == ["a", "b"]
    assert changed({"a": torch.ones(2)}, {"a": torch.ones(3)}) == ["a"]


def test_mode_gap_is_the_distance_in_running_deviations():
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(3).double()
    norm.running_mean = torch.tensor([1.0, 2.0, 3.0]).double()
    norm.running_var = torch.full((3,), 4.0).double() - norm.eps
    x = torch.randn(5, 3, 4, 4).double()
    x = x - x.mean((0, 2, 3), keepdim=True) + torch.tensor([7.0, 2.0, 3.0])[:, None, None]
    # One channel of three is 6 / 2 = 3 deviations away.
    assert mode_gap(nn.Sequential(norm), x) == pytest.approx({"0": 3 / 3**0.5})


def test_mode_gap_is_the_largest_of_several_calls_and_leaves_no_trace():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2).double()

        def forward(self, x):
            return self.norm(x + 5) + self.norm(x)

    model = Twice().train()
    x = torch.zeros(4, 2).double()
    assert mode_gap(model, x)["norm"] == pytest.approx(5, rel=1e-4)
    assert model.training
    assert model.norm.num_batches_tracked == 0
    assert not model.norm._forward_pre_hooks


def test_mode_gap_leaves_out_what_has_no_running_statistics():
    model = perceptron(lambda width: nn.BatchNorm1d(width, track_running_stats=False))
    assert mode_gap(model, torch.zeros(4, 64).double()) == {}


def test_first_bad_names_the_first_of_several():
    class Bad(nn.Module):
        def forward(self, x):
            return x / 0

    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU(), Bad()), nn.Linear(2, 2))
    x = torch.ones(3, 2)
    assert first_bad(model, x) == "1.1"
    assert first_bad(model[:1], x) is None
    assert not model[0]._forward_hooks


def test_hooks_are_taken_off_after_an_error():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(3))
    for measure in (first_bad, mode_gap):
        with pytest.raises((ValueError, RuntimeError)):
            measure(model, torch.ones(3, 2))
    assert not model[0]._forward_hooks
    assert not model[1]._forward_pre_hooks
