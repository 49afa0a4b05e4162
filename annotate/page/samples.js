// The tab "Check and samples": what a recipe trains on. Knows the state and the reply of the server (samples_tab.py).

import { make, makeWindow, showPanel } from "./cards.js";
import { renderFindings } from "./marking_view.js";
import { showMessage } from "./messages.js";
import { pause } from "./player.js";
import { flush } from "./saving.js";
import { $, state } from "./state.js";
import { drawTimeline } from "./timeline.js";

const KINDS = {
  forward: "as recorded",
  single: "the frame alone",
  reversed: "played backwards",
  held: "the robot pauses",
  rewind: "played past the frame, then back to it",
  speed: "at another speed",
  wrong_task: "asked about another task",
};

export function clearSamples() {
  for (const id of ["samples-findings", "command", "samples-summary", "sample-kinds", "sample-cards"]) {
    $(id).replaceChildren();
  }
  state.root.dataset.samples = "";
}

/** Offer the recipes that the server found; keep the one that is chosen. */
export function offerRecipes({ recipes, default_recipe }) {
  const chosen = recipes.includes($("recipe").value) ? $("recipe").value : default_recipe;
  $("recipe").replaceChildren(...recipes.map((path) => new Option(path, path, false, path === chosen)));
}

/** Show how many episodes "all labelled episodes" are. */
export function showLabelledCount(labelled) {
  $("train-on").options[1].textContent = `all labelled episodes (${labelled})`;
}

export async function showSamples() {
  const { episode, root } = state;
  pause();
  showPanel("samples");
  if (!(await flush())) return showMessage("not saved yet, so no samples are shown; see above", true);
  $("show-samples").disabled = true;
  $("samples-summary").textContent = "checking …";
  const request = { id: episode.id, recipe: $("recipe").value, train_on: $("train-on").value };
  const reply = await episode.call("show_samples", request);
  $("show-samples").disabled = false;
  clearSamples();
  if (!reply.ok) {
    $("samples-summary").textContent = `no samples: ${reply.error}`;
    root.dataset.samples = "failed";
    return;
  }
  episode.findings = reply.findings;
  renderFindings();
  drawTimeline();
  const count = (level) => reply.findings.filter((finding) => finding.level === level).length;
  const stopping = count("missing") + count("error");
  const warnings = count("warning") ? ` ${plural(count("warning"), "warning")}.` : "";
  $("samples-summary").textContent = stopping
    ? `no samples yet: ${plural(stopping, "thing")} to correct first`
    : reply.summary + warnings;
  $("samples-findings").append(...reply.findings.map(makeFinding));
  if (reply.command) $("command").append(...makeCommand(reply.command));
  $("sample-kinds").append(...Object.entries(reply.counts).map(makeKind));
  $("sample-cards").append(...reply.samples.map(makeSampleCard));
  root.dataset.samples = stopping ? "stopped" : "done";
  $("samples-summary").scrollIntoView({ block: "nearest" });
}

const plural = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`;

function makeFinding({ level, stage, message }) {
  const line = make("li", level);
  line.append(make("b", "", `${level}${stage === null ? "" : `, stage ${stage + 1}`}: `), message);
  return line;
}

/** Show the command that trains on these samples, with a button that copies it. */
function makeCommand(command) {
  const code = make("code", "", command);
  const copy = Object.assign(make("button", "small", "Copy"), { type: "button" });
  copy.onclick = async () => {
    try {
      await navigator.clipboard.writeText(command);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // without https a browser only lets people copy by hand
    }
  };
  return [make("span", "hint", "Train on them:"), code, copy];
}

function makeKind([kind, number]) {
  const item = make("li", "");
  item.append(make("b", "", number), ` ${KINDS[kind] ?? kind}`);
  return item;
}

function makeSampleCard({ frame_index, progress, direction, window_frame_indices, prompt, completion }) {
  const card = make("article", "card");
  card.append(
    make("b", "", `frame ${frame_index} · ${progress.toFixed(2)} %`),
    make("span", "hint", KINDS[direction] ?? direction),
    makeWindow(window_frame_indices),
    make("p", "prompt", prompt),
    make("pre", "", completion),
  );
  return card;
}
