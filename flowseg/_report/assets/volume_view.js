/** One volume: three slices through a point, with their layers. `stage` is as for an image. */
const VOLUMES_KEPT = 2; // unpacked volumes in memory
const CROSS_LINES = [["rgba(0, 0, 0, 0.4)", 3], ["rgba(255, 255, 255, 0.75)", 1]]; // color and width, in screen pixels

function makeVolumeView(stage) {
  const { canvas, context, layers } = stage;
  const panes = makePanes(canvas, stage.draw);
  const volumes = new Map(); // by number of the image, the one used last at the end
  let data = null;
  let volume = null; // unpacked; null until that is done
  let fault = "";
  let at = [0, 0, 0]; // plane, row and column of the point, in voxels of the page
  let slices = [null, null, null]; // of the three views
  let changed = () => {};

  function show(number, objects) {
    data = objects;
    [volume, fault, slices] = [null, "", [null, null, null]];
    at = data.grid.map((n) => Math.floor(n / 2));
    panes.setLengths(data.grid.map((n, axis) => n * data.units[axis]));
    unpack(number, objects);
    changed();
  }

  function unpack(number, objects) {
    const known = volumes.get(number) || readVolume(number, objects);
    volumes.delete(number);
    volumes.set(number, known);
    if (volumes.size > VOLUMES_KEPT) volumes.delete(volumes.keys().next().value);
    const finish = (found, words) => {
      if (data !== objects) return; // another image is shown by now
      [volume, fault] = [found, words];
      stage.draw();
    };
    known.then((found) => finish(found, ""), (error) => finish(null, `This browser cannot show the volume: ${error.message}`));
  }

  function sliceOf(k) {
    const view = VIEWS[k];
    const index = at[view.unseen];
    if (!slices[k] || slices[k].index !== index) {
      slices[k] = { index, picture: cutPicture(volume, view, index) };
      for (const side of SIDES) slices[k][side] = cutOutlines(volume, side, view, index);
    }
    return slices[k];
  }

  function paint(ratio) {
    if (!volume) {
      context.fillStyle = "#ccc";
      context.font = `${15 * ratio}px system-ui, sans-serif`;
      context.fillText(fault || "Loading…", 12 * ratio, 24 * ratio);
      return;
    }
    panes.list().forEach((pane, k) => {
      context.save();
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.beginPath();
      context.rect(pane.x, pane.y, pane.width, pane.height);
      context.fillStyle = "#000";
      context.clip();
      paintView(pane, sliceOf(k), ratio);
      context.restore();
      context.setTransform(ratio, 0, 0, ratio, 0, 0);
      context.strokeStyle = "#555";
      context.lineWidth = 1;
      context.strokeRect(pane.x + 0.5, pane.y + 0.5, pane.width - 1, pane.height - 1);
    });
  }

  function paintView(pane, slice, ratio) {
    const { view } = pane;
    const matrix = panes.matrixOf(pane, data.units);
    const [columns, rows] = [data.grid[view.across], data.grid[view.down]];
    context.save();
    context.transform(matrix.a, 0, 0, matrix.d, matrix.e, matrix.f);
    context.fillRect(0, 0, columns, rows);
    if (layers.image && slice.picture) {
      context.imageSmoothingEnabled = Math.min(matrix.a, matrix.d) * ratio < 1;
      context.imageSmoothingQuality = "high";
      context.drawImage(slice.picture, 0, 0);
      brighten(context, stage.gain, columns, rows);
    }
    context.restore();
    const onScreen = (paths) => {
      const path = new Path2D();
      for (const one of paths) if (one) path.addPath(one, matrix);
      return path;
    };
    if (layers.errors) {
      for (const [name, kind] of Object.entries(KINDS)) {
        const errors = data.errors.filter((error) => error.kind === name);
        paintErrors(context, onScreen(errors.map((error) => slice[error.side].paths.get(error.k))), kind, ratio, ratio);
      }
    }
    if (layers.true) paintOutlines(context, onScreen([slice.true.all]), "true", 1, true);
    if (layers.predicted) paintOutlines(context, onScreen([slice.predicted.all]), "predicted", 1, !layers.true);
    const [x, y] = [matrix.e + matrix.a * (at[view.across] + 0.5), matrix.f + matrix.d * (at[view.down] + 0.5)];
    paintCross(x, y, [matrix.e, matrix.f, matrix.e + matrix.a * columns, matrix.f + matrix.d * rows]);
  }

  /** Lines through the point, to the ends of the view. */
  function paintCross(x, y, [x0, y0, x1, y1]) {
    const lines = new Path2D(`M${x0} ${y}H${x1}M${x} ${y0}V${y1}`);
    for (const [color, width] of CROSS_LINES) {
      context.strokeStyle = color;
      context.lineWidth = width;
      context.stroke(lines);
    }
  }

  /** The voxel under a place on the screen; null outside the volume. */
  function voxelAt(x, y) {
    const pane = panes.paneAt(x, y);
    if (x < pane.x || y < pane.y || x >= pane.x + pane.width || y >= pane.y + pane.height) return null;
    const place = panes.placeIn(pane, x, y);
    const voxel = place.map((length, axis) => (length === null ? at[axis] : Math.floor(length / data.units[axis])));
    return voxel.every((v, axis) => v >= 0 && v < data.grid[axis]) ? voxel : null;
  }

  function objectsAt(x, y) {
    const voxel = volume && voxelAt(x, y);
    if (!voxel) return [-1, -1];
    const index = (voxel[0] * data.grid[1] + voxel[1]) * data.grid[2] + voxel[2];
    return SIDES.map((side) => volume[side][index] - 1);
  }

  function setPoint(voxel) {
    at = voxel.map((v, axis) => Math.min(data.grid[axis] - 1, Math.max(0, v)));
    panes.reveal(at.map((v, axis) => (v + 0.5) * data.units[axis]));
    changed();
  }

  /** Zoom to an object, with the point in it. */
  function goTo({ side, k, box }) {
    const corner = (start) => box.slice(start, start + 3).map((v, axis) => v * data.units[axis]);
    panes.to(corner(0), corner(3));
    setPoint(data[side].points[k]);
  }

  return {
    show, paint, objectsAt, goTo, setPoint, fit: panes.fit, resize: panes.resize, zoomBy: panes.by, move: panes.move,
    point: () => at,
    pointAt: (x, y) => {
      const voxel = voxelAt(x, y);
      if (voxel) setPoint(voxel);
    },
    onChange: (call) => { changed = () => call(data, at); },
  };
}
