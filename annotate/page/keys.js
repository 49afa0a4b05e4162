// Keys and buttons. The table KEYS is both what the keyboard does and what the help shows.

const LEFT = (combo) => combo.endsWith("Left") || combo === ",";
const KEYS = [
  ["Look", [
    [["Space", "K"], "play or pause", togglePlay],
    [["J", "L"], "play backwards, forwards; again: ×2, ×4, ×8", (combo) => shuttle(combo === "J" ? -1 : 1)],
    [["ArrowLeft", "ArrowRight", ",", "."], "one frame back, on", (combo) => step(LEFT(combo) ? -1 : 1)],
    [["Shift+ArrowLeft", "Shift+ArrowRight"], "ten frames back, on", (combo) => step(LEFT(combo) ? -10 : 10)],
    [["ArrowUp", "ArrowDown", "Ctrl+ArrowLeft", "Ctrl+ArrowRight"], "last frame of the stage before, after",
      (combo) => toBoundary(combo === "ArrowUp" || LEFT(combo) ? -1 : 1)],
    [["Home", "End"], "first frame, last frame", (combo) => step(combo === "Home" ? -Infinity : Infinity)],
    [["G"], "go to a frame by its number", () => $("goto").select()],
    [["R"], "play the current stage in a loop", toggleLoop],
    [["+", "-", "0"], "zoom in, out, whole video (wheel: at the pointer; Shift+wheel: along)", zoomBy],
  ]],
  ["Mark", [
    [["Enter", "M"], "say what is done, mark its end at the frame shown", mark],
    [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "mark the end with that label", (combo) => markWith(labels()[combo - 1])],
    [["A"], "go to the next proposed end and say what is done", acceptProposal],
    [["[", "]"], "look at the proposed end before, after", (combo) => toProposal(combo === "[" ? -1 : 1)],
    [["Alt+ArrowLeft", "Alt+ArrowRight"], "move the end of the current stage by a frame", (combo) => nudge(LEFT(combo) ? -1 : 1)],
    [["E"], "edit the text of the current stage", editCurrent],
    [["X"], "leave the current stage out, or take it in again", () => onCurrent(toggleExcluded)],
    [["B"], "the attempt fails at the end of the current stage: falls back to it, to one before, not",
      () => onCurrent(() => episode.edit("fall_back", (all) => all.length && { number: current(all) }))],
    [["Backspace", "Delete"], "take the end of the current stage back", removeCurrent],
    [["C"], "copy the stages of the episode before", copyEarlier],
    [["T"], "edit the task", () => $("task").select()],
    [["D", "F"], "it ends: Done, Not done", (combo) => decide(combo === "D")],
  ]],
  ["Work", [
    [["Ctrl+Z"], "undo", () => episode.undo()],
    [["Ctrl+Shift+Z", "Ctrl+Y"], "redo", () => episode.redo()],
    [["Ctrl+S"], "save now (every change is saved by itself)", flush],
    [["Ctrl+Enter"], "check and make samples", generate],
    [["N", "P"], "next, previous episode", (combo) => turnTo(combo === "N" ? 1 : -1)],
    [["U"], "next unlabelled episode", toUnlabelled],
    [["?"], "this list", () => $("keys").showModal()],
    [["Escape"], "cancel: leave a field, end a drag, stop", cancel],
  ]],
];
const ACTIONS = new Map(KEYS.flatMap(([, rows]) => rows.flatMap(([combos, , action]) => combos.map((combo) => [combo, action]))));
const WHILE_TYPING = ["Ctrl+S", "Ctrl+Enter"];

function combination(event) {
  let key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  if (key === "=") key = "+";
  if (key === "_") key = "-";
  const shifted = key.length > 1 || /[A-Z]/.test(key); // a sign like "?" has its Shift in it already
  const held = [(event.ctrlKey || event.metaKey) && "Ctrl", event.altKey && "Alt", event.shiftKey && shifted && "Shift"];
  return [...held.filter(Boolean), key].join("+");
}

