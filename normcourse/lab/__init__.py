"""What the chapters use to show and to measure: data, a small network, a figure style, claims.

Nothing is imported until it is asked for: ``from normcourse.lab import data, network, style``.
"""
