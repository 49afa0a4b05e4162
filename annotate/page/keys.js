// Keys and buttons. The table KEYS is both what the keyboard does and what the help shows. Knows every action of the page.

import { showPanel } from "./cards.js";
import {
  acceptProposal,
  copyStages,
  decide,
  fallBackCurrent,
  findLabels,
  mark,
  markWith,
  nudge,
  removeCurrent,
  renameCurrent,
  startOver,
  toBoundary,
  toggleCurrent,
  toggleLoop,
  toProposal,
} from "./marking.js";
import { cancelDrag } from "./mouse.js";
import { go, pause, shuttle, step, togglePlay } from "./player.js";
import { loadPredictions } from "./predictions.js";
import { openEpisode, openNeighbour, openUnlabelled } from "./queue.js";
import { showSamples } from "./samples.js";
import { flush, settleConflict } from "./saving.js";
import { $, labels, state } from "./state.js";
import { drawTimeline } from "./timeline.js";

const isLeft = (combo) => combo.endsWith("Left") || combo === ",";
const undo = () => state.episode.undo();
const redo = () => state.episode.redo();
const showKeys = () => $("keys").showModal();

// title of a group, then rows of [key combinations, help text, action(combination)]
const KEYS = [
  [
    "Look",
    [
      [["Space", "K"], "play or pause", togglePlay],
      [["J", "L"], "play backwards, forwards; again: ×2, ×4, ×8", (combo) => shuttle(combo === "J" ? -1 : 1)],
      [["ArrowLeft", "ArrowRight", ",", "."], "one frame back, forward", (combo) => step(isLeft(combo) ? -1 : 1)],
      [["Shift+ArrowLeft", "Shift+ArrowRight"], "ten frames back, forward", (combo) => step(isLeft(combo) ? -10 : 10)],
      [
        ["ArrowUp", "ArrowDown", "Ctrl+ArrowLeft", "Ctrl+ArrowRight"],
        "last frame of the previous, next stage",
        (combo) => toBoundary(combo === "ArrowUp" || isLeft(combo) ? -1 : 1),
      ],
      [["Home", "End"], "first frame, last frame", (combo) => step(combo === "Home" ? -Infinity : Infinity)],
      [["G"], "go to a frame by its number", () => $("goto").select()],
      [["R"], "play the current stage in a loop", toggleLoop],
      [["+", "-", "0"], "zoom in, out, whole video (wheel: zoom at the pointer; Shift+wheel: pan)", zoomBy],
    ],
  ],
  [
    "Mark",
    [
      [["Enter", "M"], "describe the stage and end it at the current frame", mark],
      [
        ["1", "2", "3", "4", "5", "6", "7", "8", "9"],
        "end the stage with this label",
        (combo) => markWith(labels()[combo - 1]),
      ],
      [["A"], "go to the next proposed end and describe the stage", acceptProposal],
      [["[", "]"], "go to the previous, next proposed end", (combo) => toProposal(combo === "[" ? -1 : 1)],
      [
        ["Alt+ArrowLeft", "Alt+ArrowRight"],
        "move the end of the current stage by one frame",
        (combo) => nudge(isLeft(combo) ? -1 : 1),
      ],
      [["E"], "edit the text of the current stage", renameCurrent],
      [["X"], "leave the current stage out of the samples, or include it again", toggleCurrent],
      [
        ["B"],
        "the attempt fails at the end of the current stage: fall back to it, to an earlier stage, to none",
        fallBackCurrent,
      ],
      [["Backspace", "Delete"], "remove the end of the current stage", removeCurrent],
      [["C"], "copy the stages of another episode of this task", copyStages],
      [["T"], "edit the task", () => $("task").select()],
      [["D", "F"], "outcome: Done (again: write why), Not done", (combo) => decide(combo === "D")],
    ],
  ],
  [
    "Work",
    [
      [["Ctrl+Z"], "undo", undo],
      [["Ctrl+Shift+Z", "Ctrl+Y"], "redo", redo],
      [["Ctrl+S"], "save now (every change is saved automatically)", flush],
      [["Ctrl+Enter"], "check and show samples", showSamples],
      [["N", "P"], "next, previous episode", (combo) => openNeighbour(combo === "N" ? 1 : -1)],
      [["U"], "next unlabelled episode", openUnlabelled],
      [["?"], "this list", showKeys],
      [["Escape"], "cancel: leave a field, end a drag, stop playing", cancel],
    ],
  ],
];
const ACTIONS = new Map(
  KEYS.flatMap(([, rows]) => rows.flatMap(([combos, , action]) => combos.map((combo) => [combo, action]))),
);
const WHILE_TYPING = ["Ctrl+S", "Ctrl+Enter"];
const SIGNS = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  Escape: "Esc",
  Backspace: "⌫",
  Delete: "Del",
};
const FIELDS = "input:not([type=file]), textarea, select, [contenteditable=true]";

