// The document on the page: task, stages, outcome, labels, and the notes beside what they are about. People see
// inclusive ends, documents half-open ones. User text reaches the page through textContent and .value only.

let preview = null; // stages while a boundary is dragged
let proposals = [];
let queue = []; // { id, name, status } of every episode
let troubled = false; // the last save did not succeed

const episode = new Episode(server, isAlive, {
  changed: render,
  judged: () => { renderNotes(); draw(); },
  failed: (why) => say(why, true),
  listed: renderQueue,
  state: showState,
  conflict: showConflict,
});

async function isAlive() {
  try {
    return (await fetch(`${props.base || "/"}alive`, { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

const stages = () => preview ?? episode.doc?.stages ?? [];

/** Number of the stage that keys act on: the one around the frame shown, after the last stage the last one. */
function current(all = stages()) {
  const inside = all.findIndex((stage) => shown !== null && shown < stage.end);
  return inside < 0 ? all.length - 1 : inside;
}

/** Texts that the digits mark with: those of the episode before, then those of this one. */
function labels() {
  const own = stages().filter((stage) => !stage.excluded).map((stage) => stage.subtask);
  return [...new Set([...(episode.info?.labels ?? []), ...own])].filter(Boolean).slice(0, 9);
}

/** Mark with what is in the text field; the keys are the editor's again at once. */
async function mark() {
  const field = $("subtask"), text = field.value.trim();
  pause();
  if (!text) return field.focus();
  field.value = "";
  field.blur();
  if (!(await markWith(text)) && !field.value) field.value = text; // refused: the words are not lost
}

async function markWith(text) {
  const frame = shown;
  if (!text || frame === null) return false;
  pause();
  const marked = await episode.edit("mark_end", { end: frame + 1, text });
  if (marked) say(`marked to frame ${frame}: ${text}`);
  return marked;
}

/** Go to the next proposed end of a stage and ask what was done up to there. */
function acceptProposal() {
  pause();
  const last = stages().length ? stages()[stages().length - 1].end : 0;
  const here = proposals.includes(shown + 1) && shown + 1 > last;
  const next = here ? shown + 1 : proposals.find((tick) => tick > Math.max(last, shown + 1));
  if (!next) return say(proposals.length ? "no proposal is left behind here" : "no proposals yet", true);
  go(next - 1);
  $("subtask").focus();
}

function toProposal(sign) {
  pause();
  const ends = proposals.map((tick) => tick - 1);
  const next = sign > 0 ? ends.find((end) => end > target) : ends.findLast((end) => end < target);
  if (next !== undefined) go(next);
}

function toBoundary(sign) {
  pause();
  const ends = stages().map((stage) => stage.end - 1);
  const next = sign > 0 ? ends.find((end) => end > target) : ends.findLast((end) => end < target);
  go(next ?? (sign > 0 ? Infinity : 0));
}

/** Move the end of a stage; the play head goes along, inside the stage. `endOf` computes the new end at its turn. */
async function moveEnd(number, endOf) {
  const moved = await episode.edit("move_boundary", (all) => all[number] && { number, end: endOf(all[number]) });
  if (moved) go(moved.end - 1);
}

function nudge(frames) {
  pause();
  onCurrent((number) => moveEnd(number, (stage) => stage.end + frames));
}

function onCurrent(action) {
  const number = current();
  if (number >= 0) action(number, stages()[number]);
  else say("no stage is marked yet", true);
}

const removeCurrent = () => onCurrent(() => episode.edit("remove_boundary", (all) => all.length && { number: current(all) }));
const toggleExcluded = (number) => episode.edit("exclude", (all) => all[number] && { number, excluded: !all[number].excluded });
const editCurrent = () => onCurrent((number) => $("stages").children[number].querySelector(".text").select());

function decide(success) {
  if (!episode.doc) return;
  pause();
  const final_progress = success ? null : episode.doc.final_progress ?? 75;
  if (episode.doc.success !== success) episode.change({ success, final_progress });
  $(success ? "reason" : "cutoff").focus();
}

async function copyEarlier() {
  if (stages().length) return say("stages are marked here already; remove them (or undo) before you copy others", true);
  if (await episode.edit("copy_earlier", {})) say("stages of another episode, laid out over this one: now move their ends");
}

function say(text, isError = false) {
  $("message").textContent = text;
  $("message").classList.toggle("error", isError);
}

// --- showing it -----------------------------------------------------------------------------------------------------

function render() {
  const { doc } = episode;
  const rows = stages();
  while ($("stages").children.length > rows.length) $("stages").lastChild.remove();
  while ($("stages").children.length < rows.length) $("stages").append(makeRow($("stages").children.length));
  rows.forEach((stage, k) => fillRow($("stages").children[k], stage));
  $("empty").hidden = rows.length > 0;
  $("copy").hidden = rows.length > 0 || !episode.info?.labels.length;
  put($("task"), doc?.task ?? "");
  put($("reason"), doc?.reason ?? "");
  const cutoff = doc?.final_progress == null ? null : Math.round(doc.final_progress * 1e4) / 1e6;
  if (($("cutoff").value === "" ? null : Number($("cutoff").value)) !== cutoff) $("cutoff").value = cutoff ?? "";
  $("cutoff-says").textContent = cutoff === null ? "" : `its labels end at ${Math.round(cutoff * 1e4) / 100} %`;
  $("done").setAttribute("aria-pressed", doc?.success === true);
  $("not-done").setAttribute("aria-pressed", doc?.success === false);
  $("reason").hidden = doc?.success !== true;
  $("cutoff-label").hidden = doc?.success !== false;
  $("undo").disabled = !episode.undoSteps.length;
  $("redo").disabled = !episode.redoSteps.length;
  renderLabels();
  renderNotes();
  draw();
  markCurrent();
}

function put(input, value) {
  if (input.value.trim() !== String(value).trim()) input.value = value;
}

function draw() {
  const success = episode.doc?.success;
  const tails = { true: { text: "Done", colour: "#17803d" }, false: { text: "Not done", colour: "#b45309" } };
  const known = success === null ? (stages().at(-1)?.end ?? 0) : Infinity; // how it ends is not said yet
  const label = (episode.curve ?? []).slice(0, known).map((percent, frame) => [frame, percent]);
  const marked = new Set(episode.notes.filter((note) => note.stage !== null).map((note) => note.stage));
  track.draw({
    stages: stages(), shown, current: current(), tail: tails[success] ?? { text: "not marked yet" }, ticks: proposals, marked,
    curves: [{ points: label, colour: "#16a34a", dash: [6, 4] }, ...results.map(({ colour, points }) => ({ colour, points }))],
  });
}

let drawing = false;
function drawSoon() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => { drawing = false; draw(); });
}

function markCurrent() {
  [...$("stages").children].forEach((row, k) => {
    const here = k === current();
    if (here && !row.classList.contains("current")) row.scrollIntoView({ block: "nearest" });
    row.classList.toggle("current", here);
    row.setAttribute("aria-current", here);
  });
}

function makeRow(k) {
  const row = document.createElement("li");
  const add = (tag, name, label, values = {}) => {
    const part = Object.assign(document.createElement(tag), { className: name, ...values });
    if (label) part.setAttribute("aria-label", `${label} ${k + 1}`);
    row.append(part);
    return part;
  };
  const number = add("button", "go", "Go to stage", { type: "button", textContent: k + 1, title: "Go to its first frame" });
  number.style.background = COLOURS[k % COLOURS.length];
  number.onclick = () => { pause(); go(stages()[k].start); };
  add("span", "start", "");
  const end = add("input", "end", "Last frame of stage", { type: "number", min: 0, step: 1 });
  end.onchange = async () => {
    if (Number.isInteger(end.valueAsNumber)) await moveEnd(k, () => end.valueAsNumber + 1);
    render();
  };
  const text = add("input", "text", "Text of stage", { type: "text", autocomplete: "off" });
  text.oninput = () => text.value.trim() && episode.edit("rename", { number: k, text: text.value }, `text ${k}`);
  text.onchange = async () => { await episode.turn; render(); };
  add("span", "back", "");
  add("button", "small exclude", "Leave out stage", { type: "button", textContent: "Leave out", title: "Leave it out of the samples (X)" })
    .onclick = () => toggleExcluded(k);
  add("button", "small", "Remove stage", { type: "button", textContent: "✕", title: "Take its end back (Backspace)" })
    .onclick = () => episode.edit("remove_boundary", { number: k });
  add("p", "note", "");
  return row;
}

function fillRow(row, stage) {
  row.classList.toggle("excluded", stage.excluded);
  row.querySelector(".start").textContent = `${stage.start}–`;
  row.querySelector(".text").placeholder = stage.excluded ? "left out" : "";
  row.querySelector(".back").textContent = stage.falls_back_to ? `↩ fails, back to ${stage.falls_back_to}` : "";
  row.querySelector(".exclude").setAttribute("aria-pressed", stage.excluded);
  for (const [name, value] of [["end", stage.end - 1], ["text", stage.subtask]]) {
    const input = row.querySelector(`.${name}`);
    if (input !== document.activeElement) input.value = value;
  }
}

function renderLabels() {
  const texts = labels();
  $("labels").replaceChildren(...texts.map((text, k) => {
    const chip = Object.assign(document.createElement("button"), { type: "button", className: "chip", title: `Mark the end here (${k + 1})` });
    chip.append(Object.assign(document.createElement("kbd"), { textContent: k + 1 }), text);
    chip.onclick = () => markWith(text);
    return chip;
  }));
}

/** Put every note beside what it is about; several about one thing follow each other. */
function renderNotes() {
  const places = { task: $("task-note"), stages: $("stages-note"), outcome: $("outcome-note"), video: $("video-note") };
  const rows = [...$("stages").querySelectorAll(".note")];
  for (const place of [...Object.values(places), ...rows]) place.replaceChildren();
  for (const { level, about, stage, message } of episode.notes) {
    const line = Object.assign(document.createElement("span"), { className: level, textContent: message });
    (rows[stage] ?? places[about]).append(line);
  }
  const missing = episode.notes.some((note) => note.level === "missing");
  root.dataset.finished = episode.doc ? String(!missing && !episode.dirty) : "";
}

function renderQueue(rows) {
  queue = rows;
  const picker = $("episode");
  const signs = { new: "○", draft: "◐", labelled: "●" };
  while (picker.options.length > queue.length) picker.lastChild.remove();
  while (picker.options.length < queue.length) picker.append(document.createElement("option"));
  queue.forEach(({ id, name, status }, k) => {
    Object.assign(picker.options[k], { value: id, textContent: `${signs[status]} ${name} · ${status}` });
  });
  picker.value = episode.id ?? "";
  $("queue-count").textContent = `${queue.filter(({ status }) => status === "labelled").length} of ${queue.length} labelled`;
  root.querySelectorAll(".queue-only").forEach((part) => { part.hidden = queue.length < 2; });
}

function showState(name, why = "") {
  const draft = episode.notes.some((note) => note.level === "missing");
  const texts = {
    saved: draft ? "saved as a draft" : "saved", saving: "saving …", failed: "NOT SAVED · retrying",
    replaced: "NOT SAVED · another video", conflict: "NOT SAVED · changed elsewhere",
  };
  if (name === "saving" && troubled) return; // another try: the complaint stands until one succeeds
  root.dataset.save = $("save").dataset.state = name;
  $("save").textContent = texts[name];
  if (name === "replaced") showProblem(why);
  else if (why) say(why, true);
  if (name === "saved" && troubled) recovered();
  troubled = ["failed", "replaced"].includes(name);
}

/** Everything reached the server again: take the complaints away. */
function recovered() {
  say("saved; nothing was lost");
  $("problem").hidden = true;
}

function showProblem(text) {
  $("problem").textContent = text;
  $("problem").hidden = false;
}

function showConflict(why) {
  $("conflict-text").textContent = why;
  if (!$("conflict").open) $("conflict").showModal();
}

async function settle(keepMine) {
  $("conflict").close();
  const kept = await episode.settle(keepMine);
  if (kept) say(`the other version is kept in ${kept}; Undo brings it back here`);
}
