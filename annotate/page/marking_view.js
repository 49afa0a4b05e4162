// Shows the marking: task, stage list, outcome, labels, findings. People see inclusive ends, the marking has half-open
// ones. User text reaches the page through textContent and .value only. Knows the state; changes it through marking.js.

import { COLOURS } from "./drawing.js";
import { markWith, moveEnd, removeStage, renameStage, toggleExcluded } from "./marking.js";
import { go, pause } from "./player.js";
import { $, currentStage, labels, stages, state } from "./state.js";
import { drawTimeline } from "./timeline.js";

/** Bring everything on the page to the present marking. */
export function render() {
  const { episode } = state;
  const { marking } = episode;
  const rows = stages();
  while ($("stages").children.length > rows.length) $("stages").lastChild.remove();
  while ($("stages").children.length < rows.length) $("stages").append(makeRow($("stages").children.length));
  rows.forEach((stage, k) => {
    fillRow($("stages").children[k], stage);
  });
  $("empty").hidden = rows.length > 0;
  $("copy").hidden = rows.length > 0 || !episode.info?.copy_from;
  $("copy").textContent = `Copy from ${episode.info?.copy_from ?? ""}`;
  $("start-over").hidden = rows.length === 0 && (marking?.success ?? null) === null && !state.onDisk;
  put($("task"), marking?.task ?? "");
  put($("reason"), marking?.reason ?? "");
  const reached = marking?.final_progress ?? null;
  if (($("reached").value === "" ? null : Number($("reached").value)) !== reached) $("reached").value = reached ?? "";
  $("done").setAttribute("aria-pressed", marking?.success === true);
  $("not-done").setAttribute("aria-pressed", marking?.success === false);
  $("reason").hidden = marking?.success !== true;
  $("reached-label").hidden = marking?.success !== false;
  $("undo").disabled = !episode.undoSteps.length;
  $("redo").disabled = !episode.redoSteps.length;
  renderLabels();
  renderFindings();
  drawTimeline();
  highlightCurrent();
}

function put(input, value) {
  if (input.value.trim() !== String(value).trim()) input.value = value;
}

/** Highlight the row of the stage that keys act on. */
export function highlightCurrent() {
  const current = currentStage();
  [...$("stages").children].forEach((row, k) => {
    if (k === current && !row.classList.contains("current")) scrollListTo(row);
    row.classList.toggle("current", k === current);
    row.setAttribute("aria-current", k === current);
  });
}

/** Scroll the list of stages, never the whole page: the picture stays where it is. */
function scrollListTo(row) {
  const list = $("stages");
  const [top, bottom] = [row.offsetTop - list.offsetTop, row.offsetTop - list.offsetTop + row.offsetHeight];
  if (top < list.scrollTop) list.scrollTop = top;
  else if (bottom > list.scrollTop + list.clientHeight) list.scrollTop = bottom - list.clientHeight;
}

function makeRow(k) {
  const row = document.createElement("li");
  const add = (tag, className, label, values = {}) => {
    const element = Object.assign(document.createElement(tag), { className, ...values });
    if (label) element.setAttribute("aria-label", `${label} ${k + 1}`);
    row.append(element);
    return element;
  };
  const addButton = (className, label, textContent, title, onclick) =>
    add("button", className, label, { type: "button", textContent, title, onclick });
  const number = addButton("go", "Go to stage", k + 1, "Go to its first frame", () => {
    pause();
    go(stages()[k].start);
  });
  number.style.background = COLOURS[k % COLOURS.length];
  add("span", "start", "");
  const end = add("input", "end", "Last frame of stage", { type: "number", min: 0, step: 1 });
  end.onchange = async () => {
    if (Number.isInteger(end.valueAsNumber)) await moveEnd(k, end.valueAsNumber + 1);
    render();
  };
  const text = add("input", "text", "Text of stage", { type: "text", autocomplete: "off" });
  text.oninput = () => text.value.trim() && renameStage(k, text.value);
  text.onchange = async () => {
    await state.episode.turn;
    render();
  };
  add("span", "back", "");
  addButton("small exclude", "Leave out stage", "Leave out", "Leave it out of the samples (X)", () =>
    toggleExcluded(k),
  );
  addButton("small", "Remove stage", "✕", "Remove its end (Backspace)", () => removeStage(k));
  add("p", "stage-findings", "");
  return row;
}

function fillRow(row, stage) {
  row.classList.toggle("excluded", stage.excluded);
  row.querySelector(".start").textContent = `${stage.start}–`;
  row.querySelector(".text").placeholder = stage.excluded ? "left out" : "";
  row.querySelector(".back").textContent = stage.falls_back_to ? `↩ fails, back to ${stage.falls_back_to}` : "";
  row.querySelector(".exclude").setAttribute("aria-pressed", stage.excluded);
  for (const [name, value] of [
    ["end", stage.end - 1],
    ["text", stage.subtask],
  ]) {
    const input = row.querySelector(`.${name}`);
    if (input !== document.activeElement) input.value = value;
  }
}

function renderLabels() {
  const chips = labels().map((text, k) => {
    const chip = document.createElement("button");
    Object.assign(chip, { type: "button", className: "chip", title: `Mark the end here (${k + 1})` });
    chip.append(Object.assign(document.createElement("kbd"), { textContent: k + 1 }), text);
    chip.onclick = () => markWith(text);
    return chip;
  });
  $("labels").replaceChildren(...chips);
}

/** Put every finding beside what it is about; several about one thing follow each other. */
export function renderFindings() {
  const { episode, root } = state;
  const places = {
    task: $("task-findings"),
    stages: $("stages-findings"),
    outcome: $("outcome-findings"),
    video: $("video-findings"),
  };
  const rows = [...$("stages").querySelectorAll(".stage-findings")];
  for (const place of [...Object.values(places), ...rows]) place.replaceChildren();
  for (const { level, about, stage, message } of episode.findings) {
    const line = Object.assign(document.createElement("span"), { className: level, textContent: message });
    (rows[stage] ?? places[about]).append(line);
  }
  root.dataset.finished = episode.marking ? String(!episode.unfinished && !episode.dirty) : "";
}
