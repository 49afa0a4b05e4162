// The elements that samples and predictions are shown with. Knows the state; decides nothing.

import { go, pause } from "./player.js";
import { $, state } from "./state.js";
import { frameUrl } from "./urls.js";

/** Return a new element with a class and a text. */
export function make(tag, className, text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** Return the pictures of a window, oldest first; a click goes to the frame. */
export function makeWindow(frames) {
  const { id, info } = state.episode;
  const row = make("div", "window");
  for (const frame of frames) {
    const button = Object.assign(make("button", "thumb"), { type: "button", title: `Go to frame ${frame}` });
    const image = make("img", "");
    Object.assign(image, { loading: "lazy", src: frameUrl(id, info.version, frame), alt: `frame ${frame}` });
    button.append(image, make("span", "", frame));
    button.onclick = () => {
      pause();
      go(frame);
    };
    row.append(button);
  }
  return row;
}

/** Show one of the two panels below the timeline. */
export function showPanel(name) {
  for (const panel of ["samples", "predictions"]) {
    const tab = $(`${panel}-tab`);
    $(panel).hidden = panel !== name;
    tab.setAttribute("aria-selected", panel === name);
    tab.tabIndex = panel === name ? 0 : -1;
  }
}
