// The start of the page: gives every module the editor's elements and opens the first episode. Gradio loads this module
// when it has put the editor's elements on the page (app.py).

import { Track } from "./drawing.js";
import { Episode } from "./episode.js";
import { listenToButtons, listenToKeys } from "./keys.js";
import { highlightCurrent, render, renderFindings } from "./marking_view.js";
import { clearMessage, showMessage } from "./messages.js";
import { listenToMouse } from "./mouse.js";
import { onFrame } from "./player.js";
import { showAnswersSoon } from "./predictions.js";
import { openEpisode, renderQueue, renderRow } from "./queue.js";
import { flush, showConflict, showSaveState } from "./saving.js";
import { $, state } from "./state.js";
import { drawSoon, drawTimeline } from "./timeline.js";
import { frameUrl, serverAnswers } from "./urls.js";

/**
 * Start the editor.
 * @param {Element} element Gradio's component.
 * @param {object} server Gradio's server functions (server_functions.py).
 */
export function start(element, server) {
  state.root = element.querySelector("#stage-timeline");
  state.track = new Track($("track"));
  state.episode = new Episode(server, serverAnswers, {
    changed: () => {
      clearMessage();
      render();
    },
    checked: () => {
      renderFindings();
      drawTimeline();
    },
    failed: (reason) => showMessage(reason, true),
    listed: renderQueue,
    row: renderRow,
    state: showSaveState,
    conflict: showConflict,
  });
  const { episode } = state;
  window.addEventListener("beforeunload", (event) => {
    if (state.root.isConnected && (episode.unsaved || $("subtask").value.trim())) event.preventDefault(); // asks
  });
  onFrame(highlightCurrent);
  onFrame(showAnswersSoon);
  listenToKeys();
  listenToButtons();
  listenToMouse();
  new ResizeObserver(drawSoon).observe($("track"));
  new MutationObserver(drawSoon).observe(document.body, { attributes: true, attributeFilter: ["class"] });
  state.root.editor = {
    // for tests
    flush,
    frameUrl: (i) => frameUrl(episode.id, episode.info.version, i),
    proposals: () => state.proposals,
  };
  openEpisode(new URLSearchParams(window.location.search).get("episode"));
}
