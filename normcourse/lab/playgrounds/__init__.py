"""The playgrounds of the chapters: which controls, which picture, which function of the course."""

from functools import partial

from normcourse.lab.playgrounds import (
    axes,
    batch_norm,
    compare,
    divisive_norm,
    doctor,
    frameworks,
    geometry,
    group_norm,
    instance_norm,
    layer_norm,
    rescaling,
    rms_norm,
    sharing,
    spectral_norm,
    switchable_norm,
    walkthrough,
    weight_norm,
    why_normalize,
)

__all__ = ["PLAYGROUNDS"]

PLAYGROUNDS = {
    "axes": axes.playground,
    "why_normalize": why_normalize.playground,
    "step_size": why_normalize.step_size,
    "rescaling": rescaling.playground,
    "batch_norm": batch_norm.playground,
    "batch_norm_walkthrough": walkthrough.playground,
    "layer_norm_walkthrough": partial(walkthrough.playground, "layer_norm"),
    "group_norm": group_norm.playground,
    "geometry_batch_norm": geometry.playground,
    "layer_norm": layer_norm.playground,
    "geometry_layer_norm": partial(geometry.playground, "layer_norm"),
    "geometry_rms_norm": partial(geometry.playground, "rms_norm"),
    "geometry_weight_norm": partial(geometry.playground, "weight_norm"),
    "instance_norm": instance_norm.playground,
    "rms_norm": rms_norm.playground,
    "weight_norm": weight_norm.playground,
    "sharing_layer_norm": partial(sharing.playground, "layer_norm"),
    "sharing_instance_norm": partial(sharing.playground, "instance_norm"),
    "sharing_group_norm": partial(sharing.playground, "group_norm"),
    "sharing_rms_norm": partial(sharing.playground, "rms_norm"),
    "spectral_norm": spectral_norm.playground,
    "spectral_norm_walkthrough": spectral_norm.walkthrough,
    "divisive_norm": divisive_norm.playground,
    "switchable_norm": switchable_norm.playground,
    "compare": compare.playground,
    "frameworks": frameworks.playground,
    "doctor": doctor.playground,
}
