"""What an exercise is: one record that pytest, the notebook, the page and the grader all read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

__all__ = ["Coefficients", "Exercise", "Hint", "Mistake", "Probe", "Steps"]


class Steps:
    """A computation as named steps, each a function of all that stands before it.

    What a learner gets wrong is nearly always one step; so a mistake is this computation with a
    step replaced, and two mistakes at once are two steps replaced.

    Args:
        parameters: names of the arguments, in order, separated by spaces.
        results: names of the steps that are returned.
        steps: ``name=function(q)``, where ``q`` holds the arguments and all earlier steps.
    """

    def __init__(self, parameters, results, **steps):
        self.parameters = tuple(parameters.split())
        self.results = tuple(results.split())
        self.steps = steps

    def trace(self, *arguments, **turned):
        """All arguments and steps by name, with the steps ``turned`` in the place of the right."""
        unknown = turned.keys() - self.steps.keys()
        if unknown:
            raise ValueError(f"no step is called {unknown}; there are {', '.join(self.steps)}.")
        q = SimpleNamespace(**dict(zip(self.parameters, arguments, strict=True)))
        for name, step in (self.steps | turned).items():
            setattr(q, name, step(q))
        return q

    def __call__(self, *arguments, **turned):
        q = self.trace(*arguments, **turned)
        return tuple(getattr(q, name) for name in self.results)


@dataclass(frozen=True)
class Probe:
    """One input, designed to expose certain mistakes. Each result for it is worth a point.

    Attributes:
        name: what is special about the input.
        make: from a random generator to the arguments; arrays are float32.
        tolerance: allowed error, as a fraction of the largest expected number of each result.
            Correct float32 solutions were measured to need 1e-6 where a probe does not say more;
            the default also hides whether an eps of 1e-5 was added to a variance near 1.
        by_hand: what comes out on the way, where the numbers are small enough for paper.
    """

    name: str
    make: Callable
    tolerance: float = 1e-4
    by_hand: str = ""

    def arguments(self, seed=0):
        """The arguments, built anew: what a solution does to them harms nobody."""
        return self.make(np.random.default_rng(seed))


@dataclass(frozen=True)
class Mistake:
    """A step that is taken otherwise: who computes the same made the same mistake.

    Variants of one mistake are several records of the same name and explanation.

    Attributes:
        name: a few words, as a teacher would say them.
        explanation: what went wrong and where to look.
        turns: the steps of the reference that are replaced; or a whole function in its place.
        noisy: names of probes on which the digits are rounding noise. There, any wrong result
            counts as equal.
    """

    name: str
    explanation: str
    turns: Mapping[str, Callable] | Callable
    noisy: tuple[str, ...] = ()

    @property
    def about(self):
        """The steps that are wrong."""
        return frozenset(self.turns) if isinstance(self.turns, Mapping) else frozenset()


class Hint(NamedTuple):
    """A hint, and the steps it is about; it comes first where one of them is wrong."""

    about: str
    text: str


@dataclass(frozen=True)
class Coefficients:
    """How a wrong gradient is read: as a sum of known terms, each with a coefficient.

    Within all numbers that share a statistic, a coefficient is one number. Over these groups and
    all probes it follows a law, such as "-2" or "n": with that law, the error is found whatever
    the learner's code looks like.

    Attributes:
        result: name of the result that is read.
        terms: steps of the reference whose sum it is, with their right coefficients.
        symbols: how each term is written.
        along: name of the step that holds the axes of a group.
        factors: name in a law -> function of the trace, an array that is constant in each group.
        causes: (term or terms, law) -> (name, explanation). "all" stands for all terms alike.
        over: by what the sum is divided, as it is written; "" where by nothing.
    """

    result: str
    terms: Mapping[str, float]
    symbols: tuple[str, ...]
    along: str
    factors: Mapping[str, Callable]
    causes: Mapping[tuple[str, str], tuple[str, str]]
    over: str = "√(σ² + ε)"


@dataclass(frozen=True)
class Exercise:
    """A function to write, and everything that is needed to judge an attempt.

    Attributes:
        name: of the function.
        task: what it computes, in a sentence.
        returns: names of its results.
        reference: computes the results from float64 arrays.
        probes: the inputs that are tried.
        mistakes: the wrong solutions that are recognized.
        hints: from a nudge to nearly the answer; revealed one at a time.
        coefficients: how its gradients are read.
        planted: names of the mistakes that its first version has, for the learner to find.
    """

    name: str
    task: str
    returns: tuple[str, ...]
    reference: Steps
    probes: tuple[Probe, ...]
    mistakes: tuple[Mistake, ...]
    hints: tuple[Hint, ...]
    coefficients: tuple[Coefficients, ...] = ()
    planted: tuple[str, ...] = ()

    @property
    def bugs(self):
        """The mistakes that are planted."""
        return tuple(mistake for mistake in self.mistakes if mistake.name in self.planted)

    @property
    def parameters(self):
        """Names of the function's parameters, in order."""
        return self.reference.parameters

    @property
    def signature(self):
        """How the function is called."""
        return f"{self.name}({', '.join(self.parameters)})"

    @property
    def points(self):
        """The most that can be earned: one point for each result of each probe."""
        return len(self.probes) * len(self.returns)

    def twin(self, *mistakes):
        """The wrong function of one mistake, or of several that turn different steps."""
        if len(mistakes) == 1 and callable(mistakes[0].turns):
            return mistakes[0].turns
        turned = {name: step for mistake in mistakes for name, step in mistake.turns.items()}
        return lambda *arguments: self.reference(*arguments, **turned)

    def together(self, size):
        """All sets of ``size`` mistakes that can be made at once."""
        if size == 1:
            return ((mistake,) for mistake in self.mistakes)
        able = [mistake for mistake in self.mistakes if mistake.about]
        return (
            chosen
            for chosen in combinations(able, size)
            if sum(len(m.about) for m in chosen)
            == len(frozenset().union(*(m.about for m in chosen)))
        )
