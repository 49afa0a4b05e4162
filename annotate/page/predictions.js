// The tab "Predictions": prediction files of models, as curves on the timeline and as answers below it. Knows the state.

import { make, makeWindow, showPanel } from "./cards.js";
import { showMessage } from "./messages.js";
import { $, state } from "./state.js";
import { drawTimeline, LABEL_COLOUR } from "./timeline.js";

const COLOURS = ["#d97706", "#2563eb", "#c026d3", "#0891b2"];

export async function loadPredictions(files) {
  const { episode } = state;
  showPanel("predictions");
  for (const file of files) {
    const request = { id: episode.id, name: file.name, text: await file.text() };
    const reply = await episode.call("read_predictions", request);
    if (!reply.ok) {
      showMessage(reply.error, true);
      continue;
    }
    if (reply.warning) showMessage(reply.warning, true);
    const others = state.predictions.filter(({ name }) => name !== reply.name);
    const colour = COLOURS.find((candidate) => others.every((other) => other.colour !== candidate)) ?? COLOURS[0];
    const points = reply.rows.map(({ frame, progress }) => [frame, progress]);
    state.predictions = [...others, { ...reply, colour, points }];
  }
  $("prediction-files").value = "";
  showPredictions();
}

export function showPredictions() {
  const { predictions, episode, root } = state;
  root.dataset.predictions = predictions.length;
  $("predictions-empty").hidden = predictions.length > 0;
  $("legend").replaceChildren(
    ...(predictions.length || episode.curve ? [makeLegendItem("label", LABEL_COLOUR)] : []),
    ...predictions.map(makeRemovableItem),
  );
  drawTimeline();
  showAnswers();
}

function makeLegendItem(name, colour) {
  const item = make("span", "legend-item");
  const line = make("i", "");
  line.style.background = colour;
  item.append(line, name);
  return item;
}

function makeRemovableItem(prediction) {
  const item = makeLegendItem(prediction.name, prediction.colour);
  const remove = Object.assign(make("button", "small", "✕"), { type: "button" });
  remove.setAttribute("aria-label", `Remove ${prediction.name}`);
  remove.onclick = () => {
    state.predictions = state.predictions.filter((other) => other !== prediction);
    showPredictions();
  };
  item.append(remove);
  return item;
}

let answersTimer = null;
/** Show the answers when the frame on the screen stays for a moment. */
export function showAnswersSoon() {
  if (!state.predictions.length) return;
  clearTimeout(answersTimer);
  answersTimer = setTimeout(showAnswers, state.playing ? 400 : 60);
}

/** Show what each model answered at the frame on the screen, or at the last sampled frame before it. */
function showAnswers() {
  const { shown, episode, predictions } = state;
  if (shown === null || !episode.marking) return;
  $("answers").replaceChildren(
    ...predictions.map(({ name, colour, rows }) => {
      const row = rows.findLast(({ frame }) => frame <= shown) ?? rows[0];
      const label = episode.curve?.[row.frame];
      const card = make("article", "card");
      card.style.borderLeft = `4px solid ${colour}`;
      card.append(
        make("b", "", `${name} · frame ${row.frame}: ${percent(row.progress)}`),
        make("span", "hint", label == null ? "no label here" : `label ${percent(label)}`),
        makeWindow(row.window),
        make("pre", "", row.answer || row.reasoning),
      );
      return card;
    }),
  );
}

const percent = (value) => (value == null ? "no percentage" : `${value.toFixed(2)} %`);
