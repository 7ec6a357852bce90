"""Which normalization? Questions, advice that fits the answers, and what carries each advice.

The site shows what fits (book/assets/choose.js); elsewhere all advice is there to be read.
"""

from normcourse.lab.choose.advice import ADVICE
from normcourse.lab.choose.lines import FRAMEWORKS, LINES
from normcourse.lab.choose.record import QUESTIONS, Advice, Against, asked, fitting
from normcourse.lab.choose.show import ADVISED, EXAMPLES, Advised, Guide, address, verdicts

__all__ = [
    "ADVICE",
    "ADVISED",
    "EXAMPLES",
    "FRAMEWORKS",
    "LINES",
    "QUESTIONS",
    "Advice",
    "Advised",
    "Against",
    "Guide",
    "address",
    "advised",
    "asked",
    "fitting",
    "guide",
    "verdicts",
]


def guide(root):
    """The decision guide.

    Args:
        root: the folder of the book's chapters; ``".."`` in a notebook of ``book/practice``.
    """
    return Guide(verdicts(root))


def advised(root):
    """The advice of the introductions beside what was measured; ``root`` as of :func:`guide`."""
    return Advised(verdicts(root))
