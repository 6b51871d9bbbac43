/** The point of a volume: three sliders, and keys. Voxels are counted from 0, as in arrays. */
const AXES = ["plane", "row", "column"];

function makePointControls(viewer) {
  const sliders = AXES.map((name) => byId(`at-${name}`));
  viewer.volume.onChange((data, at) => {
    sliders.forEach((slider, axis) => {
      slider.max = data.grid[axis] - 1;
      slider.value = at[axis];
      const words = String(voxelOf(data, axis, at[axis]));
      slider.setAttribute("aria-valuetext", `${words} of 0 to ${data.shape[axis] - 1}`);
      byId(`at-${AXES[axis]}-value`).textContent = words;
    });
  });
  sliders.forEach((slider) => slider.addEventListener("input", () => viewer.volume.setPoint(sliders.map((s) => Number(s.value)))));

  /** The voxel of the whole volume that one of the page stands for: the middle of its group. */
  function voxelOf(data, axis, index) {
    const factor = data.factors[axis];
    return Math.min(index * factor + Math.floor(factor / 2), data.shape[axis] - 1);
  }

  function step(axis, by) {
    const at = [...viewer.volume.point()];
    at[axis] += by;
    viewer.volume.setPoint(at);
  }

  /** Do the action of a key; false if it has none. Arrows and pages belong to the picture when it has the focus. */
  function pressed(key, onCanvas) {
    const moves = { ",": [0, -1], ".": [0, 1] };
    if (onCanvas) {
      Object.assign(moves, { PageUp: [0, -1], PageDown: [0, 1], ArrowUp: [1, -1], ArrowDown: [1, 1], ArrowLeft: [2, -1], ArrowRight: [2, 1] });
    }
    if (!viewer.isVolume() || !moves[key]) return false;
    step(...moves[key]);
    return true;
  }

  function showControls() {
    for (const id of ["point", "volume-keys"]) byId(id).hidden = !viewer.isVolume();
  }

  return { pressed, step, show: showControls };
}
