/** Pointers on the canvas: the wheel zooms, dragging moves, pinching with two fingers does both. On a volume a click
 * moves the point, and the wheel with Shift goes through the planes. */
const CLICK = 4; // screen pixels that a pointer may move while it clicks

function listenToPointers(canvas, viewer, controls, say) {
  const held = new Map();
  let click = null; // where a pointer went down; null if it has moved since
  const place = (event) => [event.clientX - canvas.getBoundingClientRect().left, event.clientY - canvas.getBoundingClientRect().top];
  const spread = () => {
    const [[x0, y0], [x1, y1]] = [...held.values()];
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, length: Math.max(1, Math.hypot(x1 - x0, y1 - y0)) };
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey && viewer.isVolume()) {
      controls.step(0, Math.sign(event.deltaY || event.deltaX));
      return;
    }
    const lines = event.deltaMode === 1 ? 30 : 1;
    viewer.zoomBy(Math.exp(-0.002 * Math.max(-200, Math.min(200, lines * event.deltaY))), ...place(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("dragged");
    held.set(event.pointerId, place(event));
    click = held.size === 1 ? place(event) : null;
    say(viewer.describeAt(...place(event)));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) {
      say(viewer.describeAt(...place(event)));
      return;
    }
    const before = held.size === 2 ? spread() : null;
    const [x, y] = held.get(event.pointerId);
    const [toX, toY] = place(event);
    if (click && viewer.isVolume() && Math.hypot(toX - click[0], toY - click[1]) <= CLICK) return;
    click = null;
    held.set(event.pointerId, [toX, toY]);
    if (before) {
      const after = spread();
      viewer.move(after.x - before.x, after.y - before.y, after.x, after.y);
      viewer.zoomBy(after.length / before.length, after.x, after.y);
    } else if (held.size === 1) viewer.move(toX - x, toY - y, x, y);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      held.delete(event.pointerId);
      if (click && kind === "pointerup" && viewer.isVolume()) viewer.volume.pointAt(...click);
      click = null;
      canvas.classList.toggle("dragged", held.size > 0);
    });
  }
}
