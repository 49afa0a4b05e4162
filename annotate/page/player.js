// Which frame is shown: stepping, playing, shuttling, looping. The number on the page changes when its frame is painted.

const root = element.querySelector("#stage-timeline");
const $ = (id) => root.querySelector(`#${id}`);
const track = new Track($("track"));
let pictures = null, target = 0, shown = null, direction = 1, playing = null;

function go(i) {
  if (!pictures) return;
  const next = Math.min(Math.max(i, 0), pictures.count - 1);
  if (next !== target) direction = next < target ? -1 : 1;
  target = next;
  pictures.want(target, direction, playing ? Math.abs(playing.rate) : 1);
  const bitmaps = pictures.get(target);
  if (bitmaps && shown !== target) paint(target, bitmaps);
}

function step(frames) {
  pause();
  go(target + frames);
}

/** Paint what has come when it is wanted still; while the mouse scrubs faster than frames come, also those on the way. */
function loaded(i, aimed) {
  if (shown !== i && (i === target || (aimed && dragging()))) paint(i, pictures.get(i));
  else if (track.zoomed) drawSoon();
}

function notLoaded(i, status, reason) {
  if (i !== target) return;
  if (status === 410) showProblem(reason);
  else say(`frame ${i} does not load (${reason}); trying again`, true);
  const asked = pictures;
  setTimeout(() => { if (pictures === asked && i === target && shown !== i) go(i); }, 1000);
}

function paint(i, bitmaps) {
  bitmaps.forEach((bitmap, camera) => {
    const canvas = $("pictures").children[camera].querySelector("canvas");
    if (canvas.width !== bitmap.width || canvas.height !== bitmap.height) Object.assign(canvas, { width: bitmap.width, height: bitmap.height });
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  });
  shown = i;
  root.dataset.shown = i;
  root.dataset.ready = episode.id;
  if (playing?.loop || !dragging()) track.reveal(i);
  followSoon();
}

/** Bring everything around the picture to the frame shown, once per screen refresh: the picture itself does not wait. */
function follow() {
  if (shown === null || !episode.info) return;
  const i = shown, { num_frames, timestamps_sec } = episode.info;
  $("where").textContent = `frame ${i} of 0–${num_frames - 1} · ${timestamps_sec[i].toFixed(2)} s`;
  $("track").setAttribute("aria-valuenow", i);
  $("track").setAttribute("aria-valuetext", `frame ${i}, ${timestamps_sec[i].toFixed(2)} seconds`);
  keep(`onetake:frame:${episode.id}`, i);
  draw();
  markCurrent();
  showAnswersSoon();
}

let following = false;
function followSoon() {
  if (following) return;
  following = true;
  requestAnimationFrame(() => { following = false; follow(); });
}

function pause() {
  playing = null;
  $("play").textContent = "▶";
  $("speed").textContent = "";
}

/** Play at a rate; negative plays backwards. `loop` is a stage that begins again at its end. */
function play(rate, loop = null) {
  if (!pictures) return;
  const last = pictures.count - 1;
  if (rate > 0 && !loop && target === last) go(0);
  if (loop && !(target >= loop.start && target < loop.end)) go(loop.start);
  const running = playing !== null;
  playing = { rate, loop, now: null, clock: episode.info.timestamps_sec[target] };
  $("play").textContent = "❚❚";
  $("speed").textContent = [rate === 1 ? "" : `×${rate}`, loop ? "in a loop" : ""].join(" ").trim();
  if (!running) requestAnimationFrame(playOn);
}

const togglePlay = () => (playing ? pause() : play(1));

/** J and L: start at single speed, then double up to eight times. */
function shuttle(sign) {
  const same = playing && Math.sign(playing.rate) === sign;
  play(same ? sign * Math.min(Math.abs(playing.rate) * 2, 8) : sign);
}

const toggleLoop = () => (playing?.loop ? pause() : onCurrent((_, stage) => play(1, stage)));

/** Show the frame that is due; while it is not there yet the clock stands still, so none is skipped for want of data. */
function playOn(now) {
  if (!playing || !pictures || !root.isConnected) return;
  const times = episode.info.timestamps_sec, last = times.length - 1;
  const { rate, loop } = playing, stride = Math.abs(rate);
  if (shown === target) playing.clock += ((now - (playing.now ?? now)) / 1000) * rate;
  playing.now = now;
  let due = target;
  while (due < last && times[due + 1] <= playing.clock) due += 1;
  while (due > 0 && times[due] > playing.clock) due -= 1;
  if (stride > 1 && due > 0 && due < last) due -= due % stride; // whole strides: what is fetched ahead is what is shown
  if (loop && (due >= loop.end || (shown === loop.end - 1 && times[loop.end - 1] + 1 / 60 < playing.clock))) {
    due = loop.start;
    playing.clock = times[due];
  }
  if (due !== target) go(due);
  const ended = rate > 0 ? target === last && !loop : target === 0;
  if (ended && shown === target) return pause();
  requestAnimationFrame(playOn);
}

/** Remember a small thing in this browser; a browser that refuses only forgets it. */
function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // nothing depends on it
  }
}
