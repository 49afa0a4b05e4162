// The editor: puts pictures, timeline, stage list and keys together. People see inclusive ends, documents half-open ones.
// User text reaches the page through textContent and .value only.

const root = element.querySelector("#stage-timeline");
const $ = (id) => root.querySelector(`#${id}`);
const track = new Track($("track"));
let pictures = null, target = 0, shown = null, direction = 1, playing = null, preview = null;

const episode = new Episode(server, {
  changed: render,
  failed: (why) => say(why, true),
  listed: () => trigger("submit"), // the picker around the editor shows new statuses
  state(name, why = "") {
    const texts = { saved: "saved", saving: "saving", failed: "NOT SAVED: retrying", conflict: "NOT SAVED: changed elsewhere" };
    root.dataset.save = $("save").dataset.state = name;
    $("save").textContent = name === "saved" && episode.missing ? "saved as a draft" : texts[name];
    if (why) say(why, true);
    const missing = episode.missing ? `To finish: ${episode.missing}.` : "Finished: ready for training.";
    if (name === "saved") $("missing").textContent = missing;
  },
  conflict(why) {
    $("conflict-text").textContent = why;
    if (!$("conflict").open) $("conflict").showModal();
  },
});
root.editor = { flush };

async function flush() {
  if (root.contains(document.activeElement)) document.activeElement.blur(); // commits a field that is being edited
  return episode.flush();
}

async function open(id) {
  if (!id || id === episode.id) return;
  pause();
  root.dataset.ready = "";
  document.activeElement?.blur();
  pictures?.close();
  pictures = null;
  shown = null;
  const reply = await episode.open(id);
  $("problem").hidden = reply.ok;
  root.querySelector(".work").inert = !reply.ok;
  if (!reply.ok) {
    $("problem").textContent = reply.error;
    $("save").textContent = "not loaded";
    track.strip = null;
    return render();
  }
  say("");
  const { info } = episode;
  const base = props.base || "/";
  track.count = info.num_frames;
  track.strip = null;
  $("name").textContent = info.name;
  $("track").setAttribute("aria-valuemax", info.num_frames - 1);
  const strip = new Image();
  strip.onload = () => { if (episode.id === id) { track.strip = { image: strip, count: info.strip_count }; draw(); } };
  strip.src = base + info.strip_url;
  pictures = new Pictures(info.num_frames, (i) => `${base}${info.frames_url}${i}.jpg?v=${info.version}`, loaded, notLoaded);
  const address = new URL(window.location);
  address.searchParams.set("episode", id);
  history.replaceState(history.state, "", address);
  render();
  go(Number(localStorage.getItem(`onetake:frame:${id}`) ?? 0));
}

// --- pictures and playing -------------------------------------------------------------------------------------------

function go(i) {
  if (!pictures) return;
  const next = Math.min(Math.max(i, 0), pictures.count - 1);
  if (next !== target) direction = next < target ? -1 : 1;
  target = next;
  pictures.want(target, direction);
  const bitmap = pictures.get(target);
  if (bitmap) paint(target, bitmap);
}

function step(frames) {
  pause();
  go(target + frames);
}

function loaded(i) {
  if (i === target && shown !== i) paint(i, pictures.get(i));
}

function notLoaded(i, reason) {
  if (i !== target) return;
  say(`frame ${i} does not load (${reason}); trying again`, true);
  setTimeout(() => { if (i === target && shown !== i) go(i); }, 1000);
}

function paint(i, bitmap) {
  const canvas = $("picture");
  if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  shown = i;
  root.dataset.shown = i;
  root.dataset.ready = episode.id;
  const { num_frames, timestamps_sec } = episode.info;
  $("where").textContent = `frame ${i} of 0–${num_frames - 1} · ${timestamps_sec[i].toFixed(2)} s`;
  $("track").setAttribute("aria-valuenow", i);
  localStorage.setItem(`onetake:frame:${episode.id}`, i);
  draw();
  markCurrent();
}

function pause() {
  playing = null;
  $("play").textContent = "▶";
}

function togglePlay() {
  if (playing || !pictures) return pause();
  if (target === pictures.count - 1) go(0);
  playing = { since: null };
  $("play").textContent = "❚❚";
  requestAnimationFrame(playOn);
}

