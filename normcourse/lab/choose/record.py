"""What the guide asks, and what an advice is."""

from dataclasses import dataclass, field

__all__ = ["PARTS", "QUESTIONS", "Advice", "Against", "Needs", "Question", "asked", "fitting"]

Needs = dict[str, tuple[str, ...]]  # {question: the keys that it may be answered with}


@dataclass(frozen=True)
class Question:
    """A question of the guide.

    Args:
        ask: as it is read.
        options: {key: text}.
        when: {question: keys}; asked only where each of them was answered so.
    """

    ask: str
    options: dict[str, str]
    when: Needs = field(default_factory=dict)


_NETWORK: Needs = {"what": ("activations", "weights")}
QUESTIONS = {
    "what": Question(
        "What do you normalize?",
        {"data": "data", "activations": "activations", "weights": "weights"},
    ),
    "network": Question(
        "In what kind of network?",
        {
            "convolution": "convolutions",
            "detection": "detection or segmentation",
            "attention": "attention (a transformer)",
            "recurrent": "recurrent",
            "gan": "GAN",
            "style": "style transfer",
            "diffusion": "diffusion U-Net",
        },
        _NETWORK,
    ),
    "batch": Question(
        "How many samples per device and step?",
        {"1": "1", "2": "2 to 15", "16": "16 or more"},
        {"what": ("activations",), "network": ("convolution", "detection", "gan", "style")},
    ),
    "start": Question(
        "Where does training start?",
        {"scratch": "from scratch", "tuned": "from a trained network (fine-tuning)"},
        _NETWORK,
    ),
    "scarce": Question(
        "What is scarce?",
        {"nothing": "nothing in particular", "memory": "memory", "time": "time"},
        _NETWORK,
    ),
    "framework": Question(
        "What do you write in?",
        {"torch": "torch", "keras": "Keras 3", "flax": "Flax (nnx)", "equinox": "Equinox"},
        _NETWORK,
    ),
}

# What an advice decides, in the order of the answers. Of each there is one at most for any choice,
# so that no two of them contradict; "instead" and "without" are other ways, and say who disagrees.
PARTS = {
    "which": "Which",
    "instead": "Instead",
    "beside": "Beside it",
    "mixed": "A mixture",
    "without": "Without",
    "where": "Where",
    "begin": "To begin with",
    "epsilon": "ε",
    "budget": "Budget",
}


@dataclass(frozen=True)
class Against:
    """What a source says that disagrees, with its papers or the claims that try it."""

    says: str
    papers: dict[str, str] = field(default_factory=dict)
    claims: tuple[str, ...] = ()


@dataclass(frozen=True)
class Advice:
    """An answer of the guide.

    Args:
        name: its id on the page, in kebab case.
        part: what it decides, of :data:`PARTS`.
        title: the advice in a few words.
        needs: {question: keys}, the choices that it is for; of other questions any.
        why: one or two sentences.
        technique: whose chapter it leads to.
        claims: of the course, that carry it.
        papers: {"Authors year": "arXiv:id" or a full address}, that carry it.
        against: who disagrees.
        write: what to write, a key of :data:`normcourse.lab.choose.lines.LINES`.
        see: a page of the book that says more, {text: page below book/}.
    """

    name: str
    part: str
    title: str
    needs: Needs
    why: str
    technique: str = ""
    claims: tuple[str, ...] = ()
    papers: dict[str, str] = field(default_factory=dict)
    against: tuple[Against, ...] = ()
    write: str = ""
    see: dict[str, str] = field(default_factory=dict)

    def __post_init__(self):
        if not (self.claims or self.papers):
            raise ValueError(f"{self.name} needs a claim or a paper that carries it.")
        if self.part not in PARTS:
            raise ValueError(f"{self.name}: part must be one of {', '.join(PARTS)}.")
        for question, keys in self.needs.items():
            unknown = set(keys) - set(QUESTIONS[question].options)
            if unknown:
                raise ValueError(f"{self.name}: {question} has no option {sorted(unknown)}.")

    @property
    def condition(self):
        """What it is for, in words."""
        chosen = (
            " or ".join(QUESTIONS[question].options[key] for key in keys)
            + (" samples per device" if question == "batch" else "")
            + (" is scarce" if question == "scarce" else "")
            for question, keys in self.needs.items()
            if len(keys) < len(QUESTIONS[question].options)
        )
        return "; ".join(chosen)


def asked(choice):
    """The questions that are asked of {question: key}; some answers make others needless."""
    return [
        name
        for name, question in QUESTIONS.items()
        if all(choice.get(other) in keys for other, keys in question.when.items())
    ]


def fitting(advice, choice):
    """Those of ``advice`` that fit {question: key}; what was not answered excludes nothing."""
    choice = {name: choice[name] for name in asked(choice) if name in choice}
    return [
        one
        for one in advice
        if all(choice[name] in one.needs.get(name, (choice[name],)) for name in choice)
    ]
