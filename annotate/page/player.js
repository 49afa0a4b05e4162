// Which frame is on the screen: stepping, playing, looping. The frame number on the page changes when the frame is painted.
// Knows the pictures and the frame times; does not know stages, keys or the mouse.

import { showMessage, showProblem } from "./messages.js";
import { $, state } from "./state.js";
import { drawSoon, drawTimeline, oncePerRefresh } from "./timeline.js";

let direction = 1; // of the last step: more frames are fetched ahead on that side
const followers = new Set();

/** Call back after the frame on the screen has changed, once per screen refresh. */
export const onFrame = (follower) => followers.add(follower);

/** Show frame i, or the nearest one that exists, as soon as it is loaded. */
export function go(i) {
  const { pictures } = state;
  if (!pictures) return;
  const next = Math.min(Math.max(i, 0), pictures.count - 1);
  if (next !== state.target) direction = next < state.target ? -1 : 1;
  state.target = next;
  pictures.want(next, direction, state.playing ? Math.abs(state.playing.rate) : 1);
  const bitmaps = pictures.get(next);
  if (bitmaps && state.shown !== next) paint(next, bitmaps);
}

export function step(frames) {
  pause();
  go(state.target + frames);
}

/** Paint a loaded frame if it is still the target; while the mouse scrubs, also the targets on the way to it. */
export function pictureLoaded(i, wasTarget) {
  const wanted = i === state.target || (wasTarget && state.drag !== null);
  if (state.shown !== i && wanted) paint(i, state.pictures.get(i));
  else if (state.track.zoomed) drawSoon();
}

export function pictureFailed(i, status, reason) {
  if (i !== state.target) return;
  if (status === 410) showProblem(reason);
  else showMessage(`frame ${i} does not load (${reason}); trying again`, true);
  const { pictures } = state;
  setTimeout(() => {
    if (state.pictures === pictures && i === state.target && state.shown !== i) go(i);
  }, 1000);
}

function paint(i, bitmaps) {
  bitmaps.forEach((bitmap, camera) => {
    const canvas = $("pictures").children[camera].querySelector("canvas");
    const { width, height } = bitmap;
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  });
  state.shown = i;
  state.root.dataset.shown = i;
  state.root.dataset.ready = state.episode.id;
  if (state.playing?.loop || state.drag === null) state.track.reveal(i);
  followSoon();
}

/** Update all around the picture, once per screen refresh: painting the picture does not wait for it. */
const followSoon = oncePerRefresh(() => {
  const { shown, episode } = state;
  if (shown === null || !episode.info) return;
  const { num_frames, timestamps_sec } = episode.info;
  const seconds = timestamps_sec[shown].toFixed(2);
  $("where").textContent = `frame ${shown} of 0–${num_frames - 1} · ${seconds} s`;
  $("track").setAttribute("aria-valuenow", shown);
  $("track").setAttribute("aria-valuetext", `frame ${shown}, ${seconds} seconds`);
  rememberFrame(episode.id, shown);
  drawTimeline();
  for (const follower of followers) follower();
});

export function pause() {
  state.playing = null;
  $("play").textContent = "▶";
  $("speed").textContent = "";
}

/** Play at a rate; a negative rate plays backwards. `loop` is a stage that begins again at its end. */
export function play(rate, loop = null) {
  const { pictures, target } = state;
  if (!pictures) return;
  if (rate > 0 && !loop && target === pictures.count - 1) go(0);
  if (loop && !(target >= loop.start && target < loop.end)) go(loop.start);
  const running = state.playing !== null;
  state.playing = { rate, loop, now: null, time: state.episode.info.timestamps_sec[state.target] };
  $("play").textContent = "❚❚";
  $("speed").textContent = [rate === 1 ? "" : `×${rate}`, loop ? "in a loop" : ""].join(" ").trim();
  if (!running) requestAnimationFrame(playOn);
}

export const togglePlay = () => (state.playing ? pause() : play(1));

/** J and L: start at single speed, then double it up to eight times. */
export function shuttle(sign) {
  const { playing } = state;
  const same = playing && Math.sign(playing.rate) === sign;
  play(same ? sign * Math.min(Math.abs(playing.rate) * 2, 8) : sign);
}

/** Show the frame of the present time; time stops while that frame is not loaded, so that no frame is skipped. */
function playOn(now) {
  const { playing, pictures, episode, shown } = state;
  if (!playing || !pictures || !state.root.isConnected) return;
  const times = episode.info.timestamps_sec;
  const last = times.length - 1;
  const { rate, loop } = playing;
  const stride = Math.abs(rate);
  if (shown === state.target) playing.time += ((now - (playing.now ?? now)) / 1000) * rate;
  playing.now = now;
  let next = state.target;
  while (next < last && times[next + 1] <= playing.time) next += 1;
  while (next > 0 && times[next] > playing.time) next -= 1;
  if (stride > 1 && next > 0 && next < last) next -= next % stride; // only these frames are fetched ahead
  if (loop && (next >= loop.end || (shown === loop.end - 1 && times[loop.end - 1] + 1 / 60 < playing.time))) {
    next = loop.start;
    playing.time = times[next];
  }
  if (next !== state.target) go(next);
  const ended = rate > 0 ? state.target === last && !loop : state.target === 0;
  if (ended && state.shown === state.target) return pause();
  requestAnimationFrame(playOn);
}

const frameKey = (id) => `onetake:frame:${id}`;

/** Remember the frame in this browser; nothing depends on it. */
function rememberFrame(id, frame) {
  try {
    localStorage.setItem(frameKey(id), frame);
  } catch {
    // a browser that stores nothing forgets the frame
  }
}

/** The frame at which this browser left an episode. */
export const rememberedFrame = (id) => Number(localStorage.getItem(frameKey(id)) ?? 0);
