/** The zoomable picture of one image with its layers. */
const MAX_SCALE = 64; // screen pixels per image pixel
const OBJECT_SCALE = 16; // the same at most, where an object is zoomed to
const ZOOM_STEP = 1.25;
const PICTURES_KEPT = 4; // decoded pictures in memory

function makeViewer(canvas) {
  const context = canvas.getContext("2d");
  const layers = { image: true, true: true, predicted: true, errors: true };
  const view = { scale: 1, x: 0, y: 0 }; // screen pixel = image pixel * scale + offset
  const pictures = new Map(); // by number of the image, the one used last at the end
  let data = null;
  let shown = -1;
  let threshold = 0.5;
  let gain = 1; // the picture's values are multiplied by it
  let waiting = 0;
  let fitted = true;

  /** The picture, decoded when it is first asked for; null until then. */
  function pictureOf(number) {
    const source = byId(`picture-${number}`);
    if (!source) return null;
    let picture = pictures.get(number);
    if (!picture) {
      picture = new Image();
      picture.addEventListener("load", draw);
      picture.src = source.textContent;
    }
    pictures.delete(number);
    pictures.set(number, picture);
    if (pictures.size > PICTURES_KEPT) pictures.delete(pictures.keys().next().value);
    return picture.complete && picture.naturalWidth ? picture : null;
  }

  function draw() {
    if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; paint(); });
  }

  function paint() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      if (fitted && data) fit();
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!data) return;
    const scale = view.scale * ratio;
    context.setTransform(scale, 0, 0, scale, view.x * ratio, view.y * ratio);
    context.save();
    context.beginPath();
    context.rect(0, 0, data.columns, data.rows);
    context.fillStyle = "#000";
    context.fill();
    context.clip();
    const picture = layers.image && pictureOf(shown);
    if (picture) {
      context.imageSmoothingEnabled = scale * data.factor < 1;
      context.imageSmoothingQuality = "high";
      context.drawImage(picture, 0, 0, picture.naturalWidth * data.factor, picture.naturalHeight * data.factor);
      if (gain > 1) brighten();
    }
    context.restore();
    if (layers.errors) paintErrors(ratio, scale);
    if (layers.true) paintOutlines("true", "#56b4e9", [], ratio / scale);
    if (layers.predicted) paintOutlines("predicted", "#e69f00", [6, 4], ratio / scale);
  }

  /** "color-dodge" with s divides what is there by 1 - s. */
  function brighten() {
    const grey = 255 * (1 - 1 / gain);
    context.globalCompositeOperation = "color-dodge";
    context.fillStyle = `rgb(${grey} ${grey} ${grey})`;
    context.fillRect(0, 0, data.columns, data.rows);
    context.globalCompositeOperation = "source-over";
  }

  /** Lines of one width on the screen, whatever the zoom, with a dark rim that shows on bright images. */
  function paintOutlines(side, color, dash, unit) {
    context.lineJoin = "round";
    context.setLineDash([]);
    context.strokeStyle = "rgba(0, 0, 0, 0.45)";
    context.lineWidth = 3 * unit;
    if (!dash.length || !layers.true) context.stroke(data[side].all);
    context.setLineDash(dash.map((length) => length * unit));
    context.strokeStyle = color;
    context.lineWidth = 1.7 * unit;
    context.stroke(data[side].all);
    context.setLineDash([]);
  }

  function paintErrors(ratio, scale) {
    for (const [name, kind] of Object.entries(KINDS)) {
      const path = new Path2D();
      for (const error of data.errors) if (error.kind === name) path.addPath(data[error.side].paths[error.k]);
      context.globalAlpha = 0.3;
      context.fillStyle = kind.color;
      context.fill(path, "evenodd");
      context.globalAlpha = 1;
      const hatch = makeHatch(context, kind, ratio);
      hatch.setTransform(new DOMMatrix().scale(1 / scale)); // the pattern has the screen's size, not the image's
      context.fillStyle = hatch;
      context.fill(path, "evenodd");
    }
  }

  function show(number) {
    shown = number;
    data = readObjects(number);
    data.factor = data.factor || 1;
    data.errors = findErrors(data, threshold);
    fit();
    return data;
  }

  function setThreshold(value) {
    threshold = value;
    if (data) data.errors = findErrors(data, threshold);
    draw();
  }

  function fit() {
    centre([0, 0, data.columns, data.rows], fittingScale());
    fitted = true;
    draw();
  }

  /** The scale at which the whole image is seen, with a little room around it. */
  function fittingScale() {
    const [width, height] = [canvas.clientWidth - 16, canvas.clientHeight - 16];
    return Math.max(1e-3, Math.min(MAX_SCALE, width / data.columns, height / data.rows));
  }

  /** Put the middle of a box of image pixels in the middle of the canvas. */
  function centre([x0, y0, x1, y1], scale) {
    view.scale = scale;
    view.x = (canvas.clientWidth - scale * (x0 + x1)) / 2;
    view.y = (canvas.clientHeight - scale * (y0 + y1)) / 2;
  }

  /** Zoom by a factor about a place on the screen, by default the middle. */
  function zoom(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    if (!data) return;
    const scale = Math.min(MAX_SCALE, Math.max(0.5 * fittingScale(), view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    keepInSight();
  }

  function move(dx, dy) {
    view.x += dx;
    view.y += dy;
    keepInSight();
  }

  /** At least 40 screen pixels of the image stay inside the canvas. */
  function keepInSight() {
    if (!data) return;
    const hold = (offset, length, room) => Math.min(room - 40, Math.max(40 - length * view.scale, offset));
    view.x = hold(view.x, data.columns, canvas.clientWidth);
    view.y = hold(view.y, data.rows, canvas.clientHeight);
    fitted = false;
    draw();
  }

  /** Show an object: its box takes a quarter of the canvas. */
  function zoomTo(box) {
    const [width, height] = [canvas.clientWidth / (box[2] - box[0]), canvas.clientHeight / (box[3] - box[1])];
    const scale = Math.min(OBJECT_SCALE, width / 4, height / 4);
    if (scale <= fittingScale()) {
      fit();
      return;
    }
    centre(box, scale);
    keepInSight();
  }

  /** What lies at a place on the screen, in words. */
  function describeAt(x, y) {
    if (!data) return "";
    const [column, row] = [(x - view.x) / view.scale, (y - view.y) / view.scale];
    context.setTransform(1, 0, 0, 1, 0, 0);
    const found = SIDES.map((side) => [side, objectAt(data, side, context, column, row)]);
    return found.filter(([, k]) => k >= 0).map(([side, k]) => describeObject(data, side, k, threshold)).join("; ");
  }

  function setLayer(name, on) {
    layers[name] = on;
    draw();
  }

  function setGain(value) {
    gain = value;
    draw();
  }

  new ResizeObserver(draw).observe(canvas);
  return { show, fit, zoom, move, zoomTo, setLayer, setGain, setThreshold, describeAt };
}

/** Wheel, dragging with mouse or finger, pinching with two. */
function listenToPointers(canvas, viewer, say) {
  const held = new Map();
  const place = (event) => [event.clientX - canvas.getBoundingClientRect().left, event.clientY - canvas.getBoundingClientRect().top];
  const spread = () => {
    const [[x0, y0], [x1, y1]] = [...held.values()];
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, length: Math.max(1, Math.hypot(x1 - x0, y1 - y0)) };
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    viewer.zoom(Math.exp(-0.002 * Math.max(-200, Math.min(200, lines * event.deltaY))), ...place(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("dragged");
    held.set(event.pointerId, place(event));
    say(viewer.describeAt(...place(event)));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) {
      say(viewer.describeAt(...place(event)));
      return;
    }
    const before = held.size === 2 ? spread() : null;
    const [x, y] = held.get(event.pointerId);
    held.set(event.pointerId, place(event));
    if (before) {
      const after = spread();
      viewer.move(after.x - before.x, after.y - before.y);
      viewer.zoom(after.length / before.length, after.x, after.y);
    } else if (held.size === 1) viewer.move(place(event)[0] - x, place(event)[1] - y);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      held.delete(event.pointerId);
      canvas.classList.toggle("dragged", held.size > 0);
    });
  }
}
