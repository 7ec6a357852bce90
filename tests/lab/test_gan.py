"""The small GANs: variants side by side do not mix, and the bound is that of the package."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from normcourse.lab import gan  # noqa: E402
from normcourse.lab.claims import spectral_norm as claims  # noqa: E402
from normcourse.spectral_norm import power_iteration, spectral_norm  # noqa: E402

SPECTRAL = gan.Variant(spectral=True, scale=8.0)
CLIPPED = gan.Variant(clip=0.05)


def test_the_truth_holds_all_modes_and_one_mode_is_one():
    rng = np.random.default_rng(0)
    points = gan.ring(4000, rng)
    assert gan.modes(points) == 8
    assert gan.hits(points).sum() > 0.98  # within 3 std, in two dimensions
    assert gan.modes(points[np.linalg.norm(points - gan.CENTRES[2], axis=1) < 1]) == 1
    assert gan.modes(0 * points) == 0


def test_a_variant_trains_beside_others_as_it_does_alone():
    together, *_ = gan.train([gan.Variant(), SPECTRAL, CLIPPED], steps=5, rng=1, looks=1)
    for i, variant in enumerate(together.variants):
        alone, gradient, _ = gan.train([variant], steps=5, rng=1, looks=1)
        for a, b in zip(together.weights(), alone.weights(), strict=True):
            torch.testing.assert_close(a[i], b[0], rtol=1e-3, atol=1e-5)
        assert np.isfinite(gradient).all()


def test_weights_are_divided_as_the_package_does_it():
    game = gan.Game([gan.Variant(), SPECTRAL], np.random.default_rng(2))
    before = [(u[1, :, 0], v[1, :, 0]) for u, v in zip(game.u, game.v, strict=True)]
    game.iterate(2)
    for k, w in enumerate(game.discriminator.weights):
        u, v = power_iteration(w[1].detach(), *before[k], 2)
        torch.testing.assert_close((game.u[k][1, :, 0], game.v[k][1, :, 0]), (u, v))
        torch.testing.assert_close(game.weights()[k][1], spectral_norm(w[1], u, v))
        torch.testing.assert_close(game.weights()[k][0], w[0])


def test_the_gradient_is_bounded_by_the_norms_and_clipping_clips():
    game, gradient, _ = gan.train([SPECTRAL, CLIPPED], steps=20, rng=3, looks=2)
    norms = [torch.linalg.matrix_norm(w[0], 2).item() for w in game.weights()]
    assert norms == pytest.approx(np.ones(3), abs=0.1)
    assert 0 < gradient[-1, 0] <= 8 * np.prod(norms) * (1 + 1e-5)
    assert max(p[1].abs().max() for p in game.discriminator.parameters) <= 0.05 + 1e-9
    x = torch.tensor([[[0.3, -1.2]]]).repeat(2, 1, 1)
    step = 1e-2 * torch.tensor([0.6, 0.8])
    with torch.no_grad():
        slope = (game.logits(x + step) - game.logits(x - step)).abs().squeeze() / 2e-2
    steepest = game.gradients(np.array([[0.3, -1.2]]))[:, 0]
    assert (slope.numpy() <= steepest * 1.05).all()


def test_the_stored_runs_say_what_the_chapter_tells():
    """The sentences around the cards: four of five runs, a quarter of the bound, 1.04 to 1.07."""
    runs = claims.GAN.runs
    held = np.array([list(run["modes"].values()) for run in runs])
    names = list(runs[0]["modes"])
    assert sorted(held[:, names.index(claims.SPECTRAL)]) == [5, 8, 8, 8, 8]
    assert held[:, names.index(claims.UNSCALED)].max() <= 1
    assert held[:, names.index(claims.NONE)].max() <= 3
    assert (held[:, names.index("clipped at 0.1, logits × 8")] == 8).all()
    largest = [run["gradient"]["clipped at 0.1, logits × 8"] for run in runs]
    assert 1.5 < min(largest) < max(largest) < 2.5
    assert max(run["on a mode"][name] for run in runs for name in names) < 0.4
    stretch = [run["stretch"] for run in runs]
    assert 1.03 < min(stretch) < max(stretch) < 1.08
    assert all(run["share"][f"{claims.SPECTRAL}, 0"] > 0.02 for run in runs[:1])
    digits = claims.DIGITS.runs
    assert 1.05 < 1 + np.median([run["typical excess"] for run in digits]) < 1.15
    assert 1.5 < 1 + np.mean([run["excess"] for run in digits]) < 1.7
    full = [run["training"]["spectral norm, 1297 digits"] for run in digits]
    assert max(full) < min(run["training"]["none, 1297 digits"] for run in digits)


def test_a_classifier_with_spectral_norm_is_the_other_divided():
    plain, divided = (claims.classifier(norm, 5.0, 4) for norm in (False, True))
    for a, b in zip(plain[:-1:2], divided[:-1:2], strict=True):
        w = b.parametrizations.weight.original.detach()
        torch.testing.assert_close(a.weight.detach(), w)
    x = torch.ones(2, 64, dtype=torch.float64)
    torch.testing.assert_close(plain(x), 5 * plain[:-1](x))
