// Below the timeline: samples of this episode, and predictions that were made elsewhere, beside the same timeline.

const RESULT_COLOURS = ["#d97706", "#2563eb", "#c026d3", "#0891b2"];
let results = []; // { name, colour, rows, points }

function part(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

const frameUrl = (i, camera = 0) =>
  `${props.base || "/"}frames/${episode.id}/${camera}/${i}.jpg?v=${episode.info.version}`;

/** Pictures of a window, oldest first; each leads to its frame. */
function windowOf(frames) {
  const row = part("div", "window");
  for (const frame of frames) {
    const button = Object.assign(part("button", "thumb"), { type: "button", title: `Go to frame ${frame}` });
    button.append(Object.assign(document.createElement("img"), { src: frameUrl(frame), alt: `frame ${frame}`, loading: "lazy" }));
    button.append(part("span", "", frame));
    button.onclick = () => { pause(); go(frame); };
    row.append(button);
  }
  return row;
}

// --- samples --------------------------------------------------------------------------------------------------------

async function generate() {
  pause();
  showPanel("samples");
  if (!(await flush())) return say("not saved yet, so no samples; see above", true);
  $("generate").disabled = true;
  $("samples-says").textContent = "checking …";
  const reply = await episode.call("generate_samples", { id: episode.id });
  $("generate").disabled = false;
  root.dataset.generated = "";
  for (const id of ["samples-notes", "commands", "prompt", "samples-preview"]) $(id).replaceChildren();
  if (!reply.ok) {
    $("samples-says").textContent = `no samples: ${reply.error}`;
    root.dataset.generated = "failed";
    return;
  }
  episode.notes = reply.notes;
  renderNotes();
  draw();
  const count = (level) => reply.notes.filter((note) => note.level === level).length;
  const stopped = count("missing") + count("error");
  const words = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;
  $("samples-says").textContent = stopped
    ? `no samples yet: ${words(stopped, "thing")} to mend first`
    : `${words(count("warning"), "warning")}. ${reply.summary}`;
  for (const { level, stage, message } of reply.notes) {
    const line = part("li", level);
    line.append(part("b", "", `${level}${stage === null ? "" : `, stage ${stage + 1}`}: `), message);
    $("samples-notes").append(line);
  }
  for (const [title, command] of reply.commands) $("commands").append(commandLine(title, command));
  if (reply.preview.length) $("prompt").append(part("b", "", "Prompt of every sample: "), reply.preview[0].prompt);
  $("samples-preview").append(...reply.preview.map(sampleCard));
  root.dataset.generated = stopped ? "stopped" : "done";
  $("samples-says").scrollIntoView({ block: "nearest" });
}

function commandLine(title, command) {
  const line = part("div", "command");
  const copy = Object.assign(part("button", "small", "Copy"), { type: "button" });
  const code = part("code", "", command);
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(command);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // without https a browser only lets people copy by hand
    }
  };
  line.append(part("span", "hint", `${title}:`), code, copy);
  return line;
}

function sampleCard(sample) {
  const card = part("article", "card");
  const kind = { forward: "", single: " · the frame alone", reversed: " · played backwards" }[sample.direction] ?? ` · ${sample.direction}`;
  card.append(part("b", "", `frame ${sample.frame_index} · ${sample.progress.toFixed(2)} %${kind}`));
  card.append(windowOf(sample.window_frame_indices), part("pre", "", sample.completion));
  return card;
}

// --- predictions ----------------------------------------------------------------------------------------------------

async function loadResults(files) {
  showPanel("predictions");
  for (const file of files) {
    const reply = await episode.call("read_predictions", { id: episode.id, name: file.name, text: await file.text() });
    if (!reply.ok) { say(reply.error, true); continue; }
    if (reply.warning) say(reply.warning, true);
    results = results.filter(({ name }) => name !== reply.name);
    const colour = RESULT_COLOURS.find((one) => results.every((other) => other.colour !== one)) ?? RESULT_COLOURS[0];
    results.push({ ...reply, colour, points: reply.rows.map(({ frame, progress }) => [frame, progress]) });
  }
  $("result-files").value = "";
  showResults();
}

function showResults() {
  root.dataset.results = results.length;
  $("results-empty").hidden = results.length > 0;
  $("legend").replaceChildren(...(results.length || episode.curve ? [legendItem("label", "#16a34a")] : []));
  for (const result of results) {
    const item = legendItem(result.name, result.colour);
    const remove = Object.assign(part("button", "small", "✕"), { type: "button" });
    remove.setAttribute("aria-label", `Remove ${result.name}`);
    remove.onclick = () => { results = results.filter((one) => one !== result); showResults(); };
    item.append(remove);
    $("legend").append(item);
  }
  draw();
  showAnswers();
}

function legendItem(name, colour) {
  const item = part("span", "legend-item");
  const line = part("i", "");
  line.style.background = colour;
  item.append(line, name);
  return item;
}

let answersTimer = null;
function showAnswersSoon() {
  if (!results.length || $("predictions").hidden) return;
  clearTimeout(answersTimer);
  answersTimer = setTimeout(showAnswers, playing ? 400 : 60);
}

/** What each model said at the frame shown, or at the last frame before it that was asked about. */
function showAnswers() {
  if (shown === null || !episode.doc) return;
  const percent = (value) => (value == null ? "no percentage" : `${value.toFixed(2)} %`);
  $("answers").replaceChildren(...results.map(({ name, colour, rows }) => {
    const row = rows.findLast(({ frame }) => frame <= shown) ?? rows[0];
    const label = episode.curve?.[row.frame];
    const card = part("article", "card");
    card.style.borderLeft = `4px solid ${colour}`;
    card.append(part("b", "", `${name} · frame ${row.frame}: ${percent(row.progress)}`));
    card.append(part("span", "hint", label == null ? "no label here" : `label ${percent(label)}`));
    card.append(windowOf(row.window), part("pre", "", row.answer || row.reasoning));
    return card;
  }));
}

function showPanel(name) {
  for (const panel of ["samples", "predictions"]) {
    $(panel).hidden = panel !== name;
    $(`${panel}-tab`).setAttribute("aria-selected", panel === name);
    $(`${panel}-tab`).tabIndex = panel === name ? 0 : -1;
  }
  showAnswersSoon();
}
