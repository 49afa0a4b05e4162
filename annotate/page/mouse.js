// The mouse on the timeline: scrub, drag a boundary (it snaps to proposals), zoom and pan with the wheel. Knows the state.

import { moveEnd } from "./marking.js";
import { render } from "./marking_view.js";
import { go, pause } from "./player.js";
import { $, stages, state } from "./state.js";
import { drawSoon } from "./timeline.js";

const SNAP_PIXELS = 7;
const DRAG_PIXELS = 4; // a hand that only clicks moves the mouse by less

export function listenToMouse() {
  const canvas = $("track");
  canvas.addEventListener("pointerdown", onDown);
  canvas.addEventListener("pointermove", onMove);
  canvas.addEventListener("pointerup", onUp);
  canvas.addEventListener("pointercancel", cancelDrag);
  canvas.addEventListener("wheel", onWheel, { passive: false });
}

/** End a drag without an edit. */
export function cancelDrag() {
  state.drag = null;
  state.dragged = null;
  render();
}

function position(event) {
  const box = $("track").getBoundingClientRect();
  const { scale } = state.track;
  return [(event.clientX - box.left) / scale, (event.clientY - box.top) / scale];
}

function onDown(event) {
  if (event.button !== 0 || !state.episode.marking) return;
  const [x, y] = position(event);
  $("track").setPointerCapture(event.pointerId);
  pause();
  state.drag = { number: state.track.boundaryAt(x, y, stages()), from: x };
  if (state.drag.number < 0) go(state.track.frameAt(x));
}

function onMove(event) {
  const { drag, track, episode } = state;
  const [x, y] = position(event);
  if (!drag) {
    $("track").style.cursor = track.boundaryAt(x, y, stages()) < 0 ? "" : "ew-resize";
    return;
  }
  if (drag.number < 0) return go(track.frameAt(x));
  if (drag.end === undefined && Math.abs(x - drag.from) < DRAG_PIXELS) return;
  const all = episode.marking.stages;
  const k = drag.number;
  const highest = k + 1 < all.length ? all[k + 1].end - 1 : track.count;
  const end = event.altKey ? Math.round(track.at(x)) : snapped(x);
  drag.end = Math.min(Math.max(end, all[k].start + 1), highest);
  state.dragged = all.map((stage, n) => {
    if (n === k) return { ...stage, end: drag.end };
    return n === k + 1 ? { ...stage, start: drag.end } : stage;
  });
  go(drag.end - 1);
  render();
}

/** Boundary nearest to x: a proposal within a few pixels, else the frame itself. */
function snapped(x) {
  const { track, proposals } = state;
  const distance = (frame) => Math.abs(track.xOf(frame) - x);
  const [nearest] = [...proposals].sort((a, b) => distance(a) - distance(b));
  return nearest !== undefined && distance(nearest) <= SNAP_PIXELS ? nearest : Math.round(track.at(x));
}

async function onUp() {
  const { number, end, from } = state.drag ?? {};
  state.drag = null;
  if (end !== undefined && end !== state.episode.marking.stages[number].end) await moveEnd(number, end);
  else if (number >= 0 && end === undefined) go(state.track.frameAt(from)); // a click shows the frame, as elsewhere
  cancelDrag();
}

function onWheel(event) {
  const { track, episode } = state;
  if (!episode.marking) return;
  event.preventDefault();
  const length = track.to - track.from;
  if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    track.show(track.from + ((event.deltaX || event.deltaY) / track.width) * length, length);
  } else {
    track.zoom(position(event)[0], event.deltaY > 0 ? 1.25 : 0.8);
  }
  drawSoon();
}
