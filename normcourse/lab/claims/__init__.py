"""Claims, measured: what people say about normalization, tried on real data.

Each chapter's claims are a module of this package with a list ``CLAIMS``, named in ``CHAPTERS``. A
chapter shows ``measure("name")``; the ledger collects what the executed chapters store.
"""

from functools import cache
from importlib import import_module

from normcourse.lab.claims.ledger import Ledger
from normcourse.lab.claims.record import Claim, Estimate, Figure, Finding

__all__ = ["Claim", "Estimate", "Figure", "Finding", "claims", "ledger", "measure"]

CHAPTERS = ("why_normalize", "rescaling", "batch_norm")  # those with claims, in reading order


@cache
def claims():
    """All claims of the course, {name: Claim}, in the order of the book."""
    found = {}
    for chapter in CHAPTERS:
        for claim in import_module(f"{__name__}.{chapter}").CLAIMS:
            if claim.name in found:
                raise ValueError(f"two claims are named {claim.name!r}.")
            found[claim.name] = claim
    return found


@cache
def measure(name):
    """Run the experiment of the claim ``name`` and return its :class:`Finding`."""
    if name not in claims():
        raise ValueError(f"no claim is named {name!r}; there are {', '.join(sorted(claims()))}.")
    return claims()[name].measure()


def ledger(root):
    """The table of all claims, from the outputs stored in the notebooks under ``root``.

    Args:
        root: the folder of the book's chapters; ``".."`` in a notebook of ``book/practice``.
    """
    return Ledger.read(root, claims())
