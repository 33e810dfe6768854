/* Matrices of the lesson as scrollable grids of cells, and the panel that explains the selected cell. */

"use strict";

/* ---- Cells ---- */

const ROW_HEIGHT = 28; // pixels, as in lesson.css
const MARGIN_CELLS = 2; // rows and columns that are drawn beyond those in sight
const PRINTED_ROWS = 12;
const PRINTED_COLUMNS = 10;

/** Set the text and the tint of a cell; the largest number of the matrix has the strongest tint. */
function styleCell(cell, table, value, largest, i, j) {
  const isSum = Boolean(table.sums) && j === table.columns.length - 1;
  const isMasked = table.masked?.(i, j);
  const isInfinite = value === -Infinity;
  cell.textContent = isMasked && !isInfinite ? "" : formatCell(value);
  cell.classList.toggle("sum", isSum);
  if (isMasked) {
    cell.classList.add("hatched");
    cell.classList.toggle("infinite", isInfinite);
    cell.setAttribute("aria-label", isInfinite ? "minus infinity" : "masked");
  } else if (!isSum && value !== 0) {
    cell.classList.add("tinted", value > 0 ? "positive" : "negative");
    cell.style.setProperty("--amount", `${((70 * Math.abs(value)) / largest).toFixed(1)}%`);
  }
  if (table.isOfHead && !table.isOfHead(i, j)) cell.classList.add("other-head");
  if (table.startsHead?.(j)) cell.classList.add("head-edge");
}

/** Return the largest finite absolute value. */
function largestMagnitude(values) {
  const finite = Array.from(values).filter(Number.isFinite);
  return finite.reduce((largest, value) => Math.max(largest, Math.abs(value)), 1e-12);
}

/* ---- Grids ---- */

