// The message line below the timeline and the red box at the top. Knows the two elements only.

import { $ } from "./state.js";

/** Show one line below the timeline; it replaces the line before. */
export function showMessage(text, isError = false) {
  $("message").textContent = text;
  $("message").classList.toggle("error", isError);
}

/** Show what stops the work on this episode. */
export function showProblem(text) {
  $("problem").textContent = text;
  $("problem").hidden = false;
}

export function hideProblem() {
  $("problem").hidden = true;
}
