"""Claims of the chapter instance_norm, on the digits and on scikit-learn's two photographs."""

from functools import partial

import numpy as np

from normcourse.instance_norm import instance_norm
from normcourse.lab import data
from normcourse.lab.blocks import block_channels, block_picture
from normcourse.lab.claims.record import Claim, Experiment, Figure

NAMES = {"batch": "batch norm", "instance": "instance norm"}
CONTRASTS = (0.5, 0.25, 0.125)


# ---- classification ----------------------------------------------------------------------------


def classification(seed, steps=200):
    """Digits at their own contrast and at others; then digits whose contrast is the class."""
    digits = data.digits(seed=seed)
    tasks = {
        "which digit": (digits, False),
        "which digit, pooled": (digits, True),
        "bright or faint": (_bright_or_faint(digits, seed), False),
    }
    found = {
        norm: {task: _accuracies(norm, *arm, seed, steps) for task, arm in tasks.items()}
        for norm in NAMES
    }
    lost = {
        norm: {
            f"contrast × {c:g}": of["which digit"][1.0] - of["which digit"][c] for c in CONTRASTS
        }
        for norm, of in found.items()
    }
    gain = {task: found["instance"][task][1.0] - found["batch"][task][1.0] for task in tasks}
    accuracy = {
        f"{task}, {name}": found[norm][task][1.0] for task in tasks for norm, name in NAMES.items()
    }
    return {
        "lost": lost["instance"],
        "lost by batch": lost["batch"],
        "quarter": lost["batch"]["contrast × 0.25"],
        "gain": gain,
        "accuracy": accuracy,
    }


def _accuracies(norm, split, pool, seed, steps):
    """{contrast of the test set: accuracy} of a network trained at contrast 1."""
    from normcourse.lab.models import ConvolutionalNetwork
    from normcourse.lab.training import evaluate, fit

    classes = int(split.y_train.max()) + 1
    model = ConvolutionalNetwork(norm, channels=(8, 16), pool=pool, classes=classes, rng=seed)
    fit(model, split, steps, lr=0.1, rng=seed)
    return {c: evaluate(model, c * split.x_test, split.y_test)[1] for c in (1.0, *CONTRASTS)}


def _bright_or_faint(digits, seed):
    """Half of the digits at a third of their contrast: which half is the class."""
    rng = np.random.default_rng(seed)
    faint = [rng.permutation(len(x)) % 2 for x in (digits.x_train, digits.x_test)]
    train, test = (
        x * np.where(f, 1 / 3, 1)[:, None]
        for x, f in zip((digits.x_train, digits.x_test), faint, strict=True)
    )
    return data.Split(train, faint[0], test, faint[1])


# ---- style -------------------------------------------------------------------------------------

STEPS, CROP, WEIGHT = 200, 32, 5.0


def small_photographs(factor=4):
    """Temple and flower, each pixel the mean of factor x factor: (106, 160, 3)."""
    for photo in data.photographs():
        h, w = (side // factor for side in photo.shape[:2])
        cut = photo[: h * factor, : w * factor]
        yield cut.reshape(h, factor, w, factor, 3).mean((1, 3))


def crops(rng, photo, count, size, left=0, right=None):
    """Random parts of ``photo`` between two columns, (count, 3, size, size)."""
    right = right or photo.shape[1]
    corners = [
        (rng.integers(photo.shape[0] - size + 1), left + rng.integers(right - left - size + 1))
        for _ in range(count)
    ]
    return np.stack([photo[i : i + size, j : j + size] for i, j in corners]).transpose(0, 3, 1, 2)


def stylizers(seed, steps=STEPS, test=16):
    """Loss on parts that training did not see, with batches of 1 and of 4."""
    found = {
        f"batches of {size}": {
            norm: _stylized(norm, size, seed, steps, test) for norm in ("batch", "instance", None)
        }
        for size in (1, 4)
    }

    def ratio(above, mode="eval"):
        return {
            row: sum(runs[above][mode]) / sum(runs["instance"][mode]) for row, runs in found.items()
        }

    return {
        "loss": ratio("batch"),
        "own statistics": ratio("batch", "train"),
        "plain": ratio(None),
        "style": {f"{row}, {n}": found[row][k]["eval"][1] for row in found for k, n in STYLED},
        "content": {f"{row}, {n}": found[row][k]["eval"][0] for row in found for k, n in STYLED},
    }


STYLED = (("batch", "batch norm"), ("instance", "instance norm"), (None, "without"))


def _stylized(norm, size, seed, steps, test):
    """(content, weighted style) losses of the test parts, in evaluation and in training mode."""
    import torch

    from normcourse.lab import stylize

    temple, flower = small_photographs()
    filters, rng = stylize.RandomFilters(1000 + seed), np.random.default_rng(seed)
    style = filters(torch.from_numpy(flower.transpose(2, 0, 1)[None]))

    def draw():
        contrast = rng.uniform(0.25, 1, (size, 1, 1, 1))
        return torch.from_numpy(contrast * crops(rng, temple, size, CROP, right=80))

    model = stylize.Stylizer(norm, rng=seed)
    stylize.train_stylizer(model, draw, style, filters, steps, weight=WEIGHT)
    unseen = torch.from_numpy(crops(np.random.default_rng(seed), temple, test, CROP, left=80))
    found = {}
    with torch.no_grad(), stylize.one_thread():
        for mode in ("eval", "train"):
            model.train(mode == "train")
            parts = unseen.split(size)  # in training mode, batches as in training
            losses = [stylize.losses(model(x), x, style, filters) for x in parts]
            kept, styled = (torch.cat(each).mean().item() for each in zip(*losses, strict=True))
            found[mode] = kept, WEIGHT * styled
    return found


def adapt(content, style, eps=1e-5, mean=True, spread=True):
    """``content`` (H, W, 3) with the statistics of each block channel of ``style``."""
    x, s = block_channels(content), block_channels(style)
    of = s if mean else x
    width = (s if spread else x).var((2, 3))[0]
    y = instance_norm(x, (width + eps) ** 0.5, of.mean((2, 3))[0], eps)
    return block_picture(y)


def statistics_are_style(seed, size=96):
    """How much of the Gram loss matched statistics remove, by random filters and random parts."""
    import torch

    from normcourse.lab import stylize

    rng = np.random.default_rng(seed)
    filters = stylize.RandomFilters(rng)
    parts = [crops(rng, photo, 1, size)[0].transpose(1, 2, 0) for photo in small_photographs()]

    def responses(picture):
        return filters(torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()))

    left, edges, arms = {}, {}, {"means only": {}, "spreads only": {}}
    for name, (content, style) in (
        ("temple as flower", parts),
        ("flower as temple", parts[::-1]),
    ):
        goal = responses(style)
        loss = partial(lambda picture, goal: stylize.gram_loss(responses(picture), goal), goal=goal)
        before = loss(content).item()
        left[name] = loss(adapt(content, style)).item() / before
        edges[name] = _alike(adapt(content, style), content)
        for arm, options in (("means only", {"spread": False}), ("spreads only", {"mean": False})):
            arms[arm][name] = loss(adapt(content, style, **options)).item() / before
    return {"left": left, "edges": edges, **arms}


