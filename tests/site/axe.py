"""What axe-core says of a page."""

from axe_playwright_python.sync_playwright import Axe

RUN = """([context, options]) => axe.run(context ?? document, options).then(({ violations }) =>
  violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 200)}`)))"""


def in_both_themes(page, context=None):
    """What axe-core objects to in the light theme, then in the dark one."""
    found = {}
    for theme in ("light", "dark"):
        page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
        found[theme] = violations(page, context)
    return {theme: lines for theme, lines in found.items() if lines}


def violations(page, context=None, unfold=False, **options):
    """What axe-core objects to, one line each; if told so, with everything on the page unfolded."""
    if unfold:
        page.evaluate("document.querySelectorAll('details').forEach((box) => (box.open = true))")
    if not page.evaluate("'axe' in window"):
        page.evaluate(Axe().axe_script)
    # Preloading would ask for style sheets.
    options |= {"resultTypes": ["violations"], "preload": False}
    return page.evaluate(RUN, [context, options])
