/** The scores of all images together: a table, and the curve over IoU. */
function showScores(data) {
  const { scores, curve } = data;
  const intervals = scores.intervals;
  const row = (name, value, interval) =>
    make("tr", {},
      make("th", { scope: "row" }, name),
      make("td", {}, value.toFixed(3)),
      make("td", { class: "range" }, interval ? `${interval[0].toFixed(3)} – ${interval[1].toFixed(3)}` : "–"));
  const body = make("tbody");
  for (const [kind, words] of [["pooled", "all objects"], ["mean", "mean over images"]]) {
    for (const threshold of [0.5, 0.75, 0.9]) {
      const k = scores.thresholds.indexOf(threshold);
      const key = `average_precision_${kind}`;
      body.append(row(`Average precision at IoU ${threshold}, ${words}`, scores[key][k], intervals && intervals[key][k]));
    }
  }
  const names = { precision: "Precision", recall: "Recall", f1: "F1", panoptic_quality: "Panoptic quality" };
  for (const [key, words] of Object.entries(names)) {
    body.append(row(`${words} at IoU 0.5`, scores["at_0.5"][key], intervals && intervals["at_0.5"][key]));
  }
  const jaccard = "aggregated_jaccard_mean";
  body.append(row("Aggregated Jaccard index, mean over images", scores[jaccard], intervals && intervals[jaccard]));
  byId("scores").append(
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "Score"), make("th", { scope: "col" }, "Value"),
      make("th", { scope: "col" }, "95 % interval"))),
    body);
  byId("title").textContent = data.title;
  byId("counts").textContent =
    `${number(scores.images, "image")}, ${number(scores.true_objects, "true object")} and ` +
    `${scores.predicted_objects} predicted; ${number(scores.splits, "split")}, ${number(scores.merges, "merge")}.`;
  byId("interval-note").textContent = intervals
    ? `Intervals: bootstrap, ${number(scores.images, "image")} drawn ${intervals.resamples} times with replacement. ` +
      "With few images, or several of the same field, they are too narrow."
    : "No intervals: they are made by drawing images, and there is only one.";
  byId("made").textContent = `Made by flowseg ${data.version}.`;
  showCurve(curve);
}

function showCurve(curve) {
  const width = byId("curve").clientWidth < 420 ? 340 : 480; // letters keep their size on a narrow screen
  const [height, left, right, top, bottom] = [300, 46, 12, 12, 42];
  const x = (t) => left + ((t - 0.5) / 0.45) * (width - left - right);
  const y = (v) => top + (1 - v) * (height - top - bottom);
  const at = (values) => curve.thresholds.map((t, k) => `${x(t).toFixed(1)},${y(values[k]).toFixed(1)}`);
  const { average_precision_pooled: pooled, average_precision_mean: mean } = curve;
  const values = curve.thresholds.map((t, k) => `${pooled[k].toFixed(2)} at ${t}`).join(", ");
  const svg = makeSvg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `Average precision over IoU, all objects: ${values}` });
  for (const v of [0, 0.2, 0.4, 0.6, 0.8, 1]) {
    svg.append(makeSvg("line", { class: "grid", x1: left, x2: width - right, y1: y(v), y2: y(v) }),
      makeSvg("text", { x: left - 8, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(1)));
  }
  for (const t of [0.5, 0.6, 0.7, 0.8, 0.9]) {
    svg.append(makeSvg("text", { x: x(t), y: height - bottom + 18, "text-anchor": "middle" }, t.toFixed(1)));
  }
  svg.append(
    makeSvg("text", { x: (left + width - right) / 2, y: height - 6, "text-anchor": "middle" }, "IoU from which objects match"),
    makeSvg("text", { x: 12, y: (top + height - bottom) / 2, "text-anchor": "middle",
      transform: `rotate(-90 12 ${(top + height - bottom) / 2})` }, "average precision"));
  if (curve.intervals) {
    const ends = curve.intervals.average_precision_pooled;
    const outline = [...at(ends.map((e) => e[1])), ...at(ends.map((e) => e[0])).reverse()];
    svg.append(makeSvg("polygon", { class: "band", points: outline.join(" ") }));
  }
  svg.append(makeSvg("polyline", { class: "mean", points: at(mean).join(" ") }),
    makeSvg("polyline", { class: "pooled", points: at(pooled).join(" ") }));
  curve.thresholds.forEach((t, k) => svg.append(
    makeSvg("rect", { class: "point", x: x(t) - 3, y: y(mean[k]) - 3, width: 6, height: 6 }),
    makeSvg("circle", { cx: x(t), cy: y(pooled[k]), r: 3.5 })));
  const key = (line, words, kind) => svg.append(
    makeSvg("line", { class: kind, x1: left + 10, x2: left + 38, y1: line, y2: line }),
    makeSvg("text", { x: left + 46, y: line + 4 }, words));
  key(height - bottom - 34, curve.intervals ? "all objects, with 95 % interval" : "all objects", "pooled");
  key(height - bottom - 16, "mean over images", "mean");
  byId("curve").append(svg);
  const line = (words, values) => make("tr", {}, make("th", { scope: "row" }, words), ...values.map((v) => make("td", {}, v)));
  byId("curve-values").append(
    make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "IoU"),
      ...curve.thresholds.map((t) => make("th", { scope: "col" }, t.toFixed(2))))),
    make("tbody", {}, line("all objects", pooled.map((v) => v.toFixed(3))),
      ...(curve.intervals ? [
        line("from", curve.intervals.average_precision_pooled.map((e) => e[0].toFixed(3))),
        line("to", curve.intervals.average_precision_pooled.map((e) => e[1].toFixed(3)))] : []),
      line("mean over images", mean.map((v) => v.toFixed(3)))));
}