def _alike(picture, content):
    """Correlation of the brightness steps between neighbours, across and down."""

    def steps(image):
        grey = image.mean(2)
        return np.concatenate([np.diff(grey, axis=a).ravel() for a in (0, 1)])

    return np.corrcoef(steps(picture), steps(content))[0, 1]


DIGITS = Experiment(
    classification,
    "Digits, two convolutions (8 and 16 channels), 200 steps at rate 0.1; the linear layer sees "
    "every position, or their average (pooled). The test set at smaller contrasts; then digits of "
    "which half have a third of the contrast, and the class is which half.",
    study="instance_norm_digits",
    reduced=partial(classification, steps=5),
)

CLAIMS = [
    Claim(
        "contrast_removed",
        "Instance norm removes instance-specific contrast.",
        DIGITS,
        (
            Figure(
                "accuracy lost, batch norm at contrast × 0.25",
                "quarter",
                unit="pts",
                above=0.05,
                premise=True,
            ),
            Figure("accuracy lost, instance norm", "lost", unit="pts", below=0.02, when=""),
            Figure("accuracy lost, batch norm", "lost by batch", unit="pts"),
        ),
        {"Ulyanov et al. 2016": "arXiv:1607.08022"},
    ),
    Claim(
        "loses_relations",
        "Instance norm loses the relations between instances: worse for classification.",
        DIGITS,
        (
            Figure("accuracy, instance norm minus batch norm", "gain", unit="pts", below=0),
            Figure("accuracy", "accuracy", unit="%"),
        ),
        {"Wu & He 2018": "arXiv:1803.08494"},
    ),
    Claim(
        "stylizer_improves",
        "In a feed-forward stylizer, instance norm beats batch norm.",
        Experiment(
            stylizers,
            "Four convolutions, trained for 200 steps on the left half of the temple at random "
            "contrast, loss: content + 5 × Gram distance to the flower, both on random filters; "
            "tried on its right half, in evaluation mode.",
            study="instance_norm_stylizer",
            reduced=partial(stylizers, steps=3, test=4),
        ),
        (
            Figure("loss, batch norm over instance norm", "loss", log=True, above=1),
            Figure("the same, by the statistics of the batch", "own statistics", log=True),
            Figure("loss, no norm over instance norm", "plain", log=True),
            Figure("style loss, weighted", "style"),
            Figure("content loss", "content"),
        ),
        {"Ulyanov et al. 2017": "arXiv:1701.02096"},
    ),
    Claim(
        "statistics_are_style",
        "Matching the mean and spread of each channel transfers the style.",
        Experiment(
            statistics_are_style,
            "Parts of 96 × 96 pixels of the two photographs, channels of an 8 × 8 block transform; "
            "Gram loss to the style on random filters, of which the statistics know nothing. "
            "Brightness steps: correlation with those of the content.",
        ),
        (
            Figure("Gram loss left", "left", unit="%", below=0.5),
            Figure("brightness steps kept", "edges", above=0.5, when=""),
            Figure("Gram loss left, means only", "means only", unit="%"),
            Figure("Gram loss left, spreads only", "spreads only", unit="%"),
        ),
        {"Huang & Belongie 2017": "arXiv:1703.06868"},
    ),
]
