/** Zoom and position of an image on the canvas. */
const MAX_SCALE = 64; // screen pixels per image pixel
const OBJECT_SCALE = 16; // the same, at most, when zooming to an object
const ZOOM_STEP = 1.25; // factor of one press of a button or key
const MARGIN = 16; // screen pixels around an image that fits
const KEPT_IN_SIGHT = 40; // screen pixels of the image that always stay inside the canvas

function makeZoom(canvas, draw) {
  const view = { scale: 1, x: 0, y: 0 }; // screen pixel = image pixel * scale + offset
  const size = { columns: 0, rows: 0 }; // of the image
  let fitted = true;

  function setSize(columns, rows) {
    Object.assign(size, { columns, rows });
    fit();
  }

  function fit() {
    center([0, 0, size.columns, size.rows], fittingScale());
    fitted = true;
    draw();
  }

  /** Fit again after the canvas has changed its size, unless the user has zoomed or moved. */
  function refit() {
    if (fitted) fit();
  }

  /** The scale at which the whole image is visible. */
  function fittingScale() {
    const [width, height] = [canvas.clientWidth - MARGIN, canvas.clientHeight - MARGIN];
    return Math.max(1e-3, Math.min(MAX_SCALE, width / size.columns, height / size.rows));
  }

  /** Put the center of a box of image pixels in the center of the canvas. */
  function center([x0, y0, x1, y1], scale) {
    view.scale = scale;
    view.x = (canvas.clientWidth - scale * (x0 + x1)) / 2;
    view.y = (canvas.clientHeight - scale * (y0 + y1)) / 2;
  }

  /** Zoom by a factor about a place on the screen, by default the center. */
  function by(factor, x = canvas.clientWidth / 2, y = canvas.clientHeight / 2) {
    if (!size.rows) return;
    const scale = Math.min(MAX_SCALE, Math.max(0.5 * fittingScale(), view.scale * factor));
    view.x = x - ((x - view.x) * scale) / view.scale;
    view.y = y - ((y - view.y) * scale) / view.scale;
    view.scale = scale;
    keepInSight();
  }

  /** Zoom to an object: its box takes a quarter of the canvas. */
  function to(box) {
    const [width, height] = [canvas.clientWidth / (box[2] - box[0]), canvas.clientHeight / (box[3] - box[1])];
    const scale = Math.min(OBJECT_SCALE, width / 4, height / 4);
    if (scale <= fittingScale()) {
      fit();
      return;
    }
    center(box, scale);
    keepInSight();
  }

  function move(dx, dy) {
    view.x += dx;
    view.y += dy;
    keepInSight();
  }

  function keepInSight() {
    if (!size.rows) return;
    const hold = (offset, length, room) =>
      Math.min(room - KEPT_IN_SIGHT, Math.max(KEPT_IN_SIGHT - length * view.scale, offset));
    view.x = hold(view.x, size.columns, canvas.clientWidth);
    view.y = hold(view.y, size.rows, canvas.clientHeight);
    fitted = false;
    draw();
  }

  /** The place in the image, column and row, under a place on the screen. */
  function imagePlace(x, y) {
    return [(x - view.x) / view.scale, (y - view.y) / view.scale];
  }

  return { view, setSize, fit, refit, by, to, move, imagePlace };
}