/** A grid that shows a matrix. Only the cells in sight are in the document, so that 512 x 512 numbers stay fast. */
class Grid {
  /** Add a grid to a figure; `onSelect` is called with the grid when a cell is clicked or Enter is pressed. */
  constructor(figure, table, onSelect) {
    const { rows, columns } = table;
    this.table = table;
    this.onSelect = onSelect;
    this.selected = { i: 0, j: 0 };
    this.hasSelection = false;
    this.caption = figure.querySelector("figcaption");
    const nColumns = columns.length - (table.sums ? 1 : 0);
    this.caption.append(element("span", { class: "shape" }, `${rows.length} × ${nColumns}`));
    const longestName = Math.max(...rows.map((name) => name.length));
    this.nameWidth = Math.min(24 + 8 * longestName, 104);
    this.cellWidth = columns.some((name) => name.length > 4) ? 76 : 56;
    this.columnNames = element("div", { role: "row", class: "column-names", "aria-rowindex": 1 });
    this.cells = element("div", { class: "cells", role: "presentation" }, this.columnNames);
    this.cells.style.width = `${this.nameWidth + this.cellWidth * columns.length}px`;
    this.cells.style.height = `${ROW_HEIGHT * (rows.length + 1)}px`;
    const attributes = {
      class: rows.length > 12 ? "grid tall" : "grid",
      role: "grid",
      tabindex: 0,
      "aria-rowcount": rows.length + 1,
      "aria-colcount": columns.length + 1,
    };
    this.element = element("div", attributes, this.cells);
    this.printed = element("div", { class: "printed" });
    figure.append(this.element, this.printed);
    this.element.addEventListener("scroll", () => requestAnimationFrame(() => this.paint()));
    this.element.addEventListener("click", (event) => this.onClick(event));
    this.element.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.paint()).observe(this.element); // also when its step is shown
  }

  /** Show the current numbers, after the head or the division has changed. */
  refresh() {
    this.numbers = this.table.numbers();
    this.largest = largestMagnitude(this.numbers.values);
    const label = captionWithoutShape(this.caption).map((node) => node.textContent);
    this.element.setAttribute("aria-label", label.join(""));
    this.paint();
    this.print();
  }

  /** Return the first row or column to draw and the one after the last. */
  drawnRange(scroll, visibleSize, size, count) {
    const first = Math.floor(scroll / size) - MARGIN_CELLS;
    const end = Math.ceil((scroll + visibleSize) / size) + MARGIN_CELLS;
    return [Math.max(0, first), Math.min(count, end)];
  }

  paint() {
    const { element: grid, table } = this;
    if (!grid.clientWidth || !this.numbers) return;
    const [top, bottom] = this.drawnRange(grid.scrollTop, grid.clientHeight, ROW_HEIGHT, table.rows.length);
    const [left, right] = this.drawnRange(grid.scrollLeft, grid.clientWidth, this.cellWidth, table.columns.length);
    const corner = element("span", { class: "corner", role: "presentation" });
    corner.style.width = `${this.nameWidth}px`;
    const names = range(right - left).map((n) => this.columnName(left + n));
    this.columnNames.replaceChildren(corner, ...names);
    const rows = range(bottom - top).map((n) => this.row(top + n, left, right));
    this.cells.replaceChildren(this.columnNames, ...rows);
    const selected = this.cells.querySelector(".selected");
    if (selected) grid.setAttribute("aria-activedescendant", selected.id);
    else grid.removeAttribute("aria-activedescendant");
  }

  columnName(j) {
    const name = this.table.columns[j];
    const node = element("div", { role: "columnheader", "aria-colindex": j + 2, title: name }, name);
    node.style.left = `${this.nameWidth + j * this.cellWidth}px`;
    node.style.width = `${this.cellWidth}px`;
    return node;
  }

  row(i, left, right) {
    const name = element("div", { role: "rowheader", title: this.table.rows[i] }, this.table.rows[i]);
    name.style.width = `${this.nameWidth}px`;
    const cells = range(right - left).map((n) => this.cell(i, left + n));
    const row = element("div", { role: "row", "aria-rowindex": i + 2 }, name, ...cells);
    row.style.top = `${(i + 1) * ROW_HEIGHT}px`;
    return row;
  }

  cell(i, j) {
    const cell = element("div", { role: "gridcell", "aria-colindex": j + 2, "data-i": i, "data-j": j });
    cell.style.left = `${this.nameWidth + j * this.cellWidth}px`;
    cell.style.width = `${this.cellWidth}px`;
    styleCell(cell, this.table, at(this.numbers, i, j), this.largest, i, j);
    if (this.hasSelection && i === this.selected.i && j === this.selected.j) {
      cell.classList.add("selected");
      cell.id = `${this.element.id}-selected`;
      cell.setAttribute("aria-selected", "true");
    }
    return cell;
  }

  onClick(event) {
    const cell = event.target.closest("[role=gridcell]");
    if (!cell) return;
    this.select(Number(cell.dataset.i), Number(cell.dataset.j));
    this.onSelect(this);
  }

  onKey(event) {
    const { i, j } = this.selected;
    const { rows, columns } = this.table;
    const page = Math.max(1, Math.floor(this.element.clientHeight / ROW_HEIGHT) - 2);
    const moves = {
      ArrowUp: [i - 1, j],
      ArrowDown: [i + 1, j],
      ArrowLeft: [i, j - 1],
      ArrowRight: [i, j + 1],
      PageUp: [i - page, j],
      PageDown: [i + page, j],
      Home: [i, 0],
      End: [i, columns.length - 1],
    };
    if (hasModifier(event)) return;
    if (event.key in moves) {
      const [nextRow, nextColumn] = this.hasSelection ? moves[event.key] : [i, j]; // the first key shows the selection
      this.select(clamp(nextRow, 0, rows.length - 1), clamp(nextColumn, 0, columns.length - 1));
    } else if (event.key === "Enter" || event.key === " ") {
      this.select(i, j);
      this.onSelect(this);
    } else if (event.key === "Escape") {
      this.element.blur();
    } else return;
    event.preventDefault();
    event.stopPropagation(); // outside a grid, the arrow keys move between steps
  }

  select(i, j) {
    this.hasSelection = true;
    this.selected = { i, j };
    this.scrollTo(i, j);
    this.paint();
  }

  /** Scroll as little as is needed to show a cell. */
  scrollTo(i, j) {
    const { element: grid, nameWidth, cellWidth } = this;
    const [top, left] = [i * ROW_HEIGHT, j * cellWidth];
    const lowest = top - (grid.clientHeight - 2 * ROW_HEIGHT); // the smallest scrollTop that shows row i
    const leftmost = left - (grid.clientWidth - nameWidth - cellWidth);
    grid.scrollTop = Math.min(top, Math.max(grid.scrollTop, lowest));
    grid.scrollLeft = Math.min(left, Math.max(grid.scrollLeft, leftmost));
  }

  /** Scroll to the columns or rows of the chosen head. */
  showHead() {
    if (this.table.startsHead) this.element.scrollLeft = state.head * dK * this.cellWidth;
    else if (this.table.isOfHead) this.element.scrollTop = state.head * dK * ROW_HEIGHT;
  }

  /** Build the table for printing: the first rows and columns, and how many there are. */
  print() {
    const { numbers, largest } = this;
    const { rows, columns } = this.table;
    const [nRows, nColumns] = [Math.min(rows.length, PRINTED_ROWS), Math.min(columns.length, PRINTED_COLUMNS)];
    const style = { ...this.table, isOfHead: undefined, startsHead: undefined };
    const more = nColumns < columns.length ? "…" : "";
    const headings = columns.slice(0, nColumns).map((name) => element("th", {}, name));
    const printed = element("table", { "aria-hidden": "true" });
    printed.append(element("tr", {}, element("th"), ...headings, element("th", {}, more)));
    for (const i of range(nRows)) {
      const cells = range(nColumns).map((j) => {
        const cell = element("td");
        styleCell(cell, style, at(numbers, i, j), largest, i, j);
        return cell;
      });
      printed.append(element("tr", {}, element("th", {}, rows[i]), ...cells, element("th", {}, more)));
    }
    if (nRows < rows.length) printed.append(element("tr", {}, element("th", {}, "⋮")));
    this.printed.replaceChildren(printed);
    const shown = `Shown: ${nRows} of ${rows.length} rows, ${nColumns} of ${columns.length} columns.`;
    if (nRows < rows.length || nColumns < columns.length) this.printed.append(element("small", {}, shown));
  }
}

