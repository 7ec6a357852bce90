"""The playgrounds of the chapters: which controls, which picture, which function of the course."""

from normcourse.lab.playgrounds import axes, batch_norm, geometry, rescaling, why_normalize

__all__ = ["PLAYGROUNDS"]

PLAYGROUNDS = {
    "axes": axes.playground,
    "why_normalize": why_normalize.playground,
    "step_size": why_normalize.step_size,
    "rescaling": rescaling.playground,
    "batch_norm": batch_norm.playground,
    "batch_norm_walkthrough": batch_norm.walkthrough,
    "geometry_batch_norm": geometry.playground,
}
