"""How the guide, and the table beside it, are shown."""

import json
from dataclasses import dataclass
from html import escape
from urllib.parse import urlencode

from normcourse.lab.choose.advice import ADVICE
from normcourse.lab.choose.lines import LINES, OURS
from normcourse.lab.choose.record import PARTS, QUESTIONS
from normcourse.lab.claims import CHAPTERS, claims, ledger
from normcourse.lab.claims.said import INTRODUCTIONS, said_by
from normcourse.lab.claims.show import link
from normcourse.lab.tables import Cell, Table

__all__ = ["ADVISED", "EXAMPLES", "Advised", "Guide", "address", "verdicts"]

PAGES = {chapter.split("/")[-1]: chapter for chapter in CHAPTERS}
# Choices that the page leads to by a link.
EXAMPLES = (
    {
        "what": "activations",
        "network": "detection",
        "batch": "2",
        "start": "tuned",
        "scarce": "memory",
        "framework": "torch",
    },
    {
        "what": "activations",
        "network": "attention",
        "start": "scratch",
        "scarce": "time",
        "framework": "flax",
    },
    {
        "what": "weights",
        "network": "gan",
        "start": "scratch",
        "scarce": "nothing",
        "framework": "keras",
    },
)
# The claims that are advice: {claim: its name in the table}, by what they are about.
ADVISED = {
    "feature_scales": "Features on one scale",
    "standardization_helps": "Standardize",
    "min_max_keeps": "Min-max scaling",
    "placement": "Before the activation",
    "before_the_output": "Not before the output",
    "epsilon_range": "Range of ε",
    "scale_starts_at_one": "Start of γ and β",
    "learning_rates_needed": "Learning rates",
    "small_batches": "Small batches",
    "group_norm_and_batch_size": "Group norm for them",
    "number_of_groups": "Number of groups",
    "wrong_mode": "Mode",
    "independent_of_batch": "Layer norm, any batch",
    "right_for_sequences": "Layer norm for sequences",
    "recurrent_batch_norm": "No batch norm there",
    "rms_default": "RMSNorm by default",
    "rms_as_good": "RMSNorm as good",
    "rms_faster": "RMSNorm for speed",
    "rms_less_memory": "RMSNorm for memory",
    "rms_more_stable": "RMSNorm for precision",
    "stylizer_improves": "Instance norm for style",
    "loses_relations": "Not for classification",
    "wn_faster_than_bn": "Weight norm for speed",
    "wn_costs_less": "Weight norm for cost",
    "spectral_bounds_and_stabilizes": "Spectral norm in GANs",
    "spectral_generalizes": "Spectral norm outside",
    "switchable_robust": "Switchable norm",
    "mixing_types": "Do not mix types",
    "keep_the_original": "Fine-tuning",
    "bn_needs_less_dropout": "Less dropout",
    "bn_no_substitute": "No substitute",
}
UNKNOWN = "Not measured yet"


def verdicts(root):
    """{claim: its verdict in words}: of its study, or as the chapters under ``root`` store it."""
    return {entry.claim.name: _sentence(entry) for entry in ledger(root).entries}


def _sentence(entry):
    if entry.result:
        return entry.result.sentence
    try:  # the chapter is not executed yet, or again
        study = entry.claim.study or entry.claim.literature
        return entry.claim.measure().sentence if study else UNKNOWN
    except ValueError:
        return UNKNOWN


def address(choice):
    """What stands behind # in the address of a choice {question: key}."""
    return urlencode({name: choice[name] for name in QUESTIONS if name in choice})


