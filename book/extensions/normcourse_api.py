"""The reference: every public name of normcourse, from its docstring.

A page asks for packages and gets what their ``__all__`` has, constants
aside, in the order of the course: ``.. normcourse-api:: normcourse``. The
package is imported for this, but torch and scikit-learn are not: the site
is built without them, and something stands in for them.
"""

import inspect
import re
import sys
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import desc_signature
from sphinx.util.docutils import SphinxDirective

# The parts of a page, and in them the files of the package.
PARTS = {
    "Rescaling data": {"rescaling": "Rescaling data"},
    "Activations": {
        "batch_norm": "Batch normalization",
        "sync_batch_norm": "Synchronized batch normalization",
        "layer_norm": "Layer normalization",
        "instance_norm": "Instance normalization",
        "group_norm": "Group normalization",
        "rms_norm": "RMS normalization",
    },
    "Weights": {
        "weight_norm": "Weight normalization",
        "spectral_norm": "Spectral normalization",
        "parametrizations": "Parametrizations",
        "operator_norm": "The norm of a convolution",
    },
    "Neighbours and mixtures": {
        "divisive_norm": "Divisive normalization",
        "switchable_norm": "Switchable normalization",
    },
    "Building blocks": {"core": "Building blocks"},
    "The doctor": {
        "examine": "Examine a model",
        "porting": "Compare two models",
        "report": "Reports",
    },
    "Four frameworks": {"carry": "Four frameworks"},
}
TITLES = {
    file: title for part in PARTS.values() for file, title in part.items()
}
PACKAGES = (
    "normcourse",
    "normcourse.preprocessing",
    "normcourse.nn",
    "normcourse.nn.utils",
    "normcourse.doctor",
    "normcourse.carry",
)
TECHNIQUE = {"preprocessing": "rescaling"}  # of a file with another name
STAND_INS = ("torch", "sklearn", "scipy")
HIDDEN = {"extra_repr"}  # for torch, not for the reader
SIGNATURE = re.compile('<dt class="sig .*?</dt>', re.DOTALL)
LIST_TAG = re.compile("<(/?)(dl|dd)>")
SPANS = {"dl": "", "dd": ' class="nc-parameter"'}
ARXIV = re.compile(r"\barXiv:(\d{4}\.\d{4,5})")


