// Lists and tables. Whatever is put in is text.

/** Replaces a text where it is another one, so that nobody is read the same again. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Names and values. */
export function list(element, values) {
  const names = Object.keys(values);
  if (element.childElementCount !== names.length * 2) {
    const pairs = names.flatMap((name) => [cell("dt", name), cell("dd", "")]);
    element.replaceChildren(...pairs);
  }
  names.forEach((name, n) => say(element.children[2 * n + 1], String(values[name])));
}

/**
 * Rows below a head. Columns have a `head`, which is empty above buttons, a `kind` (`text`, `number`, `code`, `id`), and what to show of a
 * row: its `text`, or a `button` with what it does.
 */
export function table(element, columns, rows) {
  if (!rows.length) return element.replaceChildren();
  const head = document.createElement("thead");
  head.append(line(columns, ({ head, kind }) => Object.assign(cell(head ? "th" : "td", head), { className: kind, scope: "col" })));
  const body = document.createElement("tbody");
  body.append(...rows.map((row) => line(columns, (column) => content(column, row))));
  element.replaceChildren(head, body);
}

function line(columns, make) {
  const row = document.createElement("tr");
  row.append(...columns.map(make));
  return row;
}

function content({ kind, text, button }, row) {
  if (!button) return Object.assign(cell("td", text(row)), { className: kind });
  const { label, about, act } = button(row);
  const pressed = Object.assign(cell("button", label), { type: "button" });
  pressed.setAttribute("aria-label", `${label} ${about}`);
  pressed.addEventListener("click", act);
  const place = document.createElement("td");
  place.append(pressed);
  return place;
}

function cell(tag, text) {
  return Object.assign(document.createElement(tag), { textContent: String(text) });
}
