"""The decision guide: every advice is carried, every choice is answered, nothing contradicts."""

import inspect
import os
import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from urllib.parse import parse_qsl

import nbformat
import pytest

from normcourse.lab import choose
from normcourse.lab.choose.lines import OURS
from normcourse.lab.choose.record import PARTS
from normcourse.lab.choose.show import PAGES, UNKNOWN
from normcourse.lab.claims import claims
from normcourse.lab.claims.said import said_by

os.environ.setdefault("KERAS_BACKEND", "torch")  # before any import of Keras
BOOK = Path(__file__).parents[2] / "book"
PAGE = BOOK / "practice" / "choose.ipynb"
WHERE = r"arXiv:\d{4}\.\d{4,5}|https://\S+"
each = pytest.mark.parametrize("advice", choose.ADVICE, ids=lambda advice: advice.name)


def settled(choice):
    """Without the answers to questions that are not asked."""
    while set(choice) != set(choose.asked(choice)):
        choice = {name: choice[name] for name in choose.asked(choice)}
    return choice


def choices():
    """Every way to answer all that is asked."""
    found = {}
    for keys in product(*(question.options for question in choose.QUESTIONS.values())):
        choice = settled(dict(zip(choose.QUESTIONS, keys, strict=True)))
        found[choose.address(choice)] = choice
    return list(found.values())


CHOICES = choices()


@pytest.fixture(scope="module")
def verdicts():
    return choose.verdicts(BOOK)


def test_the_choices_are_all_that_can_be_made():
    start, scarce, frameworks, batches = 2, 3, 4, 3
    rest = start * scarce * frameworks
    assert len(CHOICES) == 1 + 7 * rest + (3 + 4 * batches) * rest


@each
def test_an_advice_is_carried_by_claims_or_papers_that_exist(advice):
    assert advice.claims or advice.papers
    assert set(advice.claims) <= set(claims())
    assert all(re.fullmatch(WHERE, where) for where in advice.papers.values())


def test_an_advice_with_nothing_that_carries_it_is_refused():
    with pytest.raises(ValueError, match="claim or a paper"):
        replace(choose.ADVICE[0], claims=(), papers={})
    with pytest.raises(ValueError, match="part must be one of"):
        replace(choose.ADVICE[0], part="why")
    with pytest.raises(ValueError, match="no option"):
        replace(choose.ADVICE[0], needs={"batch": ("3",)})


@each
def test_who_disagrees_is_named_with_a_source(advice):
    for one in advice.against:
        assert one.papers or one.claims
        assert set(one.claims) <= set(claims())
        assert all(re.fullmatch(WHERE, where) for where in one.papers.values())


@each
def test_an_advice_asks_only_what_is_asked(advice):
    """Else it would fit where its own question is not put."""
    for name in advice.needs:
        for other, keys in choose.QUESTIONS[name].when.items():
            assert set(advice.needs[other]) <= set(keys)


@each
def test_an_advice_is_given_and_leads_to_pages_that_exist(advice):
    assert any(advice in choose.fitting(choose.ADVICE, choice) for choice in CHOICES)
    pages = [*advice.see.values(), *([PAGES[advice.technique]] if advice.technique else [])]
    assert all((BOOK / f"{page}.ipynb").exists() for page in pages)
    assert not advice.write or advice.write in {**choose.LINES, **OURS}
    assert advice.condition


def test_every_choice_has_one_answer_to_each_part_and_says_which():
    for choice in CHOICES:
        parts = [advice.part for advice in choose.fitting(choose.ADVICE, choice)]
        assert parts[0] == "which", choice
        assert len(parts) == len(set(parts)), choice


def test_another_way_says_what_speaks_against_it():
    others = [advice for advice in choose.ADVICE if advice.part in ("instead", "without", "mixed")]
    assert {advice.part for advice in others} == {"instead", "without", "mixed"} <= {*PARTS}
    assert all(advice.against for advice in others)


def test_what_is_not_answered_excludes_nothing():
    assert choose.fitting(choose.ADVICE, {}) == list(choose.ADVICE)
    some = choose.fitting(choose.ADVICE, {"what": "weights"})
    every = [
        advice
        for advice in choose.ADVICE
        if any(
            advice in choose.fitting(choose.ADVICE, choice)
            for choice in CHOICES
            if choice["what"] == "weights"
        )
    ]
    assert some == every


def test_an_answer_to_what_is_not_asked_does_not_count():
    asked = {"what": "activations", "network": "attention"}
    rest = ["start", "scarce", "framework"]
    assert choose.asked(asked | {"batch": "1"}) == ["what", "network", *rest]
    assert choose.fitting(choose.ADVICE, {"network": "gan"}) == list(choose.ADVICE)


