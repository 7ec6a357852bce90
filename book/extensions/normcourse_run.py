"""Lets code cells run on the page, in Python for the browser.

- ``make site`` gets the runtime (normcourse/lab/runtime.py); here it is
  copied. A page loads nothing of it before a reader asks.
- Cells say by their tags what they are: ``setup`` runs before the others,
  ``stub`` is where a learner writes, ``check`` judges the stub above it,
  ``scoreboard`` sums up, and ``try`` marks any other cell that may be
  changed and run: it needs NumPy alone, and no cell above that is not
  tagged.
- The digits that an exercise trains on lie beside the runtime. They are
  fetched when a cell asks for them; without them it says what to do.
- Without the runtime an exercise says so, and what else there is; a
  cell to try reads like any other.
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import zipfile
from html import escape
from pathlib import Path

from normcourse.lab import runtime

ROOT = Path(runtime.__file__).parents[2]
CELL = re.compile(r'<div class="cell tag_(setup|stub|try)\b')
# What is imported decides what is packed, not a list that would grow old.
MODULES = """
import sys, normcourse.lab.cells
for name, module in sys.modules.items():
    if name.split(".")[0] == "normcourse":
        print(module.__file__)
"""


def setup(app):
    app.add_config_value(
        "run_runtime", str(Path(sys.prefix, "pyodide")), "html", str
    )
    app.connect("builder-inited", write_runtime)
    app.connect("html-page-context", adapt_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write_runtime(app):
    """Copy the runtime and pack the package.

    Their names change with their content: no cache serves an old one.
    """
    app.run_settings = None
    if app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    target = static / f"pyodide-{runtime.VERSION}"
    shutil.rmtree(target, ignore_errors=True)
    for old in static.glob("normcourse-*.zip"):
        old.unlink()
    source = app.config.run_runtime
    if not source or not runtime.is_complete(source):
        return
    shutil.copytree(source, target)
    package = packed_package()
    name = f"normcourse-{digest(package)}.zip"
    (static / name).write_bytes(package)
    sent = sum(file.sent for file in runtime.FILES.values()) + len(package)
    app.run_settings = {
        "pyodide": f"_static/{target.name}/",
        "package": f"_static/{name}",
        "worker": f"_static/worker.js?v={worker_digest(app)}",
        # For the progress bar: what comes by fetch, unpacked.
        "bytes": sum(
            file.size
            for name, file in runtime.FILES.items()
            if not name.endswith(".js")
        ),
        "megabytes": round(sent / 1e6),
    }
    if runtime.has_digits(source):
        app.run_settings["digits"] = f"_static/{target.name}/digits.csv"


def packed_package():
    """What ``normcourse.lab.cells`` imports of the package, as a zip."""
    command = [sys.executable, "-c", MODULES]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=ROOT
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(map(Path, done.stdout.splitlines())):
            name = file.relative_to(ROOT).as_posix()
            archive.writestr(
                zipfile.ZipInfo(name),
                file.read_bytes(),
                zipfile.ZIP_DEFLATED,
            )
    return buffer.getvalue()


def worker_digest(app):
    folders = (Path(app.confdir, f) for f in app.config.html_static_path)
    found = next(f for f in folders if (f / "worker.js").exists())
    return digest((found / "worker.js").read_bytes())


def digest(content):
    return hashlib.sha256(content).hexdigest()[:12]


def adapt_page(app, pagename, templatename, context, doctree):
    body = context.get("body", "")
    first = CELL.search(body)
    if not first:
        return
    notebook = context["pathto"](f"_sources/{context['sourcename']}", True)
    if app.run_settings is None:
        if first[1] != "try":
            launch = app.config.html_theme_options.get("launch_buttons")
            notice = without_runtime(notebook, launch)
            where = first.start()
            context["body"] = body[:where] + notice + body[where:]
        return
    settings = app.run_settings | {
        "name": pagename.removeprefix("book/"),
        "notebook": notebook,
    }
    for key in {
        "pyodide",
        "package",
        "worker",
        "digits",
    } & settings.keys():
        settings[key] = context["pathto"](settings[key], True)
    script = json.dumps(settings).replace("<", "\\u003c")
    context["body"] = (
        f'{body}<script type="application/json" id="nc-run">'
        f"{script}</script>"
    )
    app.add_js_file("run.js", type="module")
    app.add_css_file("run.css")


def without_runtime(notebook, launch):
    launch = (
        "The rocket above opens this page in Binder or Colab."
        if launch
        else ""
    )
    return f"""<div class="admonition note nc-without-runtime">
<p class="admonition-title">The code of this page cannot run here</p>
<p>This site was built without Python for the browser. {launch}
<a href="{escape(notebook)}" download>Download this page as a notebook</a>
and open it where the course is installed. In the folder of the course,
<code class="literal">make lab</code> opens it in JupyterLab.</p></div>
"""