def setup(app):
    for extension in ("autodoc", "napoleon", "viewcode"):
        app.setup_extension(f"sphinx.ext.{extension}")
    app.add_directive("normcourse-api", Reference)
    app.add_node(Technique, html=(visit_technique, depart_technique))
    app.connect("config-inited", configure)
    # Napoleon makes fields of an entry's sections between these two.
    on_docstring = "autodoc-process-docstring"
    app.connect(on_docstring, shorten_twin, priority=400)
    app.connect(on_docstring, adapt_docstring, priority=600)
    app.connect("autodoc-process-signature", signature_from_docstring)
    app.connect("object-description-transform", keep_contents_short)
    app.connect("html-page-context", adapt_signatures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def configure(app, config):
    config.autodoc_typehints_format = "short"
    config.napoleon_use_param = False
    config.napoleon_use_rtype = False
    config.napoleon_custom_sections = [("Attributes", "params_style")]
    config.python_maximum_signature_line_length = 88
    config.toc_object_entries_show_parents = "hide"


# ---- what is public, in the order of the course -------------------------


@cache
def public_names(package):
    """``{file: [full name, ...]}`` of all that a package makes public."""
    with stand_ins():
        module = import_module(package)
    files = {}
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.ismodule(value):
            files |= public_names(f"{package}.{name}")
        elif hasattr(value, "__module__"):
            file = value.__module__.rsplit(".", 1)[-1]
            file = TECHNIQUE.get(file, file)
            files.setdefault(file, []).append(f"{package}.{name}")
    for names in files.values():
        names.sort(key=lambda name: line_of(find(name)))
    return files


def find(name):
    package, name = name.rsplit(".", 1)
    return getattr(sys.modules[package], name)


def line_of(value):
    value = inspect.unwrap(getattr(value, "__func__", value))
    return inspect.getsourcelines(value)[1]


def methods(cls):
    """The public methods of a class, the ones of its base first."""
    found = {}
    for base in reversed(cls.__mro__):
        if base.__module__.startswith("normcourse."):
            own = {
                name: value
                for name, value in vars(base).items()
                if callable(getattr(value, "__func__", value))
                and not name.startswith("_")
            }
            for name in sorted(own, key=lambda name: line_of(own[name])):
                found.setdefault(name)
    return [name for name in found if name not in HIDDEN]


# ---- the page -----------------------------------------------------------


class Reference(SphinxDirective):
    """All public names of packages, with a section for each file."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        files = {}
        for package in self.arguments[0].split():
            files |= public_names(package)
        sections = []
        for part, titles in PARTS.items():
            techniques = [
                self.technique(file, files[file])
                for file in titles
                if file in files
            ]
            if len(titles) == 1 or not techniques:
                sections += techniques
            else:
                section = nodes.section(ids=[nodes.make_id(part)])
                section += [nodes.title(part, part), *techniques]
                sections.append(section)
        return sections

    def technique(self, file, names):
        title = TITLES[file]
        section = Technique(ids=[nodes.make_id(file)], names=[file])
        section += nodes.title(title, title)
        links, _ = self.state.inline_text(
            self.links(file, names), self.lineno
        )
        if links:
            section += nodes.paragraph(
                "", "", *links, classes=["nc-api-links"]
            )
        lines = [*introduction(file, names)]
        for name in names:
            lines += [*entry(name), ""]
        content = StringList(lines, source=f"normcourse/{file}.py")
        self.state.nested_parse(content, 0, section)
        return section

    def links(self, file, names):
        """Where else the technique is: chapter, exercise, other page."""
        pages = [
            (doc.startswith("book/exercises/"), doc)
            for doc in self.env.found_docs
            if doc.endswith(f"/{file}")
        ]
        links = [
            f":doc:`{'Exercise' if is_exercise else 'Chapter'} </{doc}>`"
            for is_exercise, doc in sorted(pages)
        ]
        links += [
            f":obj:`~{other}`"
            for package in PACKAGES
            for other in public_names(package).get(file, ())
            if other not in names and not other.endswith("_backward")
        ]
        return " · ".join(links)


def introduction(file, names):
    """What a file of functions says of itself, without its formula."""
    module = sys.modules[find(names[0]).__module__]
    _, *paragraphs = inspect.getdoc(module).split("\n\n")
    for paragraph in paragraphs:
        if not paragraph.startswith(".. math::"):
            yield from [*paragraph.splitlines(), ""]


def entry(name):
    value = find(name)
    if not inspect.isclass(value):
        return [f".. autofunction:: {name}"]
    shown = [] if twin_of(name) else methods(value)
    members = [f"   .. automethod:: {method}" for method in shown]
    return [f".. autoclass:: {name}", "", *members]


def twin_of(name):
    """The class before this one, if only the first line differs."""
    package = name.rsplit(".", 1)[0]
    for first, *others in public_names(package).values():
        if name in others and rest(first) == rest(name) != "":
            return first
    return None


def rest(name):
    return (find(name).__doc__ or "").partition("\n")[2]


class Technique(nodes.section):
    """A section in the colour of its technique."""


def visit_technique(self, node):
    self.section_level += 1
    colour = {"data-technique": node["names"][0]}
    self.body.append(self.starttag(node, "section", **colour))


def depart_technique(self, node):
    self.section_level -= 1
    self.body.append("</section>\n")


# ---- the text of an entry -----------------------------------------------


def shorten_twin(app, what, name, value, options, lines):
    """Refer to the class before where only the first line differs."""
    twin = what == "class" and twin_of(name)
    if twin:
        lines[1:] = ["", f"All else is as in :class:`~{twin}`."]


def adapt_docstring(app, what, name, value, options, lines):
    """Set the source as a field like the others, with a link."""
    text = "\n".join(lines)
    source = re.search(r"^Source: (.*(?:\n\S.*)*)", text, re.MULTILINE)
    if source:
        field = ":Source: " + source[1].replace("\n", "\n    ")
        text = text[: source.start()] + field + text[source.end() :]
    link = r"`arXiv:\1 <https://arxiv.org/abs/\1>`__"
    lines[:] = ARXIV.sub(link, text).split("\n")


def arguments(cls):
    """``{name: (its type and default, only by name?)}`` as Args has it."""
    section = re.search(
        r"Args:\n((?: {4}.*\n)*)", inspect.getdoc(cls) + "\n"
    )
    entries = re.findall(
        r"^ {4}(\w[\w, ]*) \((.*)\):", section[1], re.MULTILINE
    )
    return {
        name: (kind.removesuffix(", by name"), kind.endswith(", by name"))
        for names, kind in entries
        for name in names.split(", ")
    }


def signature_from_docstring(app, what, name, value, options, *signature):
    """A constructor inherited from torch, which is not there."""
    own = (
        [c for c in value.__mro__ if "__init__" in vars(c)]
        if what == "class"
        else []
    )
    if not own or own[0].__module__.startswith("normcourse."):
        return None
    parameters = []
    for argument, (kind, by_name) in arguments(value).items():
        if by_name and "*" not in parameters:
            parameters.append("*")
        colon = " " if kind.startswith("=") else ": "
        parameters.append(f"{argument}{colon}{kind}".replace(" =", " ="))
    return f"({', '.join(parameters)})", None


def keep_contents_short(app, domain, kind, content):
    """No methods in the table of contents."""
    if kind == "method":
        for signature in content.parent.findall(desc_signature):
            signature["_toc_name"] = ""


def adapt_signatures(app, pagename, templatename, context, doctree):
    """Parameters in spans: a list of definitions needs terms."""
    context["body"] = SIGNATURE.sub(
        lambda entry: LIST_TAG.sub(
            lambda tag: f"<{tag[1]}span{SPANS[tag[2]] * (not tag[1])}>",
            entry[0],
        ),
        context.get("body", ""),
    )


# ---- without torch and scikit-learn -------------------------------------


@contextmanager
def stand_ins():
    """Import modules of the course as if all it uses were there."""
    finder = StandInFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in finder.made:
            sys.modules.pop(name, None)


class StandInFinder(MetaPathFinder, Loader):
    """Finds the packages of STAND_INS, with anything inside."""

    def __init__(self):
        self.made = []

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in STAND_INS:
            return ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        self.made.append(spec.name)
        module = ModuleType(spec.name)
        module.__getattr__ = lambda name: stand_in(spec.name, name)
        return module

    def exec_module(self, module):
        pass


class Anything(type):
    """A class with any attribute, to derive from or decorate with."""

    def __getattr__(cls, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return stand_in(f"{cls.__module__}.{cls.__name__}", name)

    def __call__(cls, *arguments, **settings):
        function = [a for a in arguments if inspect.isfunction(a)]
        return function[0] if function else cls

    @property
    def __signature__(cls):
        signature = inspect.signature(cls.__init__)
        _, *parameters = signature.parameters.values()
        return signature.replace(parameters=parameters)


def stand_in(module, name):
    if name.startswith("__"):
        raise AttributeError(name)
    return Anything(name, (), {"__module__": module})
