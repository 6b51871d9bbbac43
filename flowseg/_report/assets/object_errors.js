/** Kinds of errors. Color and pattern differ, so that they can be distinguished without color as well. */
const KINDS = {
  "false-negative": { words: ["false negative", "false negatives"], side: "true", color: "#d55e00", hatch: [[0, 8, 8, 0]] },
  "false-positive": { words: ["false positive", "false positives"], side: "predicted", color: "#f0e442", hatch: [[0, 0, 8, 8]] },
  split: { words: ["split", "splits"], side: "true", color: "#00b383", hatch: [[4, 0, 4, 8]] },
  merge: { words: ["merge", "merges"], side: "predicted", color: "#cc79a7", hatch: [[0, 4, 8, 4]] },
};

const SIDES = ["true", "predicted"];

/** The pattern of a kind, as lines of `ratio` device pixels per CSS pixel. */
function makeHatch(context, kind, ratio) {
  const tile = make("canvas");
  tile.width = tile.height = Math.round(8 * ratio);
  const inside = tile.getContext("2d");
  inside.scale(tile.width / 8, tile.height / 8);
  inside.strokeStyle = kind.color;
  inside.lineWidth = 1.5;
  for (const [x0, y0, x1, y1] of kind.hatch) {
    for (const [dx, dy] of x0 === x1 || y0 === y1 ? [[0, 0]] : [[0, 0], [8, 0], [-8, 0]]) {
      inside.beginPath();
      inside.moveTo(x0 + dx, y0 + dy);
      inside.lineTo(x1 + dx, y1 + dy);
      inside.stroke();
    }
  }
  return context.createPattern(tile, "repeat");
}

/** Make paths of the outlines of one image, in its pixels, with the box of each object. */
function tracePaths(data) {
  for (const side of SIDES) {
    const all = new Path2D();
    const objects = data[side];
    objects.paths = objects.rings.map((rings) => {
      const path = new Path2D();
      rings.forEach((ring) => addRing(path, ring));
      all.addPath(path);
      return path;
    });
    objects.boxes = objects.rings.map(findBox);
    objects.all = all;
  }
}

/** A ring is a corner (x, y), then moves along x, along y, along x, ... */
function addRing(path, ring) {
  let [x, y] = ring;
  path.moveTo(x, y);
  for (let k = 2; k < ring.length - 1; k++) {
    if (k % 2) y += ring[k];
    else x += ring[k];
    path.lineTo(x, y);
  }
  path.closePath();
}

function findBox(rings) {
  const box = [Infinity, Infinity, -Infinity, -Infinity];
  for (const ring of rings) {
    let [x, y] = ring;
    for (let k = 2; k < ring.length; k++) {
      if (k % 2) y += ring[k];
      else x += ring[k];
      box[0] = Math.min(box[0], x);
      box[1] = Math.min(box[1], y);
      box[2] = Math.max(box[2], x);
      box[3] = Math.max(box[3], y);
    }
  }
  return box;
}

/** The kind of error of object k of a side: "" if it matches, "shared" if the error is its partner's. */
function errorOf(data, side, k, threshold) {
  const objects = data[side];
  if (objects.parts[k] > 1) return side === "true" ? "split" : "merge";
  if (objects.iou[k] >= threshold) return "";
  if (objects.shared[k]) return "shared";
  return side === "true" ? "false-negative" : "false-positive";
}

/** All errors of an image from top to bottom, of a volume from the first plane to the last. */
function findErrors(data, threshold) {
  const errors = [];
  for (const side of SIDES) {
    data[side].label.forEach((label, k) => {
      const kind = errorOf(data, side, k, threshold);
      if (KINDS[kind]) errors.push({ kind, side, k, label, box: data[side].boxes[k] });
    });
  }
  const order = data.shape ? [0, 1, 2] : [1, 0];
  return errors.sort((a, b) => order.reduce((by, axis) => by || a.box[axis] - b.box[axis], 0));
}

/** One sentence about an object. */
function describeObject(data, side, k, threshold) {
  const objects = data[side];
  const other = side === "true" ? "predicted" : "true";
  const iou = objects.iou[k] ? `matches at IoU ${objects.iou[k].toFixed(2)}` : "no match at IoU 0.5";
  const kind = errorOf(data, side, k, threshold);
  const parts = objects.parts[k] > 1 ? `, over ${objects.parts[k]} ${other} objects` : "";
  const words = kind === "shared" ? (side === "true" ? "in a merge" : "part of a split") : kind ? KINDS[kind].words[0] : "matched";
  return `${side} object ${objects.label[k]}: ${words}${parts}, ${iou}`;
}

/** The object of a side at a place, or -1. */
function objectAt(data, side, context, x, y) {
  const { paths, boxes } = data[side];
  return paths.findIndex((path, k) => {
    const [x0, y0, x1, y1] = boxes[k];
    return x >= x0 && x <= x1 && y >= y0 && y <= y1 && context.isPointInPath(path, x, y, "evenodd");
  });
}
