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
  if ((await markWith(text)) || field.value) return;
  field.value = text; // refused: what was typed stays, and the next letters go into the field too
  if (state.root.offsetParent !== null && document.activeElement === document.body) field.select();
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

/** Move the end of a stage and show its last frame. */
export const moveEnd = (number, end) => showEnd(state.episode.edit("move_boundary", { number, end }));

export function nudge(frames) {
  pause();
  onCurrent(() => showEnd(state.episode.edit("nudge_boundary", { at_frame: state.shown, frames })));
}

async function showEnd(edit) {
  const moved = await edit;
  if (moved) go(moved.stages[moved.number].end - 1);
}

function onCurrent(action) {
  const number = currentStage();
  if (number >= 0) action(number, stages()[number]);
  else showMessage("no stage is marked yet", true);
}

const editCurrent = (op) => onCurrent(() => state.episode.edit(op, { at_frame: state.shown ?? 0 }));

export const toggleLoop = () => (state.playing?.loop ? pause() : onCurrent((_, stage) => play(1, stage)));
export const removeCurrent = () => editCurrent("remove_boundary");
export const fallBackCurrent = () => editCurrent("fall_back");
export const toggleCurrent = () => editCurrent("toggle_excluded");
export const renameCurrent = () => onCurrent((number) => $("stages").children[number].querySelector(".text").select());

export const removeStage = (number) => state.episode.edit("remove_boundary", { number });
export const renameStage = (number, text) => state.episode.edit("rename", { number, text }, `text ${number}`);

export const toggleExcluded = (number) => state.episode.edit("toggle_excluded", { number });

/** Choose Done or Not done. A failure needs its percentage, so the cursor goes there; a reason is for the second press. */
export function decide(success) {
  const { episode } = state;
  if (!episode.marking) return;
  pause();
  const again = episode.marking.success === success;
  const final_progress = success ? null : (episode.marking.final_progress ?? 75);
  if (!again) episode.change({ success, final_progress });
  if (!success) $("reached").select();
  else if (again) $("reason").select();
}

export async function copyStages() {
  const { info, marking } = state.episode;
  if (stages().length) {
    return showMessage("this episode has stages; remove them (or undo) before you copy those of another", true);
  }
  if (await state.episode.edit("copy_earlier", { task: marking?.task ?? "" })) {
    showMessage(`copied the stages of ${info.copy_from}, stretched to this length; now move their ends`);
  }
}

/** Labels and stages to copy are those of episodes with this task. */
export async function findLabels() {
  const { episode } = state;
  const { id, marking } = episode;
  if (!marking) return;
  const reply = await episode.call("find_labels", { id, task: marking.task });
  if (!reply.ok || episode.id !== id || !episode.info) return;
  Object.assign(episode.info, { labels: reply.labels, copy_from: reply.copy_from });
  episode.view.changed();
}

/** Take the annotation away and begin anew. */
export async function startOver() {
  $("start-over-dialog").close();
  const kept = await state.episode.clear();
  if (kept) showMessage(`the annotation is not there any more; a copy is in ${kept}, and Undo brings it back`);
}
