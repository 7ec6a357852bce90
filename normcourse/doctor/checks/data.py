"""Tables, and the scaler that was fitted on them."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from normcourse.doctor.checks.measure import few
from normcourse.doctor.checks.record import Found, Unchecked, check
from normcourse.doctor.patient import Patient

# What a scaler remembers, and how it follows from rows.
REMEMBERED = {
    "mean_": lambda rows: np.nanmean(rows, 0),
    "var_": lambda rows: np.nanvar(rows, 0),
    "data_min_": lambda rows: np.nanmin(rows, 0),
    "data_max_": lambda rows: np.nanmax(rows, 0),
    "center_": lambda rows: np.nanmedian(rows, 0),
    "max_abs_": lambda rows: np.nanmax(np.abs(rows), 0),
}


@check(
    "warning",
    "What the model sees of the training rows knows of the test rows: the score is too good.",
    "Fit on the training rows only, best inside a Pipeline.",
    "#the-test-set-in-the-scaler",
    "scikit-learn/scikit-learn#17619 aapatel09/handson-unsupervised-learning#3 "
    "intro-stat-learning/ISLP_labs#21",
    "scaler tables",
)
def scaler_saw_test(patient: Patient) -> Iterator[Found]:
    """A scaler whose statistics are those of training and test rows together."""
    if patient.test_table is None:
        raise Unchecked("no table of test data was given")
    train, both = patient.train_table, np.concatenate([patient.train_table, patient.test_table])
    spread = np.nanstd(both, 0) + 1e-12

    def apart(name: str, rows: Any) -> float:
        power = 2 if name == "var_" else 1
        difference = np.abs(getattr(patient.scaler, name) - REMEMBERED[name](rows))
        return float(np.max(difference / spread**power))

    names = [name for name in REMEMBERED if getattr(patient.scaler, name, None) is not None]
    if not names:
        raise Unchecked("the scaler remembers neither mean nor limits")
    if len(getattr(patient.scaler, names[0])) != train.shape[1]:
        raise Unchecked("the scaler has other features than the tables")
    to_train, to_both = (max(apart(n, rows) for n in names) for rows in (train, both))
    if to_both < 1e-6 < to_train:
        measured = f"{to_both:.1g} deviations from the statistics of all {len(both)} rows, "
        measured += f"{few(to_train)} from those of the {len(train)} training rows"
        values = {"from_train": to_train, "from_all": to_both}
        yield Found("scaler", measured, values)


@check(
    "warning",
    "Divided by nearly 0, what is rounding noise in training becomes the largest feature in use.",
    "Drop the feature, or do not scale it.",
    "foundations/rescaling.html#constant-features",
    "scikit-learn/scikit-learn#19527 scikit-learn/scikit-learn#17794 ai2cm/fv3net#639",
    "tables",
)
def constant_features(patient: Patient) -> Iterator[Found]:
    """Features that are constant, or nearly, in the training rows."""
    rows = patient.train_table
    spread, size = np.nanstd(rows, 0), np.nanmax(np.abs(rows), 0)
    # A thousand roundings of float64 in the spread of a sum: constant but for rounding.
    nearly = (spread > 0) & (spread < 1e-12 * size)
    exact = spread == 0
    if patient.test_table is not None:
        exact = exact & (np.nanstd(patient.test_table, 0) == 0) | exact
    for kind, which, severity in (("nearly ", nearly, "warning"), ("", exact, "note")):
        if which.any():
            first = int(which.argmax())
            measured = f"{int(which.sum())} of {which.size} features are {kind}constant; "
            measured += f"deviation {spread[first]:.1g} at a size of {few(size[first])}"
            values = {"features": int(which.sum()), "deviation": float(spread[first])}
            yield Found(f"column {first}", measured, values, severity)


FAR = 1.0  # widths of the training range beyond its end


@check(
    "warning",
    "Scaled by what training saw, it comes out of the interval that the model knows.",
    "Look at units and at the source; clip, or train on such rows.",
    "foundations/rescaling.html#new-data-leave-the-interval",
    "jchen42703/kits19-cnn#22 mlmed/torchxrayvision#90 Priyanshu-byte-coder/devtrack#927",
    "tables",
)
def out_of_range(patient: Patient) -> Iterator[Found]:
    """Test rows far outside the range of the training rows."""
    if patient.test_table is None:
        raise Unchecked("no table of test data was given")
    train, test = patient.train_table, patient.test_table
    low, high = np.nanmin(train, 0), np.nanmax(train, 0)
    width = np.where(high > low, high - low, np.inf)
    beyond = np.nanmax(np.maximum(test - high, low - test), 0) / width
    for column in np.flatnonzero(beyond > FAR)[:20]:
        outside = (test[:, column] < low[column]) | (test[:, column] > high[column])
        measured = f"up to {few(beyond[column])} widths of the training range beyond its end, "
        measured += f"{outside.mean():.0%} of the rows outside"
        values = {"widths": float(beyond[column]), "rows": float(outside.mean())}
        yield Found(f"column {column}", measured, values)
