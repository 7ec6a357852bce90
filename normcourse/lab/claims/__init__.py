"""Claims, measured: what people say about normalization, tried on real data.

Each chapter's claims are a module of this package with a list ``CLAIMS``, named in ``CHAPTERS``. A
chapter shows ``measure("name")``, or several claims of one experiment as one card; the ledger
collects what the executed chapters store.
"""

from dataclasses import replace
from functools import cache
from importlib import import_module

from normcourse.lab.claims.ledger import CHOICES, Ledger, bet_title
from normcourse.lab.claims.record import Claim, Experiment, Figure, Result, Verdict
from normcourse.lab.claims.show import Cards

__all__ = [
    "Claim",
    "Experiment",
    "Figure",
    "Result",
    "Verdict",
    "bet",
    "claims",
    "ledger",
    "measure",
]

# The pages with claims, in reading order; the module of a page's claims has the page's name.
CHAPTERS = (
    "foundations/why_normalize",
    "foundations/rescaling",
    "activations/batch_norm",
    "activations/layer_norm",
    "activations/instance_norm",
    "activations/group_norm",
    "activations/rms_norm",
    "weights/weight_norm",
    "weights/spectral_norm",
    "adaptive/divisive_norm",
    "adaptive/switchable_norm",
    "practice/advice",
)


@cache
def claims():
    """All claims of the course, {name: Claim}, in the order of the book."""
    found = {}
    for chapter in CHAPTERS:
        for claim in import_module(f"{__name__}.{chapter.split('/')[-1]}").CLAIMS:
            if claim.name in found:
                raise ValueError(f"two claims are named {claim.name!r}.")
            found[claim.name] = replace(claim, chapter=chapter)
    return found


def measure(*names):
    """Try the claims of these names and show what was found, as one card.

    An experiment runs once, however many claims it tries.
    """
    return Cards(tuple(_claim(name).measure() for name in names))


def bet(name):
    """Ask for the verdict on a claim, before its card is shown."""
    return bet_on(_claim(name), _claim(name).measure().verdict)


def bet_on(claim, verdict):
    """The question that ``bet`` asks, of a claim whose verdict is known."""
    from normcourse.widgets import Prediction  # brings IPython

    key, title = f"bet-{claim.name}", bet_title(claim)
    return Prediction(key, CHOICES[verdict], CHOICES.values(), title=title)


def _claim(name):
    if name not in claims():
        raise ValueError(f"no claim is named {name!r}; there are {', '.join(sorted(claims()))}.")
    return claims()[name]


def ledger(root):
    """The table of all claims, from the outputs stored in the notebooks under ``root``.

    Args:
        root: the folder of the book's chapters; ``".."`` in a notebook of ``book/practice``.
    """
    return Ledger.read(root, claims())
