/** Three panes on the canvas, for the views of a volume, with one zoom and one position for all.
 *
 * Lengths are in voxels of the finest axis. `center` is the place, along each axis, in the middle of the panes. */
const PANE_GAP = 6; // screen pixels between panes
const DEPTH_PIXELS = 72; // least size of the two panes that show the planes from the side, in screen pixels
const DEPTH_SHARE = 0.7; // their largest share of the canvas

function makePanes(canvas, draw) {
  const state = { scale: 1, center: [0, 0, 0], lengths: [1, 1, 1], fitted: true };
  let panes = [];

  function setLengths(lengths) {
    state.lengths = lengths;
    fit();
  }

  function fit() {
    layOut();
    state.scale = fittingScale();
    state.center = state.lengths.map((length) => length / 2);
    state.fitted = true;
    draw();
  }

  /** Lay out again after the canvas has changed its size. */
  function resize() {
    if (state.fitted) fit();
    else layOut();
  }

  /** The panes from the side are as deep as the volume, within limits; all show it at the same scale. */
  function layOut() {
    const [width, height] = [canvas.clientWidth - PANE_GAP, canvas.clientHeight - PANE_GAP];
    const [planes, rows, columns] = state.lengths;
    const scale = Math.min(width / (columns + planes), height / (rows + planes));
    const depth = Math.round(Math.max(DEPTH_PIXELS, Math.min(planes * scale, DEPTH_SHARE * Math.min(width, height))));
    const [wide, high] = [Math.max(1, width - depth), Math.max(1, height - depth)];
    panes = [
      { view: VIEWS[0], x: 0, y: 0, width: wide, height: high },
      { view: VIEWS[1], x: 0, y: high + PANE_GAP, width: wide, height: depth },
      { view: VIEWS[2], x: wide + PANE_GAP, y: 0, width: depth, height: high },
    ];
  }

  /** The scale at which a box of given lengths takes a share of the first pane at most, and the others show it whole. */
  function scaleFor(lengths, share) {
    const scales = panes.flatMap(({ view, width, height }, k) => {
      const part = k ? 1 : share;
      return [(part * (width - MARGIN)) / lengths[view.across], (part * (height - MARGIN)) / lengths[view.down]];
    });
    return Math.max(1e-3, Math.min(MAX_SCALE, ...scales));
  }

  const fittingScale = () => scaleFor(state.lengths, 1);

  /** The pane at a place on the screen; by default, and between panes, the first. */
  function paneAt(x, y) {
    return panes.find((p) => x >= p.x && y >= p.y && x < p.x + p.width && y < p.y + p.height) || panes[0];
  }

  /** The place in the volume, along the two axes of a pane, under a place on the screen. */
  function placeIn({ view, x: left, y: top, width, height }, x, y) {
    const place = [null, null, null];
    place[view.across] = state.center[view.across] + (x - left - width / 2) / state.scale;
    place[view.down] = state.center[view.down] + (y - top - height / 2) / state.scale;
    return place;
  }

  /** Zoom by a factor about a place on the screen, by default the middle of the first pane. */
  function by(factor, x, y) {
    const pane = paneAt(x, y);
    const fixed = x === undefined ? [null, null, null] : placeIn(pane, x, y);
    const scale = Math.min(MAX_SCALE, Math.max(0.5 * fittingScale(), state.scale * factor));
    fixed.forEach((place, axis) => {
      if (place !== null) state.center[axis] = place - ((place - state.center[axis]) * state.scale) / scale;
    });
    state.scale = scale;
    keepInSight();
  }

  function move(dx, dy, x, y) {
    const { view } = paneAt(x, y);
    state.center[view.across] -= dx / state.scale;
    state.center[view.down] -= dy / state.scale;
    keepInSight();
  }

  /** Zoom to a box: it takes a quarter of the first pane. */
  function to(first, last) {
    const scale = Math.min(OBJECT_SCALE, scaleFor(first.map((start, axis) => last[axis] - start), 0.25));
    if (scale <= fittingScale()) {
      fit();
      return;
    }
    state.scale = scale;
    state.center = first.map((start, axis) => (start + last[axis]) / 2);
    keepInSight();
  }

  /** Move so that a place is inside all panes. */
  function reveal(place) {
    for (const { view, width, height } of panes) {
      for (const [axis, size] of [[view.across, width], [view.down, height]]) {
        if (Math.abs(place[axis] - state.center[axis]) * state.scale > size / 2) state.center[axis] = place[axis];
      }
    }
    draw();
  }

  function keepInSight() {
    state.center = state.center.map((place, axis) => Math.min(state.lengths[axis], Math.max(0, place)));
    state.fitted = false;
    draw();
  }

  /** From voxels of a view, of given lengths, to pixels of the screen. */
  function matrixOf({ view, x, y, width, height }, units) {
    const { scale, center } = state;
    return new DOMMatrix([
      scale * units[view.across], 0, 0, scale * units[view.down],
      x + width / 2 - scale * center[view.across], y + height / 2 - scale * center[view.down],
    ]);
  }

  return { setLengths, fit, resize, by, move, to, reveal, paneAt, placeIn, matrixOf, list: () => panes };
}
