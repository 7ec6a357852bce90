"""What the site changes about Jupyter Book.

- Nothing comes from another host: MathJax is taken from a package.
- Widgets are drawn by ``book/assets/loader.js``, in room kept for them.
- The first page leads to the landing page, and says that it has no icon:
  else a browser asks for /favicon.ico, which is not there.
- Cards that a cell put out lead from notebooks to their pages.
- Each page takes the accent of its technique from ``normcourse.palette``.
- Launch and repository buttons appear once ``repository.url`` is set in
  ``_config.yml``.
"""

import json
import re
import shutil
from importlib.metadata import distribution
from pathlib import Path

from myst_nb.sphinx_ext import add_global_html_resources

from normcourse.palette import ACCENT

PAGES = {"light": "#fdfcfa", "dark": "#16181d"}  # as in site.css
# What formulas need; MathJax's menu alone would double it.
MATHJAX = [
    "core",
    "input/tex-base",
    "[tex]/ams",
    "output/chtml",  # it asks for its font itself
    "a11y/assistive-mml",
]
UNUSED_SCRIPTS = re.compile(
    "thebe|fontawesome|design-tabs|searchtools|language_data|searchindex"
)
MIME = "application/vnd.jupyter.widget-"
FIGURE = re.compile(r'<img [^>]*src="[^"]*_images/[^"]*\.svg"[^>]*>')
CARD = re.compile(r'(<a class="nc-card" href="[^"#]*)\.ipynb(["#])')
FIRST_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url={page}">
</head>
<body><a href="{page}">{title}</a></body>
</html>
"""
WIDGET_VIEW = re.compile(
    rf'<script type="{re.escape(MIME)}view\+json">(.*?)</script>',
    re.DOTALL,
)


def setup(app):
    app.connect("config-inited", configure)
    app.connect("builder-inited", write_assets)
    app.connect(
        "html-page-context", adapt_page, priority=900
    )  # the last one
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def configure(app, config):
    templates = Path(__file__).with_name("templates")
    config.templates_path.append(str(templates))
    config.mathjax_path = "mathjax/startup.js"
    config.mathjax3_config = {
        "loader": {"load": MATHJAX},
        "tex": {"packages": ["base", "ams"]},
    }
    options = config.html_theme_options
    has_address = bool(options.get("repository_url"))
    options["use_repository_button"] = has_address
    options["use_issues_button"] = has_address
    if not has_address:
        options["launch_buttons"] = {}


def write_assets(app):
    if app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    static.mkdir(parents=True, exist_ok=True)
    first = FIRST_PAGE.format(
        title=app.config.html_title,
        page=app.builder.get_target_uri(app.config.root_doc),
    )
    Path(app.outdir, "index.html").write_text(first, encoding="utf-8")
    (static / "palette.css").write_text(palette_css(), encoding="utf-8")
    app.add_css_file("palette.css")
    app.add_js_file("formulas.js", loading_method="defer")

    # Now, not at the end: a style that is not there yet has no checksum,
    # and all pages would be other ones when they are built again.
    add_global_html_resources(app, None)

    package = distribution("sphinx-mathjax-offline")
    source = package.locate_file("sphinx-mathjax-offline/static/mathjax")
    target = static / "mathjax"
    fonts = "output/chtml/fonts/woff-v2"
    shutil.copytree(source / fonts, target / fonts, dirs_exist_ok=True)
    for component in ("startup", "output/chtml/fonts/tex", *MATHJAX):
        file = component.replace("[tex]", "input/tex/extensions") + ".js"
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source / file, target / file)


def adapt_page(app, pagename, templatename, context, doctree):
    technique = Path(pagename).name
    context["technique"] = technique if technique in ACCENT else ""
    context["without_unused_scripts"] = without_unused_scripts
    if pagename == app.config.root_doc:  # its title is the course's
        context["docstitle"] = ""
    body = context.get("body", "")
    if 'class="nc-table"' in body:  # on this page alone
        app.add_js_file("tables.js", loading_method="defer")
    for part in ("ledger", "choose"):
        if f'class="nc-{part}"' in body:
            app.add_js_file(f"{part}.js", type="module")
            app.add_css_file("practice.css")
    for kind in ("script_files", "css_files"):
        context[kind] = [
            file for file in context[kind] if not is_unused(file)
        ]
    # On a phone a figure keeps a legible size and scrolls in its box.
    context["body"] = FIGURE.sub(
        r'<div class="nc-figure" tabindex="0">\g<0></div>', body
    )
    context["body"] = CARD.sub(r"\1.html\2", context["body"])
    for script in context["script_files"]:
        if script.attributes.get("type") == f"{MIME}state+json":
            state = json.loads(script.attributes["body"])["state"]
            context["body"] = reserve_room(context["body"], state)


def is_unused(file):
    """Whether a script or style sheet serves a feature the book lacks."""
    body = file.attributes.get("body") or ""
    return bool(
        UNUSED_SCRIPTS.search(str(file.filename)) or "THEBE" in body
    )


def without_unused_scripts(html):
    """Drop the unused among the scripts that the theme writes itself."""
    return re.sub(
        "<script[^>]*></script>",
        lambda tag: "" if UNUSED_SCRIPTS.search(tag[0]) else tag[0],
        html,
    )


def reserve_room(body, models):
    """Give each widget its height now: drawing it moves nothing."""

    def reserve(view):
        model = models.get(json.loads(view[1])["model_id"], {"state": {}})
        height = int(model["state"].get("height_hint", 0))
        return (
            f'<div class="nc-widget" style="min-height: {height}px">'
            f"{view[0]}<noscript>This part needs JavaScript."
            "</noscript></div>"
        )

    return WIDGET_VIEW.sub(reserve, body)


def palette_css():
    """Custom properties for the colours of the techniques.

    ``--nc-accent`` is for areas and lines, ``--nc-accent-text`` for text.
    """
    rules = []
    for technique, color in ACCENT.items():
        link = f'.bd-sidenav a[href$="{technique}.html"]'
        rules.append(f"{link} {{ --nc-dot: {color}; }}")
        for theme, page in PAGES.items():
            scope = (
                f'[data-theme="{theme}"] [data-technique="{technique}"]'
            )
            text = legible(color, page)
            rules.append(
                f"html{scope} {{"
                f" --nc-accent: {color}; --nc-accent-text: {text}; }}"
            )
    return "\n".join(rules) + "\n"


def legible(color, page, ratio=5.0):
    """`color`, moved away from `page` until their contrast is `ratio`."""
    target = "#000000" if luminance(page) > 0.5 else "#ffffff"
    mixes = (mix(color, target, step / 50) for step in range(51))
    return next(mixed for mixed in mixes if contrast(mixed, page) >= ratio)


def mix(color, other, share):
    pairs = zip(channels(color), channels(other), strict=True)
    mixed = (round((1 - share) * a + share * b) for a, b in pairs)
    return "#" + bytes(mixed).hex()


def contrast(color, other):
    """Contrast ratio as WCAG 2 defines it."""
    low, high = sorted((luminance(color), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def luminance(color):
    """Relative luminance as WCAG 2 defines it."""
    shares = [channel / 255 for channel in channels(color)]
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in shares
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def channels(color):
    return bytes.fromhex(color.removeprefix("#"))
