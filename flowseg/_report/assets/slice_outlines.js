/** Outlines of the objects of one slice of a volume, along the edges of its voxels. */
const TURNS = [[1, 0], [0, 1], [-1, 0], [0, -1]]; // x and y of a step to the right, down, left, up

/** Paths by number of the object (from 0), and all of them together. `numbers` holds 0 for background, else k + 1. */
function traceSlice({ numbers, rows, columns }) {
  const [paths, all] = [new Map(), new Path2D()];
  const walked = new Uint8Array(numbers.length); // edges above pixels that are part of a ring already
  for (let place = 0; place < numbers.length; place++) {
    const value = numbers[place];
    if (!value || walked[place] || (place >= columns && numbers[place - columns] === value)) continue;
    let path = paths.get(value - 1);
    if (!path) paths.set(value - 1, path = new Path2D());
    traceRing({ numbers, rows, columns }, walked, place, path);
  }
  for (const path of paths.values()) all.addPath(path);
  return { paths, all };
}

/** Follow the edge above a pixel, with the object on the right-hand side, until the ring is closed. Where two parts of
 * an object touch at a corner, turn right, around the same part. */
function traceRing({ numbers, rows, columns }, walked, place, path) {
  const value = numbers[place];
  const has = (x, y) => x >= 0 && y >= 0 && x < columns && y < rows && numbers[y * columns + x] === value;
  const [startX, startY] = [place % columns, Math.floor(place / columns)];
  let [x, y, turn] = [startX, startY, 0];
  path.moveTo(x, y);
  do {
    if (turn === 0) walked[y * columns + x] = 1;
    x += TURNS[turn][0];
    y += TURNS[turn][1];
    // The two pixels ahead of this corner, to the left and to the right of the way.
    const [dx, dy] = TURNS[turn];
    const right = has(x + (dx - dy - 1) / 2, y + (dy + dx - 1) / 2);
    const left = has(x + (dx + dy - 1) / 2, y + (dy - dx - 1) / 2);
    const next = !right ? (turn + 1) % 4 : left ? (turn + 3) % 4 : turn;
    if (next !== turn) path.lineTo(x, y);
    turn = next;
  } while (x !== startX || y !== startY || turn !== 0);
  path.closePath();
}
