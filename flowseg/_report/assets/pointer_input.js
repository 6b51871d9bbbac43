/** Pointers on the canvas: the wheel zooms, dragging moves, pinching with two fingers does both. */
function listenToPointers(canvas, viewer, say) {
  const held = new Map();
  const place = (event) => [event.clientX - canvas.getBoundingClientRect().left, event.clientY - canvas.getBoundingClientRect().top];
  const spread = () => {
    const [[x0, y0], [x1, y1]] = [...held.values()];
    return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, length: Math.max(1, Math.hypot(x1 - x0, y1 - y0)) };
  };
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    viewer.zoom.by(Math.exp(-0.002 * Math.max(-200, Math.min(200, lines * event.deltaY))), ...place(event));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.classList.add("dragged");
    held.set(event.pointerId, place(event));
    say(viewer.describeAt(...place(event)));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!held.has(event.pointerId)) {
      say(viewer.describeAt(...place(event)));
      return;
    }
    const before = held.size === 2 ? spread() : null;
    const [x, y] = held.get(event.pointerId);
    held.set(event.pointerId, place(event));
    if (before) {
      const after = spread();
      viewer.zoom.move(after.x - before.x, after.y - before.y);
      viewer.zoom.by(after.length / before.length, after.x, after.y);
    } else if (held.size === 1) viewer.zoom.move(place(event)[0] - x, place(event)[1] - y);
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      held.delete(event.pointerId);
      canvas.classList.toggle("dragged", held.size > 0);
    });
  }
}
