"""The package's own source, shown in a chapter: what is read is what is tested."""

import inspect

__all__ = ["show_source"]


class show_source:
    """Display the source of functions, classes or modules, highlighted."""

    def __init__(self, *objects):
        self.source = "\n\n".join(inspect.getsource(o).rstrip() for o in objects)

    def __repr__(self):
        return self.source

    def _repr_markdown_(self):
        return f"```python\n{self.source}\n```"