function onKey(event) {
  if (!root.isConnected) return window.removeEventListener("keydown", onKey);
  if (event.isComposing || root.offsetParent === null || $("keys").open || $("conflict").open) return;
  const at = event.composedPath()[0];
  const combo = combination(event);
  if (at.matches?.("input:not([type=file]), textarea, select, [contenteditable=true]") && !WHILE_TYPING.includes(combo)) {
    return onTyping(event, at, combo);
  }
  if (at.matches?.("button, a, input, [role=button]") && (combo === "Space" || combo === "Enter")) return;
  if (at.matches?.("[role=tab]") && ["ArrowLeft", "ArrowRight"].includes(combo)) return;
  const action = ACTIONS.get(combo);
  if (!action) return;
  event.preventDefault();
  action(combo);
}
window.addEventListener("keydown", onKey);

/** In a field: Enter takes it, Esc leaves it as it was, all else is text. */
function onTyping(event, at, combo) {
  if (!root.contains(at) || !["Enter", "Escape"].includes(combo) || at.matches("select")) return;
  event.preventDefault();
  if (combo === "Enter" && at.id === "subtask") return mark();
  if (combo === "Enter" && at.id === "goto") goToTyped();
  if (combo === "Escape" && at.id === "subtask") at.value = "";
  at.blur();
}

function goToTyped() {
  const frame = $("goto").valueAsNumber;
  if (Number.isInteger(frame)) { pause(); go(frame); }
  $("goto").value = "";
}

function zoomBy(combo) {
  const middle = shown === null ? track.width / 2 : track.xOf(shown + 0.5);
  if (combo === "0") track.show(0, track.count);
  else track.zoom(middle, combo === "+" ? 1 / 1.6 : 1.6);
  draw();
}

function cancel() {
  if (dragging()) return dropDrag();
  pause();
}

for (const [title, rows] of KEYS) {
  const table = document.createElement("table");
  table.createCaption().textContent = title;
  for (const [combos, text] of rows) {
    const row = table.insertRow();
    const keys = row.insertCell();
    for (const combo of combos[0] === "1" ? ["1", "…", "9"] : combos) {
      const signs = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Escape: "Esc", Backspace: "⌫", Delete: "Del" };
      const shownKey = combo.replace(/\w+$/, (key) => signs[key] ?? key);
      keys.append(Object.assign(document.createElement(combo === "…" ? "span" : "kbd"), { textContent: shownKey }));
    }
    row.insertCell().textContent = text;
  }
  $("key-tables").append(table);
}

const CLICKS = {
  play: togglePlay, back: () => step(-1), on: () => step(1), mark, undo: () => episode.undo(), redo: () => episode.redo(),
  done: () => decide(true), "not-done": () => decide(false), copy: copyEarlier, generate,
  "previous-episode": () => turnTo(-1), "next-episode": () => turnTo(1), unlabelled: toUnlabelled,
  help: () => $("keys").showModal(), "keys-close": () => $("keys").close(),
  "keep-mine": () => settle(true), "take-theirs": () => settle(false),
  "samples-tab": () => showPanel("samples"), "predictions-tab": () => showPanel("predictions"),
  "choose-results": () => $("result-files").click(),
};
for (const [id, action] of Object.entries(CLICKS)) $(id).addEventListener("click", action);
root.addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest("button")?.blur(); // after a mouse click the keys are the editor's again
});
$("conflict").addEventListener("cancel", (event) => event.preventDefault());
$("tabs").addEventListener("keydown", (event) => {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const other = $("samples").hidden ? "samples" : "predictions";
  showPanel(other);
  $(`${other}-tab`).focus();
});
$("result-files").addEventListener("change", () => loadResults([...$("result-files").files]));
$("episode").addEventListener("change", () => { const id = $("episode").value; $("episode").blur(); open(id); });

for (const id of ["task", "reason"]) $(id).addEventListener("input", () => episode.doc && episode.change({ [id]: $(id).value }, id));
$("cutoff").addEventListener("input", () => {
  const cutoff = $("cutoff").valueAsNumber;
  const percent = Number.isFinite(cutoff) ? Math.round(cutoff * 1e8) / 1e6 : null;
  if (episode.doc) episode.change({ final_progress: percent }, "cutoff");
});
