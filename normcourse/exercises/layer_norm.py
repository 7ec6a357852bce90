"""Exercises on layer normalization: forward and backward."""

from normcourse.exercises.family import EPS, FAR, both_passes, mistake
from normcourse.exercises.probes import channels, spread_out, weights

__all__ = ["EXERCISES"]


def last_axes(x, normalized_shape, *_):
    return tuple(range(x.ndim - len(normalized_shape), x.ndim))


def axes_before(x, normalized_shape, *_):
    return tuple(range(x.ndim - len(normalized_shape)))


def given(rng, x, k=1, eps=EPS):
    shape = x.shape[-k:]
    return x, shape, weights(rng, shape), channels(rng, shape), eps


def rows(rng, *shape, scale):
    """Rows, or tokens, of which the first is narrow, or constant where ``scale`` is 0."""
    x = spread_out(rng, *shape)
    x[0] = scale * x[0] if scale else 2
    return x


def first_axes(x, normalized_shape, *_):
    return tuple(range(len(normalized_shape)))


def other_axes(step, what, ending=""):
    """Statistics along the axes that count samples, and along the first instead of the last."""
    return (
        mistake(
            f"statistics per feature{ending}",
            f"{what} over the samples, one for each feature, as in batch normalization. Here each "
            "sample has its own.",
            noisy=(FAR,),
            **{step: lambda q: axes_before(q.x, q.normalized_shape)},
        ),
        mistake(
            f"statistics over the first axes{ending}",
            f"{what} over the first len(normalized_shape) axes. It is the last ones that "
            "normalized_shape names.",
            noisy=(FAR,),
            **{step: lambda q: first_axes(q.x, q.normalized_shape)},
        ),
    )


EXERCISES = both_passes(
    "layer_norm",
    task="Normalize the last axes of x, whose lengths are normalized_shape, for each sample by "
    "itself; then scale by weight and shift by bias, which have that shape.",
    axes=last_axes,
    place=lambda p, x: p,
    shared=axes_before,
    probes=(
        ("rows and a large eps", lambda rng: given(rng, spread_out(rng, 4, 4), eps=2.0)),
        ("a constant row", lambda rng: given(rng, rows(rng, 3, 4, scale=0)), 3e-4),
        (FAR, lambda rng: given(rng, spread_out(rng, 3, 5, mean=1e4)), 2e-2),
        ("tokens (N, L, D)", lambda rng: given(rng, rows(rng, 3, 4, 4, scale=0.05))),
        (
            "an image (N, C, H, W), over C, H and W",
            lambda rng: given(rng, spread_out(rng, 3, 3, 2, 3), 3),
        ),
    ),
    hand=(1, 4),
    more=("normalized_shape", ((4,),)),
    rule="Here each sample, or token, has its own statistics, over the axes of normalized_shape.",
    hint="The last len(normalized_shape) axes share a statistic; those before them count samples. "
    "x.mean takes a tuple of axes; negative ones count from the end.",
    of_forward=(
        *other_axes("axis", "Your mean runs"),
        mistake(
            "one weight for all features",
            "You use a mean of the weights. Each feature of a row has a weight of its own.",
            w=lambda q: q.weight.mean(),
        ),
    ),
    of_backward=(
        *other_axes("axis", "Your mean runs"),
        *other_axes("dx_axis", "The means in your dx run", ", in dx"),
        mistake(
            "weight multiplied after the means",
            "You take the means of dy and multiply by γ afterwards. In batch normalization that is "
            "the same; here γ differs within a row, so g = dy γ comes before the means.",
            g=lambda q: q.dy,
            dx=lambda q: q.w * (q.direct - q.by_mean - q.by_var),
        ),
    ),
)
