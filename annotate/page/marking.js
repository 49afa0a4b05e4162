// What keys and buttons do to the marking: mark, move, remove, leave out, decide how it ends. Knows the state and the
// player; the rules of stages are the server's (editing.py). Does not know how the marking is shown.

import { showMessage } from "./messages.js";
import { go, pause, play } from "./player.js";
import { $, currentStage, stages, state } from "./state.js";

/** Mark with the text in the field; keys act on the video again at once. */
export async function mark() {
  const field = $("subtask");
  const text = field.value.trim();
  pause();
  if (!text) return field.focus();
  field.value = "";
  field.blur();
  if (!(await markWith(text)) && !field.value) field.value = text; // refused: keep what was typed
}

export async function markWith(text) {
  const frame = state.shown;
  if (!text || frame === null) return false;
  pause();
  const marked = await state.episode.edit("mark_end", { end: frame + 1, text });
  if (marked) showMessage(`marked to frame ${frame}: ${text}`);
  return marked;
}

/** Go to the next proposed end of a stage and put the cursor into the text field. */
export function acceptProposal() {
  pause();
  const { proposals, shown } = state;
  const last = stages().at(-1)?.end ?? 0;
  const atProposal = proposals.includes(shown + 1) && shown + 1 > last;
  const next = atProposal ? shown + 1 : proposals.find((start) => start > Math.max(last, shown + 1));
  if (!next) {
    return showMessage(proposals.length ? "no proposal is left after this frame" : "there are no proposals yet", true);
  }
  go(next - 1);
  $("subtask").focus();
}

function nextOf(frames, sign) {
  return sign > 0 ? frames.find((frame) => frame > state.target) : frames.findLast((frame) => frame < state.target);
}

export function toProposal(sign) {
  pause();
  const next = nextOf(
    state.proposals.map((start) => start - 1),
    sign,
  );
  if (next !== undefined) go(next);
}

export function toBoundary(sign) {
  pause();
  const next = nextOf(
    stages().map((stage) => stage.end - 1),
    sign,
  );
  go(next ?? (sign > 0 ? Infinity : 0));
}

/** Move the end of a stage and show its last frame. `endOf` computes the new end when the edits before it are done. */
export async function moveEnd(number, endOf) {
  const moved = await state.episode.edit("move_boundary", (all) => all[number] && { number, end: endOf(all[number]) });
  if (moved) go(moved.end - 1);
}

export function nudge(frames) {
  pause();
  onCurrent((number) => moveEnd(number, (stage) => stage.end + frames));
}

function onCurrent(action) {
  const number = currentStage();
  if (number >= 0) action(number, stages()[number]);
  else showMessage("no stage is marked yet", true);
}

const editCurrent = (op) =>
  onCurrent(() => state.episode.edit(op, (all) => all.length && { number: currentStage(all) }));

export const toggleLoop = () => (state.playing?.loop ? pause() : onCurrent((_, stage) => play(1, stage)));
export const removeCurrent = () => editCurrent("remove_boundary");
export const fallBackCurrent = () => editCurrent("fall_back");
export const toggleCurrent = () => onCurrent(toggleExcluded);
export const renameCurrent = () => onCurrent((number) => $("stages").children[number].querySelector(".text").select());

export const removeStage = (number) => state.episode.edit("remove_boundary", { number });
export const renameStage = (number, text) => state.episode.edit("rename", { number, text }, `text ${number}`);

export function toggleExcluded(number) {
  return state.episode.edit("exclude", (all) => all[number] && { number, excluded: !all[number].excluded });
}

/** Choose Done or Not done, and put the cursor into the field that belongs to it. */
export function decide(success) {
  const { episode } = state;
  if (!episode.marking) return;
  pause();
  const final_progress = success ? null : (episode.marking.final_progress ?? 75);
  if (episode.marking.success !== success) episode.change({ success, final_progress });
  $(success ? "reason" : "cutoff").focus();
}

export async function copyEarlier() {
  if (stages().length) {
    return showMessage("this episode has stages; remove them (or undo) before you copy those of another", true);
  }
  if (await state.episode.edit("copy_earlier", {})) {
    showMessage("copied the stages of another episode, stretched to this length; now move their ends");
  }
}
