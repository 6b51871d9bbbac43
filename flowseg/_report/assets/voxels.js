/** Voxels and numbers of objects of one volume, read from the page once, and the slices that are cut from them. */
const VIEWS = [
  { down: 1, across: 2, unseen: 0 }, // a plane
  { down: 0, across: 2, unseen: 1 }, // below it: planes and columns
  { down: 1, across: 0, unseen: 2 }, // to its right: rows and planes
];

/** The volume of an image, from its compressed blocks. */
async function readVolume(number, data) {
  const [picture, ...sides] = await Promise.all([
    data.channels ? readBytes(`picture-${number}`) : null,
    ...SIDES.map((side) => readBytes(`${side}-${number}`)),
  ]);
  const volume = { grid: data.grid, channels: data.channels, voxels: picture && new Uint8Array(picture) };
  SIDES.forEach((side, k) => { volume[side] = data[side].bytes === 2 ? new Uint16Array(sides[k]) : new Uint32Array(sides[k]); });
  return volume;
}

/** Call `visit` with the index of every voxel of a slice, row by row. */
function walkSlice(grid, { down, across, unseen }, index, visit) {
  const steps = [grid[1] * grid[2], grid[2], 1];
  let place = 0;
  for (let i = 0; i < grid[down]; i++) {
    let voxel = index * steps[unseen] + i * steps[down];
    for (let j = 0; j < grid[across]; j++, voxel += steps[across]) visit(place++, voxel);
  }
}

/** The picture of a slice, as a canvas; null if the page has no image. */
function cutPicture(volume, view, index) {
  if (!volume.voxels) return null;
  const { grid, channels, voxels } = volume;
  const canvas = make("canvas", { width: grid[view.across], height: grid[view.down] });
  const context = canvas.getContext("2d");
  const picture = context.createImageData(canvas.width, canvas.height);
  const pixels = picture.data;
  const [green, blue] = channels === 3 ? [1, 2] : [0, 0];
  walkSlice(grid, view, index, (place, voxel) => {
    pixels[4 * place] = voxels[channels * voxel];
    pixels[4 * place + 1] = voxels[channels * voxel + green];
    pixels[4 * place + 2] = voxels[channels * voxel + blue];
    pixels[4 * place + 3] = 255;
  });
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** The outlines of a side in a slice. */
function cutOutlines(volume, side, view, index) {
  const { grid } = volume;
  const [rows, columns] = [grid[view.down], grid[view.across]];
  const numbers = new Uint32Array(rows * columns);
  const from = volume[side];
  walkSlice(grid, view, index, (place, voxel) => { numbers[place] = from[voxel]; });
  return traceSlice({ numbers, rows, columns });
}
