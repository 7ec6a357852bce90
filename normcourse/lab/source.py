"""The package's own source, shown in a chapter: what is read is what is tested.

Docstrings and annotations are left out, since the text above says what they say. What is
production's business stands in comments of the source itself.
"""

import ast
import copy
import inspect
import textwrap

__all__ = ["bare", "show_source"]

WIDTH = 75  # of the column


class show_source:
    """Display the source of functions, classes or modules without docstrings and annotations.

    Args:
        objects: what is shown, in this order.
        whole: show docstrings and annotations, too.
    """

    def __init__(self, *objects, whole=False):
        sources = [inspect.getsource(o).rstrip() for o in objects]
        shown = sources if whole else map(bare, sources)
        self.source = "\n\n\n".join(shown)

    def __repr__(self):
        return self.source

    def _repr_markdown_(self):
        return f"```python\n{self.source}\n```"


def bare(source):
    """``source`` without docstrings and annotations; comments and the lines of bodies stay."""
    source = textwrap.dedent(source)
    lines = source.splitlines()
    tree = ast.parse(source)
    changes = []  # (first line, last line, new lines), counted from 1
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            continue
        first = node.body[0]
        if ast.get_docstring(node, clean=False) is not None:
            last = first.end_lineno
            following = node.body[1].lineno if len(node.body) > 1 else last + 1
            # Blank lines behind a docstring go with it.
            while last + 1 < following and not lines[last].strip():
                last += 1
            changes.append(
                (first.lineno, last, [] if len(node.body) > 1 else [" " * first.col_offset + "..."])
            )
        if isinstance(node, ast.FunctionDef):
            changes.append((node.lineno, first.lineno - 1, _header(node)))
    for start, end, new in sorted(changes, reverse=True):
        lines[start - 1 : end] = new
    return "\n".join(lines).rstrip()


def _header(node):
    """The ``def`` line without annotations, broken where it is too long."""
    node = copy.deepcopy(node)
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    for argument in [*every, arguments.vararg, arguments.kwarg]:
        if argument is not None:
            argument.annotation = None
    indent = " " * node.col_offset
    text = f"{indent}def {node.name}({ast.unparse(arguments)}):"
    if len(text) <= WIDTH:
        return [text]
    inner = textwrap.wrap(ast.unparse(arguments), WIDTH - node.col_offset - 4)
    return [f"{indent}def {node.name}(", *(f"{indent}    {line}" for line in inner), f"{indent}):"]
