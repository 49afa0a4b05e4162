// The state that the modules share: the page's elements, the open episode and the frame on the screen. It is the only
// thing that several modules change. Knows no server, no drawing and no keys.

export const state = {
  root: null, // the element that holds the editor
  episode: null, // Episode: the marking, undo and autosave
  queue: [], // { id, name, status } of every episode
  track: null, // Track: which frames the timeline shows, and how it is drawn
  pictures: null, // Pictures of the open episode; null when it has none
  target: 0, // the frame to show next
  shown: null, // the frame on the screen; null before the first one
  playing: null, // { rate, loop, now, time } while the video plays
  proposals: [], // frames at which a stage may begin
  drag: null, // { number, end } while the mouse is down on the timeline; number is -1 for scrubbing
  dragged: null, // the stages as they would be while a boundary is dragged
  onDisk: false, // whether the server has a file of the open episode
  predictions: [], // { name, colour, rows, points } of every loaded file
};

/** The element of the editor with this id. */
export const $ = (id) => state.root.querySelector(`#${id}`);

/** The stages on the page, also while a boundary is dragged. */
export const stages = () => state.dragged ?? state.episode.marking?.stages ?? [];

/** Position of the stage that keys act on: the one around the frame on the screen, else the last one; -1 for none. */
export function currentStage(all = stages()) {
  const inside = all.findIndex((stage) => state.shown !== null && state.shown < stage.end);
  return inside < 0 ? all.length - 1 : inside;
}

/** Texts that the digit keys mark with: those of another episode of this task, then those of this one. */
export function labels() {
  const own = stages()
    .filter((stage) => !stage.excluded)
    .map((stage) => stage.subtask);
  return [...new Set([...(state.episode.info?.labels ?? []), ...own])].filter(Boolean).slice(0, 9);
}
