// Shows whether the work is saved, and asks what to do when another program changed it. Knows the state and the episode.

import { hideProblem, showMessage, showProblem } from "./messages.js";
import { $, state } from "./state.js";

let troubled = false; // the last save did not succeed

/** Save everything, also a field that is being edited; returns whether all is saved. */
export async function flush() {
  if (state.root.contains(document.activeElement)) document.activeElement.blur(); // ends the edit of a field
  return state.episode.flush();
}

export function showSaveState(name, reason = "") {
  const texts = {
    saved: savedText(),
    saving: "saving …",
    failed: "NOT SAVED · retrying",
    replaced: "NOT SAVED · another video",
    conflict: "NOT SAVED · changed elsewhere",
    none: "not loaded",
  };
  if (name === "saving" && troubled) return; // a retry: the error stays on the page until a save succeeds
  state.root.dataset.save = name;
  $("save").dataset.state = name;
  $("save").textContent = texts[name];
  if (name === "replaced") showProblem(reason);
  else if (reason) showMessage(reason, true);
  if (name === "saved" && troubled) {
    showMessage("saved; nothing was lost");
    hideProblem();
  }
  troubled = ["failed", "replaced"].includes(name);
}

function savedText() {
  if (!state.onDisk) return "nothing to save yet";
  return state.episode.unfinished ? "saved, unfinished" : "saved";
}

export function showConflict(reason) {
  $("conflict-text").textContent = reason;
  if (!$("conflict").open) $("conflict").showModal();
}

export async function settleConflict(keepMine) {
  $("conflict").close();
  const kept = await state.episode.settle(keepMine);
  if (kept) showMessage(`the other version is in ${kept}; Undo shows it here`);
}
