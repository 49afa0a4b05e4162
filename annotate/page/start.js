// Opening an episode, and the start of the page.

async function flush() {
  if (root.contains(document.activeElement)) document.activeElement.blur(); // commits a field that is being edited
  return episode.flush();
}

async function open(id) {
  pause();
  const saved = !episode.doc || (await flush());
  if (episode.conflicted) return renderQueue(queue); // the question about this episode comes first
  const left = saved ? "" : `not saved: the last changes of ${episode.info.name}; this browser keeps them, open it again to save them`;
  root.dataset.ready = "";
  document.activeElement?.blur();
  pictures?.close();
  Object.assign(track, { strip: null });
  [pictures, shown, proposals, results] = [null, null, [], []];
  root.dataset.generated = "";
  for (const part of ["samples-notes", "commands", "prompt", "samples-preview", "samples-says"]) $(part).replaceChildren();
  const reply = await episode.open(id);
  $("problem").hidden = reply.ok;
  root.querySelector(".work").inert = !reply.ok;
  $("subtask").value = "";
  const address = new URL(window.location);
  address.searchParams.set("episode", reply.id);
  history.replaceState(history.state, "", address);
  if (!reply.ok) {
    showProblem(`${reply.name}: ${reply.error}`);
    root.dataset.save = $("save").dataset.state = "none";
    $("save").textContent = "not loaded";
    $("where").textContent = "";
    $("pictures").replaceChildren();
    root.dataset.shown = "";
    track.reset(1);
    return render();
  }
  say(left, !saved);
  const { info } = episode;
  track.reset(info.num_frames);
  $("track").setAttribute("aria-valuemax", info.num_frames - 1);
  $("goto").max = info.num_frames - 1;
  $("pictures").replaceChildren(...info.cameras.map(makeCamera));
  pictures = new Pictures(info.num_frames, info.cameras.length, frameUrl, loaded, notLoaded);
  track.bitmapOf = (i) => pictures?.bitmaps.get(i)?.[0];
  render();
  showResults();
  const before = Number(localStorage.getItem(`onetake:frame:${reply.id}`) ?? 0);
  target = -1;
  go(before < info.num_frames ? before : 0);
  watchScan(reply.id);
}

function makeCamera(name, k, all) {
  const figure = document.createElement("figure");
  const canvas = Object.assign(document.createElement("canvas"), { width: 16, height: 9 });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", all.length > 1 ? `The frame shown, camera ${name}` : "The frame shown");
  figure.append(canvas);
  if (all.length > 1) figure.append(Object.assign(document.createElement("figcaption"), { textContent: name }));
  return figure;
}

/** Follow the server's pass over the video: the filmstrip grows, then the proposals come. */
async function watchScan(id) {
  let drawn = -1;
  while (episode.id === id && root.isConnected) {
    const reply = await episode.call("scan_episode", { id });
    if (episode.id !== id || !episode.info) return;
    if (reply.ok && reply.problem) return showProblem(reply.problem);
    if (reply.ok && reply.scanned - drawn > reply.num_frames / 12 || reply.proposals) {
      drawn = reply.scanned;
      const image = new Image();
      image.onload = () => { if (episode.id === id) { track.strip = { image, count: episode.info.strip_count }; drawSoon(); } };
      image.src = `${props.base || "/"}strip/${id}.jpg?v=${episode.info.version}&read=${drawn}`;
    }
    if (reply.ok && reply.proposals) {
      proposals = reply.proposals;
      root.dataset.proposals = proposals.length;
      return drawSoon();
    }
    await new Promise((done) => setTimeout(done, reply.ok ? 400 : 2000));
  }
}

const placeInQueue = () => queue.findIndex(({ id }) => id === episode.id);

async function turnTo(sign) {
  const next = queue[placeInQueue() + sign];
  if (next) await open(next.id);
  else say(sign > 0 ? "this is the last episode" : "this is the first episode", true);
}

async function toUnlabelled() {
  if (episode.doc) await flush(); // the list then knows about this one
  const here = placeInQueue();
  const waiting = [...queue.slice(here + 1), ...queue.slice(0, here)].find(({ status }) => status !== "labelled");
  if (waiting) await open(waiting.id);
  else say("no other episode waits to be labelled");
}

new ResizeObserver(drawSoon).observe($("track"));
new MutationObserver(drawSoon).observe(document.body, { attributes: true, attributeFilter: ["class"] });
root.editor = { flush, open, frameUrl, proposals: () => proposals };
open(new URLSearchParams(window.location.search).get("episode"));
