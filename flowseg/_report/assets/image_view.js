/** One image with its layers. `stage` holds the canvas, the layers and what the user has chosen. */
const PICTURES_KEPT = 4; // decoded pictures in memory

function makeImageView(stage) {
  const { canvas, context, layers } = stage;
  const zoom = makeZoom(canvas, stage.draw);
  const pictures = new Map(); // by number of the image, the one used last at the end
  let data = null;
  let shown = -1;

  /** The picture, decoded on first use; null until that is done. */
  function pictureOf(number) {
    const source = byId(`picture-${number}`);
    if (!source) return null;
    let picture = pictures.get(number);
    if (!picture) {
      picture = new Image();
      picture.addEventListener("load", stage.draw);
      picture.src = source.textContent;
    }
    pictures.delete(number);
    pictures.set(number, picture);
    if (pictures.size > PICTURES_KEPT) pictures.delete(pictures.keys().next().value);
    return picture.complete && picture.naturalWidth ? picture : null;
  }

  function paint(ratio) {
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
      brighten(context, stage.gain, data.columns, data.rows);
    }
    context.restore();
    if (layers.errors) {
      for (const [name, kind] of Object.entries(KINDS)) {
        const path = new Path2D();
        for (const error of data.errors) if (error.kind === name) path.addPath(data[error.side].paths[error.k]);
        paintErrors(context, path, kind, ratio, scale);
      }
    }
    if (layers.true) paintOutlines(context, data.true.all, "true", ratio / scale, true);
    if (layers.predicted) paintOutlines(context, data.predicted.all, "predicted", ratio / scale, !layers.true);
  }

  function show(number, objects) {
    shown = number;
    data = objects;
    tracePaths(data);
    data.factor = data.factor || 1;
    zoom.setSize(data.columns, data.rows);
  }

  /** The numbers of the objects of both sides at a place on the screen, -1 where there is none. */
  function objectsAt(x, y) {
    const [column, row] = zoom.imagePlace(x, y);
    context.setTransform(1, 0, 0, 1, 0, 0);
    return SIDES.map((side) => objectAt(data, side, context, column, row));
  }

  return {
    show, paint, objectsAt, resize: zoom.refit, fit: zoom.fit, zoomBy: zoom.by, move: zoom.move,
    goTo: (error) => zoom.to(error.box),
  };
}
