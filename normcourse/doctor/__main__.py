"""``python -m normcourse.doctor module:factory --batch file``: a report in the terminal or as JSON.

``--checks`` lists what is looked for, each with its severity, public threads and page.

The exit status is 0 where nothing was found (or notes only), 1 for a warning, 2 for something
severe or a model that raises, and 3 where the model or a file cannot be had.
"""

import argparse
import importlib
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from normcourse.doctor.checks.record import CHECKS, ORIGINS
from normcourse.doctor.examine import examine
from normcourse.doctor.report import SEVERITIES

__all__ = ["main"]

UNUSABLE = 3


def main(argv: Sequence[str] | None = None) -> int:
    """Examine what a factory returns, print the report, and return the exit status.

    Args:
        argv: the arguments of the command; None for those it was called with.
    """
    parser = _parser()
    options = parser.parse_args(argv)
    if options.checks:
        print(_checks(options.json))
        return 0
    if options.factory is None:
        parser.error("the following arguments are required: factory")
    try:
        model, named = _made(options.factory)
        if options.batch:
            named["batch"] = _read(options.batch)
        if options.checkpoint:
            named["checkpoint"] = _read(options.checkpoint)
    except Exception as error:
        print(f"normcourse.doctor: {error}", file=sys.stderr)
        return UNUSABLE
    report = examine(
        model,
        **named,
        origin=options.origin,
        checks=options.check,
        time_limit=options.time_limit,
        progress=False if options.json else None,
    )
    print(report.json() if options.json else report)
    return report.exit_status(options.fail_on)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m normcourse.doctor", description="Look for mistakes in normalization."
    )
    parser.add_argument(
        "factory",
        nargs="?",
        help="module:function without arguments; it returns a model, or a dictionary with "
        "'model' and other arguments of normcourse.doctor",
    )
    parser.add_argument("--batch", help="a .pt, .npy or .npz file; the arrays of .npz are named")
    parser.add_argument("--checkpoint", help="a .pt file with a state dict to be loaded")
    parser.add_argument("--origin", choices=ORIGINS, help="where the weights come from")
    parser.add_argument("--check", action="append", help="this check only; may be repeated")
    parser.add_argument("--checks", action="store_true", help="list the checks, and do no more")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--fail-on", choices=SEVERITIES, default="warning", help="the least that is a failure"
    )
    parser.add_argument("--time-limit", type=float, default=60, help="in seconds; 60")
    return parser


def _checks(as_json: bool) -> str:
    """All checks: severity, what is looked for, what is needed, threads and page."""
    listed = [
        {
            "check": checked.name,
            "severity": checked.severity,
            "about": checked.about,
            "needs": list(checked.needs),
            "threads": list(checked.threads),
            "page": checked.page,
        }
        for checked in CHECKS.values()
    ]
    if as_json:
        return json.dumps(listed, indent=2)
    blocks = []
    for checked in CHECKS.values():
        lines = [f"{checked.name} ({checked.severity})", f"  {checked.about}"]
        if checked.needs:
            lines.append(f"  needs    {', '.join(checked.needs)}")
        lines += [f"  threads  {', '.join(checked.threads)}", f"  page     {checked.page}"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _made(factory: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    """The model of a factory, and what else it returned."""
    module, colon, name = factory.partition(":")
    if not colon or not name:
        raise ValueError(f"the factory must be module:function, got {factory!r}.")
    sys.path.insert(0, os.getcwd())
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    made = found if isinstance(found, torch.nn.Module) else found()
    named = dict(made) if isinstance(made, dict) else {"model": made}
    if not isinstance(named.get("model"), torch.nn.Module):
        raise TypeError(f"{factory} must return a torch.nn.Module, got {type(made).__name__}.")
    return named.pop("model"), named


def _read(file: str) -> Any:
    """What a file holds; of .npz one array, or a dictionary of several."""
    if file.endswith(".npy"):
        return np.load(file)
    if file.endswith(".npz"):
        with np.load(file) as arrays:
            held = {name: arrays[name] for name in arrays.files}
        return next(iter(held.values())) if len(held) == 1 else held
    if file.endswith((".pt", ".pth")):
        return torch.load(file, map_location="cpu", weights_only=True)
    raise ValueError(f"{file} must be a .pt, .npy or .npz file.")


if __name__ == "__main__":
    sys.exit(main())
