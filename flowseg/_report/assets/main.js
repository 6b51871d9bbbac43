/** The page: connects scores, table, viewer, buttons and keys. */
function start() {
  const data = readJson("data");
  const rows = data.scores.per_image;
  showScores(data);
  const canvas = byId("canvas");
  const viewer = makeViewer(canvas);
  const controls = makePointControls(viewer);
  const table = makeTable(rows, (k) => open(k, false), () => showPlace());
  const hasImages = byId("picture-0") !== null;
  let current = -1;
  let objects = null;
  let error = -1;

  const slider = byId("threshold");
  const threshold = () => Math.round(20 * slider.value) / 20; // in steps of 1 / 20: exact
  // Screen readers announce what was asked for, not what the mouse points at.
  const say = (words, aloud = true) => {
    byId("status").setAttribute("aria-live", aloud ? "polite" : "off");
    byId("status").textContent = words;
  };

  function open(k, focus) {
    if (k === current) return;
    current = k;
    error = -1;
    objects = viewer.show(k);
    byId("name").textContent = rows[k].name;
    byId("note").textContent = objects.note || "";
    table.mark(k, focus);
    controls.show();
    showPlace();
    showCounts();
    const size = objects.shape ? `${objects.shape.join(" × ")} voxels` : `${objects.rows} × ${objects.columns} pixels`;
    say(`Image ${table.order().indexOf(k) + 1} of ${rows.length}, ${size}`);
  }

  /** Mark the buttons that can do nothing; they keep the focus. */
  function showPlace() {
    const place = table.order().indexOf(current);
    byId("previous").setAttribute("aria-disabled", place === 0);
    byId("next").setAttribute("aria-disabled", place === rows.length - 1);
  }

  /** Count the errors, in the legend and in the label of the picture. */
  function showCounts() {
    const counts = Object.fromEntries(Object.keys(KINDS).map((name) => [name, 0]));
    for (const one of objects.errors) counts[one.kind] += 1;
    const counted = Object.entries(KINDS).map(([name, kind]) => {
      const words = number(counts[name], ...kind.words);
      byId(`count-${name}`).textContent = words;
      return words;
    });
    const [nTrue, nPredicted] = SIDES.map((side) => objects[side].iou.filter((iou) => iou < threshold()).length);
    byId("unmatched").textContent =
      `Without a match: ${nTrue} true and ${nPredicted} predicted objects, including those in splits and merges.`;
    byId("error").setAttribute("aria-disabled", objects.errors.length === 0);
    const row = rows[current];
    canvas.setAttribute("aria-label", `${row.name}: ${row.true_objects} true and ${row.predicted_objects} predicted objects; ${counted.join(", ")}`);
  }

  function step(by, focus) {
    const order = table.order();
    const place = order.indexOf(current) + by;
    if (place >= 0 && place < order.length) open(order[place], focus);
  }

  function nextError() {
    if (!objects.errors.length) return;
    error = (error + 1) % objects.errors.length;
    const { side, k } = objects.errors[error];
    viewer.goTo(objects.errors[error]);
    say(`Error ${error + 1} of ${objects.errors.length}: ${describeObject(objects, side, k, threshold())}`);
  }

  for (const [name, kind] of Object.entries(KINDS)) {
    const swatch = make("canvas", { width: 44, height: 32, "aria-hidden": "true" });
    const context = swatch.getContext("2d");
    context.fillStyle = "#1d1d1d";
    context.fillRect(0, 0, 44, 32);
    context.globalAlpha = 0.3;
    context.fillStyle = kind.color;
    context.fillRect(0, 0, 44, 32);
    context.globalAlpha = 1;
    context.fillStyle = makeHatch(context, kind, 2);
    context.fillRect(0, 0, 44, 32);
    byId("legend").append(make("li", {}, swatch, make("span", { id: `count-${name}` })));
  }

  const boxes = ["image", "true", "predicted", "errors"].map((name) => {
    const box = byId(`layer-${name}`);
    box.addEventListener("change", () => viewer.setLayer(name, box.checked));
    viewer.setLayer(name, box.checked); // browsers keep boxes as they were when a page is loaded again
    return box;
  });
  byId("layer-image-label").hidden = !hasImages;

  const readSlider = () => {
    byId("threshold-value").textContent = Number(slider.value).toFixed(2);
    viewer.setThreshold(threshold());
    error = -1;
    if (objects) showCounts();
  };
  slider.addEventListener("input", readSlider);
  readSlider();
  const gain = byId("gain");
  const readGain = () => viewer.setGain(2 ** Number(gain.value));
  gain.addEventListener("input", readGain);
  readGain();
  byId("brightness").hidden = !hasImages;

  const actions = {
    previous: () => step(-1), next: () => step(1), in: () => viewer.zoomBy(ZOOM_STEP), out: () => viewer.zoomBy(1 / ZOOM_STEP),
    fit: () => viewer.fit(), error: nextError,
  };
  for (const [id, action] of Object.entries(actions)) byId(id).addEventListener("click", action);
  listenToPointers(canvas, viewer, controls, (words) => say(words, false));
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.type === "range" && event.key.startsWith("Arrow")) return;
    const handled = !event.shiftKey && controls.pressed(event.key, event.target === canvas);
    if (handled || pressed(event.key, event.shiftKey, table.contains(event.target))) event.preventDefault();
  });

  /** Do the action of a key; false if it has none. */
  function pressed(key, shift, inTable) {
    const arrow = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[key];
    if (arrow && shift) viewer.move(60 * arrow[0], 60 * arrow[1]);
    else if (key === "n" || key === "ArrowRight" || (key === "ArrowDown" && inTable)) step(1, inTable);
    else if (key === "p" || key === "ArrowLeft" || (key === "ArrowUp" && inTable)) step(-1, inTable);
    else if (key === "+" || key === "=") actions.in();
    else if (key === "-" || key === "_") actions.out();
    else if (key === "0") actions.fit();
    else if (key === "e") nextError();
    else if (/^[1-4]$/.test(key) && !(key === "1" && !hasImages)) boxes[key - 1].click();
    else return false;
    return true;
  }

  open(table.order()[0], false);
}

start();
