"""Three sick networks, what may cure them, and what the doctor says of each."""

from normcourse.palette import ACCENT, RAW
from normcourse.widgets import Choice, Lines, Note, Playground, Table

__all__ = ["PATIENTS", "TREATMENTS", "picture", "playground"]

PATIENTS = {"an average of weights": "average", "a frozen body": "frozen"}
PATIENTS |= {"a port from Keras": "port"}
TREATMENTS = {
    "none": (),
    "eval()": ("eval",),
    "renew the statistics": ("renewed",),
    "eval() and renew": ("eval", "renewed"),
    "layer norm instead": ("layer norm",),
    "momentum and ε of Keras": ("converted",),
}
DONE = {
    "none": "Nothing is done.",
    "eval()": "What is in use, or frozen, is in eval() mode.",
    "renew the statistics": "One pass over the digits before each look.",
    "eval() and renew": "A pass over the digits before each look, and eval() in use.",
    "layer norm instead": "Layer norm from the beginning.",
    "momentum and ε of Keras": "momentum = 0.01 and ε = 0.001 in each batch norm.",
}
CHECKS = (
    *("never_updated", "forgotten_eval", "frozen_by_requires_grad", "far_statistics"),
    *("momentum", "epsilon_of_origin", "bias_before_norm"),
)


def picture(doctor, patient, treatment):
    """The accuracy without and with a treatment, and the findings of both."""
    from normcourse.lab import doctor_cases

    name = PATIENTS[patient]
    drawn = [doctor_cases.case(name), doctor_cases.case(name, *TREATMENTS[treatment])]
    found = [_severities(one.report(doctor)) for one in drawn]
    rows = {c.replace("_", " "): [one.get(c, "–") for one in found] for c in CHECKS}
    before, after = (f"{one.read[-1]:.0%}".replace("%", " %") for one in drawn)
    left = [c for c, severity in found[1].items() if severity != "note"]
    still = f"still names {', '.join(left)}" if left else "has no warning left"
    still = still.replace("_", " ")
    return [
        Lines(
            "Test accuracy, as it is used",
            {"as it came": drawn[0].read, "treated": drawn[1].read},
            (0, 1),
            "steps of training",
            "accuracy",
            6,
            120,
            log=False,
            colours={"as it came": RAW},
        ),
        Table("What the doctor says", ["as it came", "treated"], rows),
        Note(
            f"{DONE[treatment]} In the end it reads {before} as it came, {after} treated. "
            f"The doctor {still}."
        ),
    ]


def _severities(report):
    """{check: its severity}, and a check that has no row is not left out in silence."""
    found = {finding.check: finding.severity for finding in report.findings}
    missing = found.keys() - set(CHECKS)
    assert not missing, f"the table has no row for {', '.join(missing)}"
    return found


def playground():
    """Patient x treatment, examined by ``normcourse.doctor``."""
    from normcourse.doctor import examine

    return Playground(
        "doctor",
        "Three patients, six treatments",
        [
            Choice("patient", "Patient", tuple(PATIENTS)),
            Choice("treatment", "Treatment", tuple(TREATMENTS), "eval()"),
        ],
        picture,
        examine,
        accent=ACCENT["batch_norm"],
        height=800,
    )