// the actions of the buttons, by their ids
const CLICKS = {
  play: togglePlay,
  back: () => step(-1),
  forward: () => step(1),
  mark,
  undo,
  redo,
  done: () => decide(true),
  "not-done": () => decide(false),
  copy: copyStages,
  "start-over": () => $("start-over-dialog").showModal(),
  "start-over-yes": startOver,
  "start-over-no": () => $("start-over-dialog").close(),
  "show-samples": showSamples,
  "previous-episode": () => openNeighbour(-1),
  "next-episode": () => openNeighbour(1),
  unlabelled: openUnlabelled,
  help: showKeys,
  "keys-close": () => $("keys").close(),
  "keep-mine": () => settleConflict(true),
  "take-theirs": () => settleConflict(false),
  "samples-tab": () => showPanel("samples"),
  "predictions-tab": () => showPanel("predictions"),
  "choose-predictions": () => $("prediction-files").click(),
};

export function listenToKeys() {
  window.addEventListener("keydown", onKey);
  $("key-tables").replaceChildren(...KEYS.map(makeKeyTable));
}

export function listenToButtons() {
  for (const [id, action] of Object.entries(CLICKS)) $(id).addEventListener("click", action);
  state.root.addEventListener("click", (event) => {
    if (event.detail > 0) event.target.closest("button")?.blur(); // after a mouse click keys act on the video again
  });
  $("conflict").addEventListener("cancel", (event) => event.preventDefault());
  $("tabs").addEventListener("keydown", onTabKey);
  $("prediction-files").addEventListener("change", () => loadPredictions([...$("prediction-files").files]));
  $("episode").addEventListener("change", () => {
    const id = $("episode").value;
    $("episode").blur();
    openEpisode(id);
  });
  for (const id of ["task", "reason"]) {
    $(id).addEventListener("input", () => changeMarking({ [id]: $(id).value }, id));
  }
  $("reached").addEventListener("input", () => {
    const percent = $("reached").valueAsNumber;
    changeMarking({ final_progress: Number.isFinite(percent) ? percent : null }, "reached");
  });
  $("task").addEventListener("change", findLabels);
}

function changeMarking(values, tag) {
  if (state.episode.marking) state.episode.change(values, tag);
}

/** Name a key event as the table does: "Ctrl+Shift+Z". */
function combination(event) {
  let key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  if (key === "=") key = "+";
  if (key === "_") key = "-";
  const named = key.length > 1 || /[A-Z]/.test(key); // a sign such as "?" includes its Shift
  const held = [(event.ctrlKey || event.metaKey) && "Ctrl", event.altKey && "Alt", event.shiftKey && named && "Shift"];
  return [...held.filter(Boolean), key].join("+");
}

function onKey(event) {
  const { root } = state;
  if (!root.isConnected) return window.removeEventListener("keydown", onKey);
  if (event.isComposing || root.offsetParent === null || root.querySelector("dialog[open]")) return;
  const target = event.composedPath()[0];
  const combo = combination(event);
  if (target.matches?.(FIELDS) && !WHILE_TYPING.includes(combo)) return onTyping(event, target, combo);
  if (target.matches?.("button, a, input, [role=button]") && (combo === "Space" || combo === "Enter")) return;
  if (target.matches?.("[role=tab]") && ["ArrowLeft", "ArrowRight"].includes(combo)) return;
  const action = ACTIONS.get(combo);
  if (!action) return;
  event.preventDefault();
  action(combo);
}

/** In a field: Enter accepts it, Esc leaves it, all else is text. */
function onTyping(event, field, combo) {
  if (!state.root.contains(field) || !["Enter", "Escape"].includes(combo) || field.matches("select")) return;
  event.preventDefault();
  if (combo === "Enter" && field.id === "subtask") return mark();
  if (combo === "Enter" && field.id === "goto") goToTyped();
  if (combo === "Escape" && field.id === "subtask") field.value = "";
  field.blur();
}

function goToTyped() {
  const frame = $("goto").valueAsNumber;
  if (Number.isInteger(frame)) {
    pause();
    go(frame);
  }
  $("goto").value = "";
}

function zoomBy(combo) {
  const { track, shown } = state;
  const x = shown === null ? track.width / 2 : track.xOf(shown + 0.5);
  if (combo === "0") track.show(0, track.count);
  else track.zoom(x, combo === "+" ? 1 / 1.6 : 1.6);
  drawTimeline();
}

function cancel() {
  if (state.drag) return cancelDrag();
  pause();
}

function onTabKey(event) {
  if (!["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  const other = $("samples").hidden ? "samples" : "predictions";
  showPanel(other);
  $(`${other}-tab`).focus();
}

function makeKeyTable([title, rows]) {
  const table = document.createElement("table");
  table.createCaption().textContent = title;
  for (const [combos, text] of rows) {
    const row = table.insertRow();
    const keys = row.insertCell();
    for (const combo of combos[0] === "1" ? ["1", "…", "9"] : combos) {
      const name = combo.replace(/\w+$/, (key) => SIGNS[key] ?? key);
      keys.append(Object.assign(document.createElement(combo === "…" ? "span" : "kbd"), { textContent: name }));
    }
    row.insertCell().textContent = text;
  }
  return table;
}
