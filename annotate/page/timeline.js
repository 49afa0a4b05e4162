// Draws the open episode on the timeline. Knows the state and the Track; changes neither.

import { currentStage, stages, state } from "./state.js";

const TAILS = {
  true: { text: "Done", colour: "#17803d" },
  false: { text: "Not done", colour: "#b45309" },
  null: { text: "not marked yet" },
};
export const LABEL_COLOUR = "#16a34a";

export function drawTimeline() {
  const { episode, track, shown, proposals, predictions } = state;
  const success = episode.marking?.success ?? null;
  const labelled = success === null ? (stages().at(-1)?.end ?? 0) : Infinity; // without an outcome the tail has no label
  const label = (episode.curve ?? []).slice(0, labelled).map((percent, frame) => [frame, percent]);
  track.draw({
    stages: stages(),
    shown,
    current: currentStage(),
    tail: TAILS[success],
    proposals,
    withFindings: new Set(episode.findings.map(({ stage }) => stage).filter((stage) => stage !== null)),
    curves: [
      { points: label, colour: LABEL_COLOUR, dash: [6, 4] },
      ...predictions.map(({ colour, points }) => ({ colour, points })),
    ],
  });
}

/** Return a function that runs `action` at the next screen refresh, however often it is called until then. */
export function oncePerRefresh(action) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      action();
    });
  };
}

export const drawSoon = oncePerRefresh(drawTimeline);
