"""The lab's data and figures, and what importing it costs."""

import io
import re
import subprocess
import sys

import numpy as np
import pytest

from normcourse.lab import data, style


def test_digits_are_split_without_overlap():
    split = data.digits(scaling=None)
    assert split.x_train.shape == (1297, 64)
    assert split.x_test.shape == (500, 64)
    assert split.x_train.max() == 16
    both = np.concatenate([split.x_train, split.x_test])
    from sklearn.datasets import load_digits

    np.testing.assert_array_equal(np.sort(both, 0), np.sort(load_digits().data, 0))
    other = data.digits(scaling=None, seed=1)
    assert (other.y_test != split.y_test).any()


def test_scaled_digits():
    np.testing.assert_array_equal(data.digits().x_test * 16, data.digits(None).x_test)
    standard = data.digits("standard")
    varies = data.digits(None).x_train.std(0) > 0
    np.testing.assert_allclose(standard.x_train.std(0)[varies], 1)
    assert abs(standard.x_test.mean(0)).max() > 1e-3  # fitted on the training set only
    with pytest.raises(ValueError, match="scaling must be"):
        data.digits("minmax")


def test_tables_and_photographs():
    wine, cancer = data.wine(), data.breast_cancer()
    assert wine.x.shape == (178, len(wine.features))
    assert cancer.x.shape == (569, len(cancer.features))
    for photograph in data.photographs():
        assert photograph.shape == (427, 640, 3)
        assert 0 <= photograph.min() < photograph.max() <= 1


def test_importing_the_lab_is_light():
    code = (
        "import sys, normcourse.lab.network, normcourse.lab.style, normcourse.lab.claims as c;"
        "c.claims();"
        "print({'torch', 'matplotlib', 'sklearn', 'scipy', 'IPython'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


@pytest.fixture
def pyplot():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context():
        style.use_style()
        yield plt
    plt.close("all")


def _svg(plt):
    style.axes_picture()
    buffer = io.BytesIO()
    plt.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def test_figures_are_transparent_and_reproducible(pyplot):
    pictures = [_svg(pyplot) for _ in range(2)]
    assert pictures[0] == pictures[1]
    assert len(pictures[0]) < 80_000
    figure, axes = pyplot.subplots()
    assert axes.patch.get_alpha() == 0 or axes.get_facecolor()[3] == 0
    assert figure.get_facecolor()[3] == 0


def test_a_long_line_keeps_its_points(pyplot):
    """Which ones matplotlib drops from a line of 128 or more would depend on the processor."""
    pyplot.plot(np.linspace(0, 1, 300))
    buffer = io.StringIO()
    pyplot.savefig(buffer, format="svg")
    lines = re.findall(r'<path d="M ([^"]*)" clip-path', buffer.getvalue())
    assert [line.count("L") for line in lines] == [299]


def test_axes_picture_counts_the_cells_that_share_a_statistic(pyplot):
    from matplotlib.colors import to_hex

    from normcourse.palette import ACCENT

    style.axes_picture()
    visible = {  # cells on the front (6 x 5), top (6 x 4) and right side (4 x 5) in the accent
        "batch_norm": 5 + 4 + 20,
        "layer_norm": 30 + 6 + 5,
        "instance_norm": 5 + 1 + 5,
        "group_norm": 15 + 3 + 5,
        "rms_norm": 30 + 6 + 5,
    }
    for panel, (name, cells) in zip(pyplot.gcf().axes, visible.items(), strict=True):
        accent = [p for p in panel.patches if to_hex(p.get_facecolor()) == ACCENT[name]]
        assert sum(len(p.get_path().to_polygons()) for p in accent) == cells
    style.axes_picture(highlight="layer_norm")
    for panel, name in zip(pyplot.gcf().axes, visible, strict=True):
        coloured = any(to_hex(p.get_facecolor()) == ACCENT[name] for p in panel.patches)
        assert coloured == (name == "layer_norm")
    with pytest.raises(ValueError, match="weight_norm"):
        style.axes_picture("weight_norm")
