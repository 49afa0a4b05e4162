// The queue and opening an episode of it. Knows the state, the player and the panels; does not know keys or the mouse.

import { render } from "./marking_view.js";
import { hideProblem, showMessage, showProblem } from "./messages.js";
import { Pictures } from "./pictures.js";
import { go, pause, pictureFailed, pictureLoaded, rememberedFrame } from "./player.js";
import { showPredictions } from "./predictions.js";
import { clearSamples, offerRecipes, showLabelledCount } from "./samples.js";
import { flush, showSaveState } from "./saving.js";
import { $, state } from "./state.js";
import { drawSoon } from "./timeline.js";
import { frameUrl, stripUrl } from "./urls.js";

const SIGNS = { new: "○", unfinished: "◐", labelled: "●" };

export function renderQueue(queue) {
  state.queue = queue;
  const picker = $("episode");
  while (picker.options.length > queue.length) picker.lastChild.remove();
  while (picker.options.length < queue.length) picker.append(document.createElement("option"));
  queue.forEach(showRow);
  picker.value = state.episode.id ?? "";
  showCounts();
}

/** Show one row of the queue that has changed. */
export function renderRow(row) {
  const k = state.queue.findIndex(({ id }) => id === row.id);
  state.queue[k] = row;
  showRow(row, k);
  showCounts();
}

function showRow({ id, name, status }, k) {
  Object.assign($("episode").options[k], { value: id, textContent: `${SIGNS[status]} ${name} · ${status}` });
}

function showCounts() {
  const { queue } = state;
  state.onDisk = queue.some(({ id, status }) => id === state.episode.id && status !== "new");
  const labelled = queue.filter(({ status }) => status === "labelled").length;
  $("queue-count").textContent = `${labelled} of ${queue.length} labelled`;
  showLabelledCount(labelled);
  for (const element of state.root.querySelectorAll(".queue-only")) element.hidden = queue.length < 2;
}

/** Save the open episode, then open another one; null opens the next unlabelled one. */
export async function openEpisode(id) {
  const { episode, root, track } = state;
  pause();
  const saved = !episode.marking || (await flush());
  if (episode.conflicted) return renderQueue(state.queue); // the conflict of the open episode is settled first
  const unsaved = saved
    ? ""
    : `not saved: the last changes of ${episode.info.name}; this browser keeps them, open it again to save them`;
  root.dataset.ready = "";
  document.activeElement?.blur();
  state.pictures?.close();
  track.strip = null;
  Object.assign(state, { pictures: null, shown: null, proposals: [], predictions: [] });
  clearSamples();
  const reply = await episode.open(id);
  hideProblem();
  root.querySelector(".work").inert = !reply.ok;
  $("subtask").value = "";
  const address = new URL(window.location);
  address.searchParams.set("episode", reply.id);
  history.replaceState(history.state, "", address);
  if (!reply.ok) return showUnreadable(reply);
  showMessage(unsaved, !saved);
  const { num_frames: count, cameras, version } = episode.info;
  track.reset(count);
  $("track").setAttribute("aria-valuemax", count - 1);
  $("goto").max = count - 1;
  $("pictures").replaceChildren(...cameras.map(makeCamera));
  const source = { count, cameras: cameras.length, url: (i, camera) => frameUrl(reply.id, version, i, camera) };
  state.pictures = new Pictures(source, { loaded: pictureLoaded, failed: pictureFailed });
  track.bitmapOf = (i) => state.pictures?.bitmaps.get(i)?.[0];
  offerRecipes(reply);
  render();
  showPredictions();
  const frame = rememberedFrame(reply.id);
  state.target = -1;
  go(frame < count ? frame : 0);
  watchScan(reply.id);
}

/** Show why the episode cannot be opened, and no picture. */
function showUnreadable({ name, error }) {
  showProblem(`${name}: ${error}`);
  showSaveState("none");
  $("where").textContent = "";
  $("pictures").replaceChildren();
  state.root.dataset.shown = "";
  state.track.reset(1);
  render();
}

function makeCamera(name, _, all) {
  const figure = document.createElement("figure");
  const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 9 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", all.length > 1 ? `Current frame, camera ${name}` : "Current frame");
  figure.append(canvas);
  if (all.length > 1) figure.append(Object.assign(document.createElement("figcaption"), { textContent: name }));
  return figure;
}

/** Follow the server while it reads the video: the filmstrip grows, then the proposals come. */
async function watchScan(id) {
  const { episode, root, track } = state;
  let drawn = -1;
  while (episode.id === id && root.isConnected) {
    const reply = await episode.call("scan_episode", { id });
    if (episode.id !== id || !episode.info) return;
    if (reply.ok && reply.problem) return showProblem(reply.problem);
    if ((reply.ok && reply.scanned - drawn > reply.num_frames / 12) || reply.proposals) {
      drawn = reply.scanned;
      const image = new Image();
      image.onload = () => {
        if (episode.id !== id) return;
        track.strip = { image, count: episode.info.strip_count };
        drawSoon();
      };
      image.src = stripUrl(id, episode.info.version, drawn);
    }
    if (reply.ok && reply.proposals) {
      state.proposals = reply.proposals;
      root.dataset.proposals = reply.proposals.length;
      return drawSoon();
    }
    await new Promise((done) => setTimeout(done, reply.ok ? 400 : 2000));
  }
}

const placeInQueue = () => state.queue.findIndex(({ id }) => id === state.episode.id);

export async function openNeighbour(sign) {
  const next = state.queue[placeInQueue() + sign];
  if (next) await openEpisode(next.id);
  else showMessage(sign > 0 ? "this is the last episode" : "this is the first episode", true);
}

export async function openUnlabelled() {
  if (state.episode.marking) await flush(); // so that the queue knows whether this one is labelled
  const here = placeInQueue();
  const others = [...state.queue.slice(here + 1), ...state.queue.slice(0, here)];
  const next = others.find(({ status }) => status !== "labelled");
  if (next) await openEpisode(next.id);
  else showMessage("all other episodes are labelled");
}
