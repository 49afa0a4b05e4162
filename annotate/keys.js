// Keys, buttons and the mouse. The table KEYS is both what the keyboard does and what the help shows.

const KEYS = [
  [["Space"], "play or pause", togglePlay],
  [["ArrowLeft", "ArrowRight"], "one frame back, on", (combo) => step(combo.endsWith("Left") ? -1 : 1)],
  [["Shift+ArrowLeft", "Shift+ArrowRight"], "ten frames back, on", (combo) => step(combo.endsWith("Left") ? -10 : 10)],
  [["Home", "End"], "first frame, last frame", (combo) => step(combo === "Home" ? -Infinity : Infinity)],
  [["Enter", "M"], "say what is done, mark its end at the frame shown", mark],
  [["E"], "edit the text of the current stage", () => onCurrent((k) => $("stages").children[k].querySelector(".text").select())],
  [["Alt+ArrowLeft", "Alt+ArrowRight"], "move the end of the current stage by a frame",
    (combo) => onCurrent((k, stage) => { pause(); moveEnd(k, stage.end + (combo.endsWith("Left") ? -1 : 1)); })],
  [["Backspace"], "take the end of the current stage back", removeCurrent],
  [["X"], "leave the current stage out, or take it in again", () => onCurrent(toggleExcluded)],
  [["Ctrl+Z"], "undo", () => episode.undo()],
  [["Ctrl+Shift+Z", "Ctrl+Y"], "redo", () => episode.redo()],
  [["Ctrl+S"], "save now (every change is saved by itself)", flush],
  [["?"], "this list", () => $("keys").showModal()],
  [["Escape"], "leave a text field", () => {}],
];

function combination(event) {
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const letter = key.length > 1 || /[A-Z]/.test(key);
  const held = [(event.ctrlKey || event.metaKey) && "Ctrl", event.altKey && "Alt", event.shiftKey && letter && "Shift"];
  return [...held.filter(Boolean), key].join("+");
}

function onKey(event) {
  if (!root.isConnected) return window.removeEventListener("keydown", onKey);
  if (event.isComposing || root.offsetParent === null || $("keys").open || $("conflict").open) return;
  const at = event.composedPath()[0];
  const combo = combination(event);
  const typing = at.matches?.("input, textarea, select, [contenteditable=true]");
  if (typing && at.closest?.("#stage-timeline")) {
    if (combo === "Escape" && at.closest(".stages")) { render(); fillRow(at.closest("li"), stages()[[...$("stages").children].indexOf(at.closest("li"))]); }
    if (combo === "Enter" && at.id === "subtask") { event.preventDefault(); mark(); return; }
    if (combo === "Enter" || combo === "Escape") return at.blur();
  }
  if (typing && combo !== "Ctrl+S") return;
  if (at.matches?.("button, a, [role=button]") && (combo === "Space" || combo === "Enter")) return;
  const row = KEYS.find(([combos]) => combos.includes(combo));
  if (!row) return;
  event.preventDefault();
  row[2](combo);
}
window.addEventListener("keydown", onKey);

for (const [combos, text] of KEYS) {
  const row = $("key-rows").insertRow();
  const keys = row.insertCell();
  for (const combo of combos) {
    const shownKey = combo.replace("ArrowLeft", "←").replace("ArrowRight", "→").replace("Escape", "Esc");
    keys.append(Object.assign(document.createElement("kbd"), { textContent: shownKey }));
  }
  row.insertCell().textContent = text;
}

const CLICKS = {
  play: togglePlay, back: () => step(-1), on: () => step(1), mark, undo: () => episode.undo(), redo: () => episode.redo(),
  done: () => decide(true), "not-done": () => decide(false),
  help: () => $("keys").showModal(), "keys-close": () => $("keys").close(),
  "keep-mine": () => { $("conflict").close(); episode.settle(true); },
  "take-theirs": () => { $("conflict").close(); episode.settle(false); },
};
for (const [id, action] of Object.entries(CLICKS)) $(id).addEventListener("click", action);
root.addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest("button")?.blur(); // after a mouse click the keys are the editor's again
});
$("conflict").addEventListener("cancel", (event) => event.preventDefault());

for (const id of ["task", "reason"]) $(id).addEventListener("input", () => episode.doc && episode.change({ [id]: $(id).value }, id));
$("cutoff").addEventListener("input", () => {
  const value = $("cutoff").valueAsNumber;
  if (episode.doc) episode.change({ final_progress: Number.isFinite(value) ? value : null }, "cutoff");
});

let drag = null;
const place = (event) => { const box = $("track").getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
$("track").addEventListener("pointerdown", (event) => {
  if (!episode.doc || event.button !== 0) return;
  pause();
  $("track").setPointerCapture(event.pointerId);
  drag = { number: track.boundaryAt(...place(event), stages()) };
  if (drag.number < 0) go(track.frameAt(place(event)[0]));
});
$("track").addEventListener("pointermove", (event) => {
  const [x, y] = place(event);
  if (!drag) { $("track").style.cursor = track.boundaryAt(x, y, stages()) < 0 ? "" : "ew-resize"; return; }
  if (drag.number < 0) return go(track.frameAt(x));
  const all = episode.doc.stages, k = drag.number;
  const highest = k + 1 < all.length ? all[k + 1].end - 1 : track.count;
  drag.end = Math.min(Math.max(Math.round((x / track.width) * track.count), all[k].start + 1), highest);
  preview = all.map((stage, n) => n === k ? { ...stage, end: drag.end } : n === k + 1 ? { ...stage, start: drag.end } : stage);
  go(drag.end - 1);
  render();
});
for (const name of ["pointerup", "pointercancel"]) {
  $("track").addEventListener(name, async () => {
    const { number, end } = drag ?? {};
    drag = null;
    if (end !== undefined && name === "pointerup" && end !== episode.doc.stages[number].end) await moveEnd(number, end);
    preview = null;
    render();
  });
}

new ResizeObserver(draw).observe($("track"));
new MutationObserver(draw).observe(document.body, { attributes: true, attributeFilter: ["class"] });
watch("value", () => open(props.value?.id));
open(props.value?.id);