@pytest.mark.parametrize(
    ("choice", "first"),
    [
        ({"what": "data"}, "standardize"),
        ({"network": "convolution", "batch": "16"}, "batch-norm"),
        ({"network": "detection", "batch": "2"}, "group-norm"),
        ({"network": "detection", "batch": "2", "start": "tuned"}, "frozen"),
        ({"network": "attention"}, "rms-norm"),
        ({"network": "recurrent"}, "layer-norm"),
        ({"network": "diffusion"}, "diffusion"),
        ({"network": "style", "batch": "1"}, "style"),
        ({"network": "gan", "batch": "16"}, "generator"),
        ({"network": "gan", "what": "weights"}, "spectral-norm"),
        ({"network": "recurrent", "what": "weights"}, "weight-norm"),
        ({"network": "attention", "start": "tuned"}, "keep"),
    ],
)
def test_the_answers_that_the_book_gives_elsewhere(choice, first):
    choice = {"what": "activations", "start": "scratch"} | choice
    assert choose.fitting(choose.ADVICE, choice)[0].name == first


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("group-norm", "Wu & He 2018", "Wu & Johnson 2021"),
        ("pre-norm", "Xiong et al. 2020", "Takase et al. 2022"),
        ("rms-norm", "Zhang & Sennrich 2019", "Xu et al. 2019"),
        ("spectral-outside", "spectral_generalizes", "Yoshida & Miyato 2017"),
        ("weight-norm", "Salimans & Kingma 2016", "Gitman & Ginsburg 2017"),
    ],
)
def test_where_the_literature_disagrees_both_are_named(name, one, other):
    (advice,) = (advice for advice in choose.ADVICE if advice.name == name)
    assert one in {*advice.papers, *advice.claims}
    assert other in {paper for against in advice.against for paper in against.papers}


def test_what_the_advice_says_was_measured_was_measured(verdicts):
    """Its words follow these verdicts: where one changes, the advice must be read again."""
    for claim, begins in {
        "keep_the_original": "Holds only for keeping it over layer norm and keeping it over none",
        "recurrent_batch_norm": "Holds only for one for all steps",
        "right_for_sequences": "Does not hold here for transformers; not shown for RNNs",
        "scale_starts_at_one": "Holds only for γ of 0.1 and γ of 10",
        "rms_as_good": "Holds",
        "warm_up": "Holds",
        "spectral_generalizes": "Does not hold here",
        "power_iteration_accurate": "Does not hold here",
        "switchable_costs": "Holds",
        "switchable_robust": "Holds only for instance norm",
        "rms_less_memory": "Holds only for our modules",
        "wn_faster_than_bn": "Does not hold here",
    }.items():
        assert verdicts[claim].startswith(begins), claim


def test_every_claim_of_the_page_has_a_verdict(verdicts):
    used = {*choose.ADVISED}
    for advice in choose.ADVICE:
        used |= {*advice.claims, *(c for one in advice.against for c in one.claims)}
    assert not {name for name in used if verdicts[name] == UNKNOWN}


def test_the_table_has_what_the_introductions_say(verdicts):
    table = choose.Advised(verdicts)
    assert all(said_by(name) for name in choose.ADVISED)
    assert [*table.column("What was measured").values()] == [
        verdicts[name] for name in choose.ADVISED
    ]
    assert all(len(title) <= 24 for title in choose.ADVISED.values())  # it stays on a phone
    html = table._repr_html_()
    assert 'href="../practice/advice.ipynb#claim-placement"' in html
    assert "“The 5 Normalization Techniques”" in html


def test_text_outputs_name_claims_and_no_verdicts(verdicts):
    for shown in choose.Guide(verdicts), choose.Advised(verdicts):
        assert "Holds" not in repr(shown)
        assert "Holds" in shown._repr_html_()
        assert "small_batches" in repr(shown)


def test_the_page_links_to_choices():
    text = "\n".join(c.source for c in nbformat.read(PAGE, 4).cells if c.cell_type == "markdown")
    linked = [dict(parse_qsl(link)) for link in re.findall(r'href="#([^"]+)"', text)]
    linked = [{name.removeprefix("amp;"): key for name, key in one.items()} for one in linked]
    assert linked == list(choose.EXAMPLES)
    assert all(settled(choice) == choice for choice in choose.EXAMPLES)


# --- what to write ---

LINES = [
    pytest.param(framework, name, line, id=f"{framework}-{name}")
    for name, lines in choose.LINES.items()
    for framework, line in lines.items()
]


def test_each_technique_has_a_line_for_each_framework():
    for lines in choose.LINES.values():
        assert list(lines) == list(choose.FRAMEWORKS) == list(choose.QUESTIONS["framework"].options)


@pytest.mark.parametrize(("framework", "name", "line"), LINES)
def test_a_line_works_and_its_defaults_are_those_of_the_framework(framework, name, line):
    pytest.importorskip(framework)
    if not line.code:
        assert line.note
        return
    made = eval(line.code, scope(framework))
    layer = made[0] if isinstance(made, tuple) else made
    for key in ("eps", "epsilon"):
        if line.eps is not None and hasattr(layer, key):
            assert getattr(layer, key) == pytest.approx(line.eps)
            break
    else:
        assert line.eps is None
    assert line.momentum is None or layer.momentum == pytest.approx(line.momentum)


def scope(framework):
    """C, and a layer whose weights can be normalized, in the names that the lines use."""
    names = {"C": 64}
    exec(choose.FRAMEWORKS[framework], names)
    if framework == "torch":
        names["layer"] = names["nn"].Linear(4, 4)
    if framework == "keras":
        names["layer"] = names["layers"].Dense(4)
    if framework == "flax":
        names["rngs"] = names["nnx"].Rngs(0)
        names["layer"] = names["nnx"].Linear(4, 4, rngs=names["rngs"])
    if framework == "equinox":
        import jax

        names["key"] = jax.random.key(0)
        names["layer"] = names["eqx"].nn.Linear(4, 4, key=names["key"])
    return names


@pytest.mark.parametrize("code", OURS.values())
def test_the_lines_of_the_course_work(code):
    import numpy as np

    import normcourse.nn
    import normcourse.preprocessing

    made = eval(code, {"normcourse": normcourse, "C": 64, "x_train": np.eye(3)})
    assert not inspect.isclass(made)
