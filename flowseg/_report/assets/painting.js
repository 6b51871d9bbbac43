/** Colors and lines of the layers, for images and for the views of volumes. */
const OUTLINES = { true: { color: "#56b4e9", dash: [] }, predicted: { color: "#e69f00", dash: [6, 4] } };

/** Paint outlines in lines of the same width at every zoom, with a dark rim that is visible on bright images.
 * `unit` is a screen pixel in the units of the path. */
function paintOutlines(context, path, side, unit, rim) {
  const { color, dash } = OUTLINES[side];
  context.lineJoin = "round";
  context.setLineDash([]);
  context.strokeStyle = "rgba(0, 0, 0, 0.45)";
  context.lineWidth = 3 * unit;
  if (rim) context.stroke(path);
  context.setLineDash(dash.map((length) => length * unit));
  context.strokeStyle = color;
  context.lineWidth = 1.7 * unit;
  context.stroke(path);
  context.setLineDash([]);
}

/** Fill the path of one kind of error. `scale` is device pixels per unit of the path, `ratio` per screen pixel. */
function paintErrors(context, path, kind, ratio, scale) {
  context.globalAlpha = 0.3;
  context.fillStyle = kind.color;
  context.fill(path, "evenodd");
  context.globalAlpha = 1;
  const hatch = makeHatch(context, kind, ratio);
  hatch.setTransform(new DOMMatrix().scale(1 / scale)); // the pattern has the screen's size, not the image's
  context.fillStyle = hatch;
  context.fill(path, "evenodd");
}

/** Multiply a picture by the gain: "color-dodge" with s divides by 1 - s. */
function brighten(context, gain, width, height) {
  if (gain <= 1) return;
  const gray = 255 * (1 - 1 / gain);
  context.globalCompositeOperation = "color-dodge";
  context.fillStyle = `rgb(${gray} ${gray} ${gray})`;
  context.fillRect(0, 0, width, height);
  context.globalCompositeOperation = "source-over";
}
