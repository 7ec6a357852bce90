"""Every playground on the built site, used by mouse and by keyboard.

What the page draws is read back from the page and compared with what Python computes now.
"""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from normcourse.lab.playgrounds import PLAYGROUNDS
from normcourse.widgets.panels import (
    Arrows,
    Blocks,
    Grid,
    Histogram,
    Lines,
    Note,
    Picture,
    Sharing,
    Table,
)

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]
BASE, WIDTH = 176, 320  # of the drawings, as in playground.js


def shown_ids():
    """(page, widget id) of every widget stored in the book."""
    for path in sorted((ROOT / "book").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            page = path.relative_to(ROOT).with_suffix(".html").as_posix()
            for model_id in re.findall(r'"model_id": "([^"]+)"', path.read_text(encoding="utf-8")):
                yield page, model_id


IDS = list(shown_ids())
PLAYS = [(page, id.split("-", 1)[1]) for page, id in IDS if id.startswith("playground-")]


@pytest.fixture(scope="module")
def widgets():
    made = {}
    return lambda key: made.setdefault(key, PLAYGROUNDS[key]())


@pytest.fixture(scope="module")
def turn_to(visit_page):
    """The visit of a page, which is opened once for all that is tried on it one after the other."""
    visits = {}

    def leave():
        for _, visit in [visits.popitem() for _ in list(visits)]:
            visit.context.close()

    def turn_to(path):
        if path not in visits:
            leave()
            visits[path] = visit_page(path)
        return visits[path]

    yield turn_to
    leave()


@pytest.fixture(scope="module", params=PLAYS, ids="-".join)
def play(request, turn_to, widgets):
    """(root, widget) of a playground."""
    path, key = request.param
    visit, widget = turn_to(path), widgets(key)
    yield locate(visit.page, widget), widget
    assert not visit.problems


@pytest.fixture
def fresh_play(play):
    """The same, each control where it is when the page is opened."""
    root, widget = play
    for control in widget.controls:
        start = control["values"].index(getattr(widget, control["name"]))
        set_by_keyboard(root, widget, control, start)
    return play


def locate(page, widget):
    root = page.locator(f'.nc-playground[aria-label="{widget.title}"]')
    root.wait_for()
    return root


# ---- using the controls --------------------------------------------------------------------


def inputs(root, widget):
    """The input elements of each control, in order."""
    return [
        root.locator(".nc-control").nth(k).locator("input") for k in range(len(widget.controls))
    ]


def set_by_keyboard(root, widget, control, index):
    k = [c["name"] for c in widget.controls].index(control["name"])
    group = inputs(root, widget)[k]
    element = group.first if control["kind"] != "choice" else group.locator("xpath=.").first
    element.focus()
    steps = index
    if control["kind"] == "choice" or not index:
        element.press("Home")
    else:
        steps -= int(element.input_value())
    for _ in range(abs(steps)):
        root.page.keyboard.press("ArrowRight" if steps > 0 else "ArrowLeft")


def set_by_mouse(root, widget, control, index):
    k = [c["name"] for c in widget.controls].index(control["name"])
    group = inputs(root, widget)[k]
    if control["kind"] == "choice":
        group.nth(index).click()
        return
    box = group.first.bounding_box()
    thumb, last = 16, len(control["values"]) - 1
    x = thumb / 2 + (box["width"] - thumb) * index / last
    group.first.click(position={"x": x, "y": box["height"] / 2})


# ---- reading the picture ---------------------------------------------------------------------

READ = """root => [...root.querySelectorAll('.nc-panel')].map(panel => ({
  rects: [...panel.querySelectorAll('rect')].map(r => ({
    kind: r.getAttribute('class'), opacity: Number(r.getAttribute('fill-opacity')),
    height: Number(r.getAttribute('height')) })),
  paths: [...panel.querySelectorAll('svg[role=img] :is(.nc-curve, .nc-arrow)')].map(
    p => p.getAttribute('d')),
  pixels: [...panel.querySelectorAll('canvas')].map(c => ({ label: c.ariaLabel, bytes: [
    ...c.getContext('2d').getImageData(0, 0, c.width, c.height).data] })),
  outline: panel.querySelector('.nc-outline')?.getAttribute('d'),
  texts: [...panel.querySelectorAll('svg text')].map(t => t.textContent),
  scale: [...panel.querySelectorAll('.nc-scale span')].map(t => t.textContent),
  cells: [...panel.querySelectorAll('tbody tr')].map(
    tr => [...tr.querySelectorAll('td')].map(td => td.textContent)),
  note: panel.querySelector('.nc-note')?.textContent }))"""


def read(root):
    return root.evaluate(READ)


def assert_drawn(panel, drawn):
    """The page's panel shows what the Python panel holds."""
    expected = panel.frame(Blocks())  # texts and shapes; the drawn marks are compared below
    if isinstance(panel, Grid):
        values = np.nan_to_num(np.asarray(panel.values, float)).ravel()
        limit = panel.limit or abs(values).max() or 1
        signs = [-1 if "cold" in r["kind"] else 1 for r in drawn["rects"]]
        shown = np.array([s * r["opacity"] for s, r in zip(signs, drawn["rects"], strict=True)])
        np.testing.assert_allclose(shown, (values / limit).clip(-1, 1), atol=0.5 / 127 + 1e-3)
        assert drawn["scale"][-1] == expected["limit"]
        if panel.numbers:
            assert drawn["texts"] == [*expected["numbers"], *panel.marks]
        if panel.groups is not None:
            groups = np.broadcast_to(panel.groups, np.shape(panel.values))
            inner = (groups[1:] != groups[:-1]).sum() + (groups[:, 1:] != groups[:, :-1]).sum()
            rows, columns = groups.shape
            assert drawn["outline"].count("M") == inner + 2 * (rows + columns)
    elif isinstance(panel, Histogram):
        counts, *_ = panel.counts()
        heights = np.array([r["height"] for r in drawn["rects"]]) / (BASE - 16)
        np.testing.assert_allclose(heights, counts / max(1, counts.max()), atol=0.5 / 254 + 1e-6)
        assert drawn["texts"] == [*expected["ticks"], f"tallest: {expected['top']}"]
    elif isinstance(panel, Lines):
        for d, values in zip(drawn["paths"], panel.curves.values(), strict=True):
            points = np.array([[float(v) for v in p.split()] for p in re.split("[ML]", d)[1:]])
            positions = panel.positions(values)
            positions = positions[~np.isnan(positions)]
            height, top = BASE - 22, 8
            shown = 1 - (points[:, 1] - top) / (height - top)
            np.testing.assert_allclose(shown, positions, atol=0.5 / 254 + 1e-3)
    elif isinstance(panel, Arrows):
        for d, ends in zip(drawn["paths"], panel.arrows.values(), strict=True):
            shown = np.array([float(v) for v in re.findall(r"-?[\d.]+", d)[:4]]).reshape(2, 2)
            np.testing.assert_allclose(
                shown * [1, -1] / 160, np.divide(ends, panel.limit), atol=5e-3
            )
        if panel.outline is not None:
            shown = np.array(re.findall(r"-?[\d.]+", drawn["outline"]), float).reshape(-1, 2)
            np.testing.assert_allclose(
                shown * [1, -1] / 160, panel.outline / panel.limit, atol=5e-3
            )
    elif isinstance(panel, Sharing):
        assert ["accent" in r["kind"] for r in drawn["rects"]] == panel.shared.ravel().tolist()
        (dot,) = (i for i, r in enumerate(drawn["rects"]) if "picked" in r["kind"])
        assert dot == expected["picked"]
    elif isinstance(panel, Picture):
        (canvas,) = drawn["pixels"]
        shown = np.reshape(canvas["bytes"], (*panel.pixels.shape[:2], 4))
        assert np.array_equal(shown[..., :3], panel.bytes())
        assert (shown[..., 3] == 255).all()
        assert canvas["label"].startswith(panel.title)
    elif isinstance(panel, Table):
        assert drawn["cells"] == expected["entries"]
    elif isinstance(panel, Note):
        assert drawn["note"] == panel.text


def test_shows_what_python_computes(play):
    root, widget = play
    combinations = [len(c["values"]) for c in widget.controls]
    rng = np.random.default_rng(0)
    tries = max(combinations) + 4
    for t in range(tries):
        settings = {}
        for control, n in zip(widget.controls, combinations, strict=True):
            # The first rounds visit every value of the control, the others are random.
            index = t if t < n else int(rng.integers(n))
            (set_by_keyboard if t % 2 else set_by_mouse)(root, widget, control, index)
            settings[control["name"]] = control["values"][index]
        panels = widget.picture(**settings)
        for panel, drawn in zip(panels, read(root), strict=True):
            assert_drawn(panel, drawn)


@pytest.mark.parametrize("by", [set_by_mouse, set_by_keyboard], ids=["mouse", "keyboard"])
def test_every_control_changes_picture_and_numbers(fresh_play, by):
    root, widget = fresh_play

    def marks(drawn):
        return [[p[name] for name in ("rects", "paths", "scale", "pixels")] for p in drawn]

    def numbers(drawn):
        return [[p[name] for name in ("cells", "texts", "note")] for p in drawn]

    for control in widget.controls:
        seen = []
        for index in range(len(control["values"])):
            by(root, widget, control, index)
            seen.append(read(root))
        different = [{json.dumps(view(drawn)) for drawn in seen} for view in (marks, numbers)]
        # Two steps of a walkthrough may show the same matrix, never the same numbers and text.
        assert len(different[0]) > 1, control["name"]
        assert len(different[1]) == len(seen), control["name"]


def test_redraws_within_a_frame(play, record_property):
    """From the input event to the laid-out picture, p95 over all moves of all controls.

    Every move counts with its quickest of two, and of more while the machine is busy: what else
    runs on it is not the playground's doing.
    """
    (root, widget), best = play, np.inf
    for _ in range(25):
        best = np.minimum(best, root.evaluate(TIME_EVERY_MOVE))
        p95 = float(np.percentile(best, 95))
        if p95 < 16:
            break
    record_property(
        "measured", f"{widget.title}: control to picture p95 {p95:.1f} ms, {best.size} moves"
    )
    assert p95 < 16


@pytest.mark.parametrize(("path", "key"), [p for p in PLAYS if p[1].startswith("sharing")])
def test_a_click_picks_a_number(open_page, widgets, path, key):
    page, widget = open_page(path), widgets(key)
    root = locate(page, widget)
    cells = root.locator(".nc-panel-sharing rect")
    cells.nth(4 * 4 * 2 + 4 * 3 + 1).click()  # sample 3, row 4, column 2
    settings = {c["name"]: c["values"][0] for c in widget.controls}
    settings |= {name: getattr(widget, name) for name in ("technique", "block")}
    panels = widget.picture(**settings | {"sample": 3, "row": 4, "column": 2})
    for panel, drawn in zip(panels, read(root), strict=True):
        assert_drawn(panel, drawn)


def test_a_point_of_a_triangle_is_dragged(open_page, widgets):
    page, widget = open_page("book/adaptive/switchable_norm.html"), widgets("switchable_norm")
    root = locate(page, widget)
    handle = root.locator(".nc-panel-arrows .nc-handle").first
    handle.scroll_into_view_if_needed()
    box = root.locator(".nc-panel-arrows svg").first.bounding_box()
    for stop in (9, 0, 7):  # the batch corner, the instance corner, an edge
        means, *_ = panels = widget.picture(means=float(stop))
        start, end = handle.bounding_box(), means.arrows["μ"][1]
        page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
        page.mouse.down()
        page.mouse.move(
            box["x"] + box["width"] * (0.5 + 0.5 * end[0] / means.limit),
            box["y"] + box["height"] * (0.5 - 0.5 * end[1] / means.limit),
            steps=5,
        )
        page.mouse.up()
        for panel, drawn in zip(panels, read(root), strict=True):
            assert_drawn(panel, drawn)


TIME_EVERY_MOVE = """root => {
  const moves = [];
  for (const slider of root.querySelectorAll('input[type=range]'))
    for (let i = 0; i <= slider.max; i++)
      moves.push(() => {
        slider.value = i;
        slider.dispatchEvent(new Event('input', { bubbles: true }));
      });
  for (const radio of root.querySelectorAll('input[type=radio]'))
    moves.push(() => radio.click());
  const best = moves.map(() => Infinity);
  for (let round = 0; round < 2; round++)
    moves.forEach((move, i) => {
      const start = performance.now();
      move();
      root.getBoundingClientRect();
      best[i] = Math.min(best[i], performance.now() - start);
    });
  return best;
}"""
