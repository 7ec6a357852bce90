"""What an exercise is: one record that pytest, the notebook and the grader all read."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

__all__ = ["Exercise", "Mistake", "Probe"]


@dataclass(frozen=True)
class Probe:
    """One input, designed to expose certain mistakes. It is worth one point.

    Attributes:
        name: what is special about the input.
        make: from a random generator to the arguments; arrays are float32.
        tolerance: allowed error, as a fraction of the largest expected number of each result.
            Correct float32 solutions were measured to need 1e-6 where a probe does not say more;
            the default also hides whether an eps of 1e-5 was added to a variance near 1.
    """

    name: str
    make: Callable
    tolerance: float = 1e-4

    def arguments(self, seed=0):
        """The arguments, built anew: what a solution does to them harms nobody."""
        return self.make(np.random.default_rng(seed))


@dataclass(frozen=True)
class Mistake:
    """A wrong twin of the reference: who computes the same made the same mistake.

    Variants of one mistake are several records of the same name and explanation.

    Attributes:
        name: a few words, as a teacher would say them.
        explanation: what went wrong and where to look.
        twin: takes the arguments of the exercise's function and returns the wrong result.
        noisy: names of probes on which the twin's digits are rounding noise. There, any wrong
            result counts as equal.
    """

    name: str
    explanation: str
    twin: Callable
    noisy: tuple[str, ...] = ()


@dataclass(frozen=True)
class Exercise:
    """A function to write, and everything that is needed to judge an attempt.

    Attributes:
        name: of the function.
        task: what it computes, in a sentence.
        returns: names of its results.
        reference: computes the results; its positional parameters are the function's. It is
            called with float64 arrays.
        probes: the inputs that are tried.
        mistakes: the wrong solutions that are recognized.
        hints: from a nudge to nearly the answer; revealed one at a time.
    """

    name: str
    task: str
    returns: tuple[str, ...]
    reference: Callable
    probes: tuple[Probe, ...]
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]

    @cached_property
    def parameters(self):
        """Names of the function's parameters, in order."""
        parameters = inspect.signature(self.reference).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)

    @property
    def signature(self):
        """How the function is called."""
        return f"{self.name}({', '.join(self.parameters)})"

    @property
    def points(self):
        """The most that can be earned: one point per probe."""
        return len(self.probes)
