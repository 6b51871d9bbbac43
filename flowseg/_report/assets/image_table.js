/** The table of images. `open` is called with the number of an image, `changed` when the order of rows changes. */
function makeTable(rows, open, changed) {
  const columns = [
    { key: "name", words: "Image", rises: true, value: (r) => r.name },
    { key: "ap", words: "AP", title: "Average precision", value: (r) => r.average_precision[0], digits: 3, rises: true, bar: true },
    { key: "jaccard", words: "Jaccard", title: "Aggregated Jaccard index", value: (r) => r.aggregated_jaccard, digits: 3,
      rises: true },
    { key: "true", words: "True", title: "True objects", value: (r) => r.true_objects },
    { key: "predicted", words: "Pred.", title: "Predicted objects", value: (r) => r.predicted_objects },
    { key: "fn", words: "FN", title: "False negatives: true objects without a match", value: (r) => r.fn },
    { key: "fp", words: "FP", title: "False positives: predicted objects without a match", value: (r) => r.fp },
    { key: "splits", words: "Splits", title: "Splits: true objects in several parts", value: (r) => r.splits },
    { key: "merges", words: "Merges", title: "Merges: predicted objects over several true ones", value: (r) => r.merges },
  ];
  const table = byId("images");
  const body = make("tbody");
  const heads = columns.map((column) => {
    const arrow = make("span", { class: "arrow", "aria-hidden": "true" });
    const button = make("button", { type: "button", title: column.title || column.words }, column.words, arrow);
    const head = make("th", { scope: "col" }, button);
    button.addEventListener("click", () => {
      sort(column, column === sorted.column ? !sorted.rising : Boolean(column.rises));
      changed();
    });
    return { head, arrow };
  });
  const lines = rows.map((r, k) => {
    const name = make("button", { type: "button" }, r.name);
    const cells = columns.slice(1).map((column) => {
      const value = column.value(r);
      const cell = make("td", {}, column.digits ? value.toFixed(column.digits) : String(value));
      if (column.bar) {
        cell.className = "bar";
        cell.style.setProperty("--share", `${100 * value}%`);
      }
      return cell;
    });
    const line = make("tr", {}, make("td", {}, name), ...cells);
    line.addEventListener("click", () => open(k));
    return line;
  });
  table.append(make("thead", {}, make("tr", {}, ...heads.map((h) => h.head))), body);
  const sorted = { column: null, rising: true };
  let order = rows.map((_, k) => k);

  function sort(column, rising) {
    Object.assign(sorted, { column, rising });
    const compare = (a, b) => {
      const [x, y] = [column.value(rows[a]), column.value(rows[b])];
      const by = typeof x === "string" ? x.localeCompare(y, undefined, { numeric: true }) : x - y;
      return (rising ? by : -by) || rows[a].aggregated_jaccard - rows[b].aggregated_jaccard || a - b;
    };
    order.sort(compare);
    body.append(...order.map((k) => lines[k]));
    columns.forEach((other, c) => {
      const direction = other !== column ? "none" : rising ? "ascending" : "descending";
      heads[c].head.setAttribute("aria-sort", direction);
      heads[c].arrow.textContent = other !== column ? "" : rising ? "▲" : "▼";
    });
  }

  function mark(current, focus) {
    for (const line of lines) line.removeAttribute("aria-current");
    const line = lines[current];
    line.setAttribute("aria-current", "true");
    const list = table.parentElement;
    const head = table.tHead.offsetHeight;
    const [above, below] = [line.offsetTop - head, line.offsetTop + line.offsetHeight];
    if (above < list.scrollTop) list.scrollTop = above;
    else if (below > list.scrollTop + list.clientHeight) list.scrollTop = below - list.clientHeight;
    if (focus) line.querySelector("button").focus({ preventScroll: true });
  }

  sort(columns[1], true);
  return { mark, order: () => order, contains: (element) => body.contains(element) };
}