@dataclass(frozen=True)
class Guide:
    """The decision guide: questions, and all answers with what carries them."""

    verdicts: dict[str, str]

    def __repr__(self):
        """Without verdicts, which a longer run may change."""
        lines = [f"{len(QUESTIONS)} questions, {len(ADVICE)} answers"]
        for advice in ADVICE:
            carried = ", ".join([*advice.claims, *advice.papers])
            lines += [f"{PARTS[advice.part]}: {advice.title} ({advice.condition}): {carried}"]
            lines += [
                f"  against: {', '.join([*one.papers, *one.claims])}" for one in advice.against
            ]
        return "\n".join(lines)

    def _repr_html_(self):
        targets = "".join(f'<span id="{escape(address(choice))}"></span>' for choice in EXAMPLES)
        return "\n".join(
            [
                '<div class="nc-choose">',
                targets,
                '<form hidden autocomplete="off" aria-label="What you have">',
                *(_question(name, question) for name, question in QUESTIONS.items()),
                "</form>",
                *(self._answer(advice) for advice in ADVICE),
                "</div>",
            ]
        )

    def _answer(self, advice):
        needs = escape(json.dumps(advice.needs))
        against = "".join(
            f'<div class="nc-against"><p><b>Against it:</b> {escape(one.says)} '
            f"{_papers(one.papers)}</p>{self._claims(one.claims)}</div>"
            for one in advice.against
        )
        see = [f"{_link(page, text)}" for text, page in advice.see.items()]
        if advice.technique:
            name = advice.technique.replace("_", " ").replace("rms norm", "RMSNorm")
            see.insert(0, _link(PAGES[advice.technique], f"the chapter on {name}"))
        parts = [
            f'<section class="nc-answer" id="answer-{advice.name}" data-needs="{needs}">',
            f"<h3><span>{PARTS[advice.part]}</span> {escape(advice.title)}</h3>",
            f'<p class="nc-when">For: {escape(advice.condition)}.</p>',
            f"<p>{escape(advice.why)} {_papers(advice.papers)}</p>",
            self._claims(advice.claims),
            against,
            _written(advice.write),
            f"<p>See {', '.join(see)}.</p>" if see else "",
            "</section>",
        ]
        return "\n".join(filter(None, parts))

    def _claims(self, names):
        """Claims with their verdicts, as a list."""
        items = []
        for name in names:
            claim = claims()[name]
            said = f" (said by {', '.join(said_by(name))})" if said_by(name) else ""
            card = _link(claim.chapter, f"“{claim.statement}”", f"#claim-{name}")
            items.append(f"<li>{card}{said}: <b>{escape(self.verdicts[name])}</b>.</li>")
        return f'<ul class="nc-carried">{"".join(items)}</ul>' if items else ""


def _question(name, question):
    when = escape(json.dumps(question.when))
    hidden = " hidden" if question.when else ""
    options = "".join(
        f'<label><input type="radio" name="{name}" value="{key}"> {escape(text)}</label>'
        for key, text in question.options.items()
    )
    return (
        f'<fieldset data-when="{when}"{hidden}><legend>{escape(question.ask)}</legend>'
        f"{options}</fieldset>"
    )


def _written(name):
    """What to write, a line for each framework."""
    items = [
        f'<li data-framework="{framework}"><b>{QUESTIONS["framework"].options[framework]}</b> '
        + (f"<code>{escape(line.code)}</code> " if line.code else "")
        + escape(", ".join(_facts(line)))
        + "</li>"
        for framework, line in LINES.get(name, {}).items()
    ]
    if name in OURS:
        items.append(f"<li><b>This course</b> <code>{escape(OURS[name])}</code></li>")
    return f'<ul class="nc-write">{"".join(items)}</ul>' if items else ""


def _facts(line):
    if line.eps is not None:
        yield f"ε = {line.eps:g}".replace("e-0", "e-")
    if line.momentum is not None:
        yield f"momentum = {line.momentum:g}"
    if line.note:
        yield line.note


def _papers(papers):
    links = [link(name, where) for name, where in papers.items()]
    return f"({'; '.join(links)})" if links else ""


def _link(page, text, anchor=""):
    """To a page of the book; the site turns .ipynb into .html."""
    return f'<a class="nc-card" href="../{page}.ipynb{anchor}">{escape(text)}</a>'


class Advised(Table):
    """The advice of the introductions, who gives it, and what was measured."""

    def __init__(self, found):
        rows = [
            [
                Cell(title, link=f"../{claims()[name].chapter}.ipynb#claim-{name}"),
                claims()[name].statement,
                found[name],
                ", ".join(said_by(name)),
            ]
            for name, title in ADVISED.items()
        ]
        heads = ["Advice", "In their words", "What was measured", "Said by"]
        super().__init__("What do the introductions advise, and what was measured?", heads, rows)

    def __repr__(self):
        """Without verdicts, which a longer run may change."""
        return "\n".join([self.caption, *ADVISED])

    def _repr_html_(self):
        sources = "<br>".join(f"{key}: {escape(text)}" for key, text in INTRODUCTIONS.items())
        return f'{super()._repr_html_()}<p class="nc-table-notes">{sources}</p>'
