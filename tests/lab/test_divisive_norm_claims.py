"""What tries divisive normalization: tuning curves of known shape, pools that are what they say."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from normcourse.lab.claims import claims  # noqa: E402
from normcourse.lab.claims import divisive_norm as runs  # noqa: E402
from normcourse.nn import DivisiveNorm  # noqa: E402

CHAPTER = Path(__file__).parents[2] / "book" / "adaptive" / "divisive_norm.ipynb"
STEP = 180 / runs.ANGLES
TURNS = np.arange(-90, 91, STEP)


def test_the_width_of_a_known_curve():
    assert runs.width(np.maximum(0, 60 - abs(TURNS))) == pytest.approx(60)
    assert runs.width(np.ones(len(TURNS))) == 180


def test_a_turned_patch_drives_the_filters_as_the_other_way_round():
    answer = runs.answers("flower")[3]
    found = runs.turned(answer)
    assert found.shape == (len(TURNS), 2, 4)
    middle = found[len(TURNS) // 2]
    assert middle[0, 0] == pytest.approx(abs(answer).max())
    # A turn by 90 degrees moves the patch to the filter two places on; half a turn is the sign.
    np.testing.assert_allclose(found[0][:, 0], middle[:, 2])
    np.testing.assert_allclose(found[-1], -found[0])


def test_without_a_pool_contrast_scales_the_curve_and_with_all_it_saturates():
    every = runs.drives(runs.turned(runs.answers("temple")[0]))
    free, pooled = (runs.response(2 * every, 0.1, p) for p in (runs.FREE, runs.POOLED))
    np.testing.assert_allclose(free, 4 * runs.response(every, 0.1, runs.FREE))
    assert pooled.max() < 1


@pytest.mark.parametrize(("pool", "first"), [("own", 1), ("band", 2), ("all", 5)])
def test_fixed_pools_are_means_of_their_neighbours(pool, first):
    norm = runs.fixed(pool)((5, 2, 2))
    assert not list(norm.parameters())
    np.testing.assert_allclose(norm.weight.sum(1), 1)
    assert int((norm.weight[0] > 0).sum()) == first


def test_a_fixed_pool_of_all_is_where_the_learned_one_starts():
    x = torch.randn(2, 5, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    learned = runs.learned()((5, 3, 3))
    assert isinstance(learned, DivisiveNorm)
    torch.testing.assert_close(
        runs.fixed("all")((5, 3, 3))(x), learned.double()(x), rtol=1e-5, atol=1e-5
    )


def rows(claim, key):
    return claims()[claim].measure().intervals[key]


def test_the_chapter_says_what_its_studies_stored():
    text = CHAPTER.read_text("utf-8")
    window, course, channels = (i.mean for i in rows("dn_cost_grows", "grows").values())
    assert "27 neighbours take nearly four times the time of 3" in text
    assert 3.5 < window < 4
    assert course == 1
    assert "take about twice the time" in text
    assert channels == pytest.approx(2, abs=0.2)
    lost = rows("dn_settings_matter", "lost")
    assert "a network reads 4 points less" in text
    assert lost["pool fixed: own channel only"].mean == -0.04
    assert "A gain over none beyond about a point is unlikely. Batch norm reads about one" in text
    for row, interval in rows("dn_improves_generalization", "more").items():
        assert interval.high <= (0.01 if "none" in row else 0)
    assert "about 70 % of the digits, batch norm half, and no norm more than 80 %" in text
    for row, interval in rows("dn_improves_generalization", "dim").items():
        low, high = next(
            ends
            for name, ends in {
                "divisive": (0.65, 0.75),
                "batch": (0.45, 0.55),
                "none": (0.8, 1),
            }.items()
            if name in row
        )
        assert low < interval.mean < high
