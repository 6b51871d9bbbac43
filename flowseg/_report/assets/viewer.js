/** The canvas: shows one image or one volume at a time, and keeps what the user has chosen for all of them. */
function makeViewer(canvas) {
  const stage = {
    canvas, context: canvas.getContext("2d"), draw, threshold: 0.5,
    gain: 1, // values of the picture are multiplied by it
    layers: { image: true, true: true, predicted: true, errors: true },
  };
  const { context } = stage;
  const views = { image: makeImageView(stage), volume: makeVolumeView(stage) };
  let view = views.image;
  let data = null;
  let waiting = 0;

  function draw() {
    if (!waiting) waiting = requestAnimationFrame(() => { waiting = 0; paint(); });
  }

  function paint() {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [Math.round(canvas.clientWidth * ratio), Math.round(canvas.clientHeight * ratio)];
    if (canvas.width !== width || canvas.height !== height) {
      canvas.width = width;
      canvas.height = height;
      if (data) view.resize();
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (data) view.paint(ratio);
  }

  function show(number) {
    data = readJson(`objects-${number}`);
    view = isVolume() ? views.volume : views.image;
    view.show(number, data);
    data.errors = findErrors(data, stage.threshold);
    return data;
  }

  const isVolume = () => Boolean(data && data.shape);

  function setThreshold(value) {
    stage.threshold = value;
    if (data) data.errors = findErrors(data, value);
    draw();
  }

  /** Describe the objects at a place on the screen. */
  function describeAt(x, y) {
    if (!data) return "";
    const found = view.objectsAt(x, y).map((k, side) => [SIDES[side], k]).filter(([, k]) => k >= 0);
    return found.map(([side, k]) => describeObject(data, side, k, stage.threshold)).join("; ");
  }

  function setLayer(name, on) {
    stage.layers[name] = on;
    draw();
  }

  function setGain(value) {
    stage.gain = value;
    draw();
  }

  new ResizeObserver(draw).observe(canvas);
  return {
    show, setLayer, setGain, setThreshold, describeAt, isVolume, volume: views.volume,
    fit: () => view.fit(),
    zoomBy: (factor, x, y) => view.zoomBy(factor, x, y),
    move: (dx, dy, x, y) => view.move(dx, dy, x, y),
    goTo: (error) => view.goTo(error),
  };
}
