// The mouse on the timeline: scrub, drag a boundary (it snaps to proposals), zoom and pan with the wheel.

const SNAP_PIXELS = 7;
let drag = null; // { number: of the stage whose end is dragged or -1 while scrubbing, end }

const dragging = () => drag !== null;
const place = (event) => {
  const box = $("track").getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

$("track").addEventListener("pointerdown", (event) => {
  if (event.button !== 0 || !episode.doc) return;
  const [x, y] = place(event);
  $("track").setPointerCapture(event.pointerId);
  pause();
  drag = { number: track.boundaryAt(x, y, stages()) };
  if (drag.number < 0) go(track.frameAt(x));
});

$("track").addEventListener("pointermove", (event) => {
  const [x, y] = place(event);
  if (!drag) {
    $("track").style.cursor = track.boundaryAt(x, y, stages()) < 0 ? "" : "ew-resize";
    return;
  }
  if (drag.number < 0) return go(track.frameAt(x));
  const all = episode.doc.stages, k = drag.number;
  const highest = k + 1 < all.length ? all[k + 1].end - 1 : track.count;
  drag.end = Math.min(Math.max(event.altKey ? Math.round(track.at(x)) : snapped(x), all[k].start + 1), highest);
  preview = all.map((stage, n) => n === k ? { ...stage, end: drag.end } : n === k + 1 ? { ...stage, start: drag.end } : stage);
  go(drag.end - 1);
  render();
});

/** Boundary nearest to x: a proposal within a few pixels, else the frame itself. */
function snapped(x) {
  const distance = (tick) => Math.abs(track.xOf(tick) - x);
  const nearest = proposals.reduce((best, tick) => (best === null || distance(tick) < distance(best) ? tick : best), null);
  return nearest !== null && distance(nearest) <= SNAP_PIXELS ? nearest : Math.round(track.at(x));
}

function dropDrag() {
  drag = null;
  preview = null;
  render();
}

$("track").addEventListener("pointerup", async () => {
  const { number, end } = drag ?? {};
  drag = null;
  if (end !== undefined && end !== episode.doc.stages[number].end) await moveEnd(number, () => end);
  dropDrag();
});
$("track").addEventListener("pointercancel", dropDrag);

$("track").addEventListener("wheel", (event) => {
  if (!episode.doc) return;
  event.preventDefault();
  const along = event.deltaX || event.deltaY;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    track.show(track.from + (along / track.width) * (track.to - track.from), track.to - track.from);
  } else track.zoom(place(event)[0], event.deltaY > 0 ? 1.25 : 0.8);
  drawSoon();
}, { passive: false });
