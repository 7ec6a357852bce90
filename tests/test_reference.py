"""The reference: it holds every public name, and each docstring says what a caller must know."""

import inspect
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from normcourse_api import PACKAGES, PARTS, STAND_INS, TITLES, arguments, find, public_names

# With the real torch, before it is stood in.
from normcourse import carry, doctor, nn, preprocessing  # noqa: F401
from normcourse.palette import ACCENT

ROOT = Path(__file__).parents[1]
PAGES = ("functions", "estimators", "modules", "tools")
FILES = {name: file for p in PACKAGES for file, names in public_names(p).items() for name in names}


def is_forward(name):
    """Whether this function is a technique: it has the name of its file."""
    return name.rpartition(".")[2] == FILES.get(name)


def is_tool(name):
    """Whether it works on networks, and is none of the techniques."""
    return name.startswith(("normcourse.carry.", "normcourse.doctor."))


FUNCTIONS = [name for name in FILES if not inspect.isclass(find(name))]
TECHNIQUES = [
    name
    for name in FILES
    if (inspect.isclass(find(name)) or is_forward(name)) and not is_tool(name)
]
FORMULAS = [n for n in FUNCTIONS if is_forward(n.removesuffix("_backward")) and not is_tool(n)]
CALLED = [name for name in FILES if not (is_tool(name) and inspect.isclass(find(name)))]
each_name = pytest.mark.parametrize("name", FILES)


def section(name, title):
    """The lines of a section of a docstring, such as Args."""
    doc = inspect.getdoc(find(name)) or ""
    found = re.search(rf"^{title}:\n((?:[ ]+.*\n|\n)*)", doc + "\n", re.MULTILINE)
    return found[1] if found else ""


# ---- docstrings ------------------------------------------------------------------------------


@each_name
def test_begins_with_one_sentence(name):
    first, *rest = inspect.getdoc(find(name)).split("\n")
    assert first.endswith((".", ":"))
    assert not rest or rest[0] == ""


@each_name
def test_explains_every_parameter(name):
    entries = re.findall(r"^    ([*\w][*\w, ]*)(?: \(.*\))?:", section(name, "Args"), re.MULTILINE)
    explained = [word.strip("* ") for entry in entries for word in entry.split(",")]
    assert sorted(explained) == sorted(inspect.signature(find(name)).parameters)


INHERITED = [
    name
    for name in FILES
    if inspect.isclass(find(name)) and not find(name).__init__.__module__.startswith("normcourse")
]


@pytest.mark.parametrize("name", INHERITED)
def test_says_which_arguments_an_inherited_constructor_has(name):
    """The reference is made without torch: its signatures come from the docstrings."""
    parameters = inspect.signature(find(name)).parameters.values()
    assert [
        (argument, kind.partition("= ")[2], by_name)
        for argument, (kind, by_name) in arguments(find(name)).items()
    ] == [
        (
            p.name,
            "" if p.default is p.empty else str(p.default),
            p.kind is p.KEYWORD_ONLY,
        )
        for p in parameters
    ]


@pytest.mark.parametrize("name", CALLED)
def test_names_its_errors(name):
    assert re.search(r"^    \w+Error", section(name, "Raises"), re.MULTILINE)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_says_what_it_returns(name):
    assert section(name, "Returns")


@pytest.mark.parametrize("name", TECHNIQUES)
def test_names_its_source(name):
    assert re.search(r"^Source: \S+", inspect.getdoc(find(name)), re.MULTILINE)


@pytest.mark.parametrize("name", FORMULAS)
def test_has_a_formula(name):
    assert ".. math::" in inspect.getdoc(find(name))


# ---- pages -----------------------------------------------------------------------------------


def test_every_file_has_a_place():
    missing = set(FILES.values()) - set(TITLES)
    assert not missing, f"add to PARTS in book/extensions/normcourse_api.py: {missing}"