/** Return copies of the caption's nodes except the shape of the matrix. */
function captionWithoutShape(caption) {
  return [...caption.cloneNode(true).childNodes].filter((node) => node.className !== "shape");
}

/* ---- Explanations ---- */

/** Return “row 2 (▁am)”, or “column 17” if the name is the number. */
function nameWithIndex(what, n, names) {
  return names[n] === String(n) ? `${what} ${n}` : `${what} ${n} (${names[n]})`;
}

/** Show below its figure how the selected cell of a grid is computed. */
function showExplanation(panel, grid, figure) {
  const { i, j } = grid.selected;
  const { rows, columns, explain } = grid.table;
  const { text, labels, vectors = [], equations } = explain(i, j);
  const place = `${nameWithIndex("row", i, rows)}, ${nameWithIndex("column", j, columns)}`;
  const heading = `: ${place}: ${format4(at(grid.numbers, i, j))}`;
  figure.after(panel);
  panel.hidden = false;
  panel.replaceChildren(
    element("h3", { "aria-live": "polite" }, ...captionWithoutShape(grid.caption), heading),
    element("p", {}, ...[text].flat()),
  );
  const largest = equations.length ? indexOfLargest(equations[0].magnitudes) : -1;
  if (vectors.length) panel.append(scrollable("The row and the column", vectorTable(labels, vectors, largest)));
  for (const each of equations) panel.append(scrollable("The equation", equationElement(each)));
  if (largest >= 0 && vectors.length) {
    const count = `${equations[0].terms.length} terms, rounded to four digits`;
    const note = `${count}; the largest is marked: ${nameWithIndex("number", largest, labels)}.`;
    panel.append(element("p", { class: "soft hint" }, note));
  }
  panel.scrollIntoView({ block: "nearest" });
}

/** Return the index of the number with the largest magnitude, or -1 if there are fewer than two. */
function indexOfLargest(numbers) {
  if (numbers.length < 2) return -1;
  return numbers.reduce((best, number, n) => (Math.abs(number) > Math.abs(numbers[best]) ? n : best), 0);
}

const scrollable = (name, child) =>
  element("div", { class: "scrolled", tabindex: 0, role: "group", "aria-label": name }, child);

/** Return a table with one row for each vector. */
function vectorTable(labels, vectors, largest) {
  const columnNames = labels.map((name) => element("th", { scope: "col" }, name));
  const table = element("table", { class: "terms" });
  table.append(element("thead", {}, element("tr", {}, element("td"), ...columnNames)));
  const body = element("tbody");
  for (const { name, values } of vectors) {
    const maximum = largestMagnitude(values);
    const cells = values.map((value, n) => {
      const cell = element("td");
      styleCell(cell, { columns: labels, masked: () => value === -Infinity }, value, maximum, 0, n);
      cell.textContent = format4(value);
      cell.classList.toggle("largest", n === largest);
      return cell;
    });
    body.append(element("tr", {}, element("th", { scope: "row" }, ...[name].flat()), ...cells));
  }
  table.append(body);
  return table;
}

function equationElement({ before = "", terms, magnitudes, after }) {
  const node = element("div", { class: "equation" }, before);
  const largest = indexOfLargest(magnitudes);
  terms.forEach((term, n) => {
    if (n) node.append(" + ");
    node.append(element("span", { class: n === largest ? "term largest" : "term" }, term));
  });
  node.append(element("span", { class: "after" }, after));
  return node;
}
