// Tables with the class nc-table can be sorted by a column and filtered by what is typed. Rows are
// sorted by data-order of a cell, or by its text; an empty data-order comes last, either way.

for (const table of document.querySelectorAll("table.nc-table")) {
  if (table.tHead && table.tBodies.length === 1) enhance(table);
}

function enhance(table) {
  const [body] = table.tBodies;
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const box = boxOf(table);

  const tools = element("div", "nc-table-tools");
  const label = tools.appendChild(element("label", "", "Filter rows "));
  const field = label.appendChild(element("input"));
  field.type = "search";
  const status = tools.appendChild(element("span"));
  status.setAttribute("role", "status");
  box.before(tools);

  function filter() {
    const words = field.value.toLowerCase().split(/\s+/);
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
    }
    const shown = rows.filter((row) => !row.hidden).length;
    status.textContent = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  }
  field.addEventListener("input", filter);
  filter();

  function sort(column) {
    const head = heads[column];
    const next = { ascending: "descending", descending: null }[head.ariaSort];
    const order = next === undefined ? "ascending" : next;
    for (const other of heads) other.removeAttribute("aria-sort");
    if (order) head.setAttribute("aria-sort", order);
    const sign = order === "descending" ? -1 : 1;
    const sorted = order ? rows.toSorted((a, b) => compare(a.cells[column], b.cells[column], sign)) : rows;
    body.append(...sorted); // unsorted: as they were
  }
  heads.forEach((head, column) => {
    const button = element("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
}

function compare(a, b, sign) {
  const [one, other] = [a, b].map((cell) => cell.dataset.order ?? cell.textContent.trim());
  if (!one || !other) return Boolean(other) - Boolean(one);
  const difference = a.dataset.order && b.dataset.order ? one - other : one.localeCompare(other, "en");
  return sign * difference;
}

// The box in which a wide table scrolls, made where the page has none.
function boxOf(table) {
  const there = table.closest(".nc-table-box");
  if (there) return there;
  const box = element("div", "nc-table-box");
  box.tabIndex = 0;
  box.setAttribute("role", "region");
  box.setAttribute("aria-label", table.caption?.textContent.trim() || "Table");
  table.before(box);
  box.append(table);
  return box;
}

function element(tag, name = "", text = "") {
  const made = document.createElement(tag);
  if (name) made.className = name;
  made.append(text);
  return made;
}
