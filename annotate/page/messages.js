// The message line below the timeline and the red box at the top. Knows the two elements only.

import { $, state } from "./state.js";

/** Show one line below the timeline; it replaces the line before. */
export function showMessage(text, isError = false) {
  $("message").textContent = text;
  $("message").classList.toggle("error", isError);
}

/** Remove the line when what it said is over; that the work is not saved stays until it is. */
export function clearMessage() {
  if (!["failed", "replaced", "conflict"].includes(state.root.dataset.save)) showMessage("");
}

/** Show what stops the work on this episode. */
export function showProblem(text) {
  $("problem").textContent = text;
  $("problem").hidden = false;
}

export function hideProblem() {
  $("problem").hidden = true;
}
