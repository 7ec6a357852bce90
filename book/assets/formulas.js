// A formula that is wider than its column scrolls; the keyboard must reach it to do so.

function reach() {
  for (const formula of document.querySelectorAll('mjx-container[display="true"]')) {
    if (formula.scrollWidth > formula.clientWidth) formula.setAttribute("tabindex", "0");
    else formula.removeAttribute("tabindex");
  }
}

addEventListener("load", () => window.MathJax?.startup?.promise?.then(reach));
addEventListener("resize", reach);