def test_order_is_that_of_the_course():
    assert [file for file in TITLES if file in ACCENT] == list(ACCENT)


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The pages as they are built where torch and scikit-learn cannot be imported."""
    book = tmp_path_factory.mktemp("book")
    shutil.copy(ROOT / "_config.yml", book)
    for folder in ("assets", "extensions", "reference"):
        shutil.copytree(ROOT / "book" / folder, book / "book" / folder)
    linked = ("activations/batch_norm", "practice/doctor", "practice/frameworks")
    for page in linked:
        file = book / "book" / f"{page}.md"
        file.parent.mkdir(exist_ok=True)
        file.write_text("# Another page\n")
    root, *pages = [f"book/{page}" for page in linked] + [f"book/reference/{p}" for p in PAGES]
    toc = {"format": "jb-book", "root": root, "chapters": [{"file": page} for page in pages]}
    (book / "_toc.yml").write_text(yaml.safe_dump(toc))
    for package in STAND_INS:
        (book / package).mkdir()
        code = f"raise ImportError('the site needs no {package}')\n"
        (book / package / "__init__.py").write_text(code)
    subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "--keep-going"],
        cwd=book,
        env=os.environ | {"PYTHONPATH": f"{book}{os.pathsep}{ROOT}"},
        check=True,
    )
    html = (book / "_build/html/book/reference" / f"{page}.html" for page in PAGES)
    return [BeautifulSoup(page.read_bytes(), "html.parser") for page in html]


def test_shows_every_public_name_once(reference):
    shown = [entry["id"] for page in reference for entry in page.select("dl.py > dt[id]")]
    top = [name for name in shown if name in FILES]
    assert sorted(top) == sorted(FILES)


def test_parts_follow_the_course(reference):
    for page in reference:
        parts = [heading.find(string=True) for heading in page.select("article h2")]
        assert parts == [part for part in PARTS if part in parts]


@pytest.mark.parametrize(
    ("name", "signature"),
    [
        (
            "normcourse.batch_norm",
            "batch_norm(x: Array, weight: Array | None = None, bias: Array | None = None, "
            "eps: float = 1e-05) → Array",
        ),
        (
            "normcourse.nn.GroupNorm",
            "GroupNorm(num_groups: int, num_channels: int, eps: float = 1e-05, "
            "affine: bool = True, device = None, dtype = None, *, bias: bool = True)",
        ),
        ("normcourse.nn.GroupNorm.forward", "forward(input: Tensor) → Tensor"),
        (
            "normcourse.preprocessing.StandardScaler",
            "StandardScaler(*, copy: bool = True, with_mean: bool = True, with_std: bool = True)",
        ),
        (
            "normcourse.preprocessing.MinMaxScaler",
            "MinMaxScaler(feature_range: tuple[float, float] = (0, 1), *, copy: bool = True, "
            "clip: bool = False)",
        ),
        (
            "normcourse.preprocessing.StandardScaler.fit",
            "fit(X: Any, y: Any = None, sample_weight: Any = None) → Self",
        ),
    ],
)
def test_shows_signatures_with_types_and_defaults(reference, name, signature):
    entry = next(e for page in reference for e in page.find_all(id=name))
    for link in entry.select(".headerlink, .viewcode-link"):
        link.decompose()
    text = " ".join(entry.get_text(" ").split())
    without_spaces = text[text.index(name.rpartition(".")[2]) :].replace(" ", "").replace(",)", ")")
    assert without_spaces == signature.replace(" ", "")


def test_leads_to_chapter_paper_and_source(reference):
    functions, estimators, modules, _ = reference
    for page, entry in (functions, "batch_norm"), (modules, "nn.BatchNorm1d"):
        links = {link["href"] for link in page.select("section#batch-norm a[href]")}
        assert "../activations/batch_norm.html" in links
        assert "https://arxiv.org/abs/1502.03167" in links
        assert any("_modules/normcourse/" in link and "#" in link for link in links), entry
    assert functions.select("section#batch-norm > p a[href$='#normcourse.nn.BatchNorm2d']")
    assert modules.select("section#batch-norm > p a[href$='#normcourse.batch_norm']")
    scaler, function = "preprocessing.StandardScaler", "standard_scale"
    assert functions.select(f"section#rescaling > p a[href$='#normcourse.{scaler}']")
    assert estimators.select(f"section#rescaling > p a[href$='#normcourse.{function}']")
