"""Exercises: write a function, then ``check`` it.

    from normcourse.exercises import check, scoreboard

    check(batch_norm)          # what was tried, the smallest failing input, the mistake, a hint
    scoreboard("batch_norm")   # points so far
    save_points("points.json") # for the site's page of progress
    train_digits(batch_norm, batch_norm_backward)   # where it leads
    train_rescaled(standard_scale, merge_statistics)
    train_weights(weight_norm_init, weight_norm, weight_norm_backward)
    restyle(adaptive_instance_norm)
    train_bounded(spectral_norm_layer, spectral_norm_backward)
    train_divided(signed_divisive_norm, signed_divisive_norm_backward)
    train_switched(switchable_norm, shares_backward, switchable_norm_inference)
    read_digits(scale_pixels, norm_in_training, norm_in_use)    # the capstone's three networks
    port_model(token_norm, first_block)
    export_network(tune_step, average_state, exported)

One exercise is one record (:mod:`~normcourse.exercises.record`), read by ``check`` in a notebook,
by pytest and by ``python -m normcourse.exercises``, which grades a learner's file.
"""

from normcourse.exercises.judge import judge
from normcourse.exercises.record import Exercise, Hint, Mistake, Probe, Steps
from normcourse.exercises.restyle import restyle
from normcourse.exercises.session import EXERCISES, Session, find, register
from normcourse.exercises.symptoms import export_network, port_model, read_digits
from normcourse.exercises.training import (
    train_bounded,
    train_digits,
    train_divided,
    train_rescaled,
    train_switched,
    train_weights,
)

__all__ = [
    "EXERCISES",
    "Exercise",
    "Hint",
    "Mistake",
    "Probe",
    "Steps",
    "check",
    "export_network",
    "find",
    "judge",
    "port_model",
    "read_digits",
    "register",
    "restyle",
    "save_points",
    "scoreboard",
    "train_bounded",
    "train_digits",
    "train_divided",
    "train_rescaled",
    "train_switched",
    "train_weights",
]

_session = Session()
check = _session.check
scoreboard = _session.scoreboard
save_points = _session.save_points