/** Show the frame that is due; while it is not there yet the clock stands still, so none is skipped for want of data. */
function playOn(now) {
  if (!playing || !pictures || !root.isConnected) return;
  const times = episode.info.timestamps_sec;
  playing.since ??= now - times[target] * 1000;
  let due = target;
  while (due + 1 < times.length && times[due + 1] * 1000 <= now - playing.since) due += 1;
  if (due !== target && (shown !== target || !pictures.get(due))) {
    pictures.want(shown === target ? due : target, 1);
    playing.since = null;
  } else if (due !== target) go(due);
  if (target === times.length - 1) return pause();
  requestAnimationFrame(playOn);
}

// --- the document ---------------------------------------------------------------------------------------------------

const stages = () => preview ?? episode.doc?.stages ?? [];

/** Number of the stage that keys act on: the one around the frame shown, after the last stage the last one. */
function current() {
  const inside = stages().findIndex((stage) => shown !== null && shown < stage.end);
  return inside < 0 ? stages().length - 1 : inside;
}

async function mark() {
  const text = $("subtask").value.trim();
  pause();
  if (!text) return $("subtask").focus();
  if (shown !== null && (await episode.edit("mark_end", { end: shown + 1, text }))) {
    say(`marked to frame ${shown}: ${text}`);
    $("subtask").value = "";
    $("subtask").blur();
  }
}

async function moveEnd(number, end) {
  if (await episode.edit("move_boundary", { number, end })) go(end - 1); // the play head stays inside the stage it moves
}

function onCurrent(action) {
  const number = current();
  if (number >= 0) action(number, stages()[number]);
  else say("no stage is marked yet", true);
}

const removeCurrent = () => onCurrent((number) => episode.edit("remove_boundary", { number }));
const toggleExcluded = (number) => episode.edit("exclude", { number, excluded: !stages()[number].excluded });
const decide = (success) => episode.doc && episode.doc.success !== success && episode.change({ success });

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
  put($("task"), doc?.task ?? "");
  put($("reason"), doc?.reason ?? "");
  if (($("cutoff").value === "" ? null : Number($("cutoff").value)) !== (doc?.final_progress ?? null)) $("cutoff").value = doc?.final_progress ?? "";
  $("done").setAttribute("aria-pressed", doc?.success === true);
  $("not-done").setAttribute("aria-pressed", doc?.success === false);
  $("reason").hidden = doc?.success !== true;
  $("cutoff-label").hidden = doc?.success !== false;
  $("undo").disabled = !episode.undoSteps.length;
  $("redo").disabled = !episode.redoSteps.length;
  draw();
  markCurrent();
}

function put(input, value) {
  if (input.value.trim() !== String(value).trim()) input.value = value;
}

function draw() {
  const success = episode.doc?.success;
  const tail = success === true ? { text: "Done", colour: "#17803d" } : success === false ? { text: "Not done", colour: "#b45309" } : { text: "not marked yet" };
  track.draw({ stages: stages(), shown, current: current(), tail });
}

function markCurrent() {
  [...$("stages").children].forEach((row, k) => row.classList.toggle("current", k === current()));
}

function makeRow(k) {
  const row = document.createElement("li");
  const add = (tag, name, label, values = {}) => {
    const part = Object.assign(document.createElement(tag), { className: name, ...values });
    part.setAttribute("aria-label", `${label} ${k + 1}`);
    row.append(part);
    return part;
  };
  const go_ = add("button", "go", "Go to stage", { type: "button", textContent: k + 1 });
  go_.style.background = COLOURS[k % COLOURS.length];
  go_.onclick = () => { pause(); go(stages()[k].start); };
  add("span", "start", "Start of stage");
  const end = add("input", "end", "Last frame of stage", { type: "number", min: 0, step: 1 });
  end.onchange = async () => {
    if (Number.isInteger(end.valueAsNumber)) await moveEnd(k, end.valueAsNumber + 1);
    render();
  };
  const text = add("input", "text", "Text of stage", { type: "text", autocomplete: "off" });
  text.onchange = async () => { await episode.edit("rename", { number: k, text: text.value }); render(); };
  add("button", "small exclude", "Leave out stage", { type: "button", textContent: "Leave out" }).onclick = () => toggleExcluded(k);
  add("button", "small", "Remove stage", { type: "button", textContent: "✕", title: "Take this end back (Backspace)" }).onclick =
    () => episode.edit("remove_boundary", { number: k });
  return row;
}

function fillRow(row, stage) {
  row.classList.toggle("excluded", stage.excluded);
  row.querySelector(".start").textContent = `${stage.start}–`;
  row.querySelector(".exclude").setAttribute("aria-pressed", stage.excluded);
  for (const [name, value] of [["end", stage.end - 1], ["text", stage.subtask]]) {
    const input = row.querySelector(`.${name}`);
    if (input !== document.activeElement) input.value = value;
  }
}
