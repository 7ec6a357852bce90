"""What axe-core says of a page."""

from axe_playwright_python.sync_playwright import Axe


def violations(page, context=None, unfold=False, **options):
    """What axe-core objects to, one line each; if told so, with everything on the page unfolded."""
    if unfold:
        page.evaluate("document.querySelectorAll('details').forEach((box) => (box.open = true))")
    # Preloading would ask for style sheets.
    options |= {"resultTypes": ["violations"], "preload": False}
    found = Axe().run(page, context, options).response["violations"]
    return [f"{v['id']}: {node['html'][:200]}" for v in found for node in v["nodes"]]
