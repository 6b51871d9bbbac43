/** The picture of one image with its layers, painted on a canvas. */
const PICTURES_KEPT = 4; // decoded pictures in memory

function makeViewer(canvas) {
  const context = canvas.getContext("2d");
  const layers = { image: true, true: true, predicted: true, errors: true };
  const zoom = makeZoom(canvas, draw);
  const pictures = new Map(); // by number of the image, the one used last at the end
  let data = null;
  let shown = -1;
  let threshold = 0.5;
  let gain = 1; // the picture's values are multiplied by it
  let waiting = 0;

  /** The picture, decoded on first use; null until that is done. */
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
      if (data) zoom.refit();
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!data) return;
    const scale = zoom.view.scale * ratio;
    context.setTransform(scale, 0, 0, scale, zoom.view.x * ratio, zoom.view.y * ratio);
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

  /** Multiply the picture by the gain: "color-dodge" with s divides by 1 - s. */
  function brighten() {
    const gray = 255 * (1 - 1 / gain);
    context.globalCompositeOperation = "color-dodge";
    context.fillStyle = `rgb(${gray} ${gray} ${gray})`;
    context.fillRect(0, 0, data.columns, data.rows);
    context.globalCompositeOperation = "source-over";
  }

  /** Paint outlines in lines of the same width at every zoom, with a dark rim that is visible on bright images. */
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
    zoom.setSize(data.columns, data.rows);
    return data;
  }

  function setThreshold(value) {
    threshold = value;
    if (data) data.errors = findErrors(data, threshold);
    draw();
  }

  /** Describe the objects at a place on the screen. */
  function describeAt(x, y) {
    if (!data) return "";
    const [column, row] = zoom.imagePlace(x, y);
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
  return { show, zoom, setLayer, setGain, setThreshold, describeAt };
}
