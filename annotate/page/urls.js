// The addresses of the server's pictures. They are relative to this script's own address (BASE/page/VERSION/urls.js), so
// that the page also works below a path of a reverse proxy. Knows no element.

const BASE = new URL("../../", import.meta.url);

const url = (path) => new URL(path, BASE).href;

/** JPEG of frame i; the version makes sure that it never shows a frame of a replaced video. */
export const frameUrl = (id, version, i, camera = 0) => url(`frames/${id}/${camera}/${i}.jpg?v=${version}`);

/** JPEG of the filmstrip; `scanned` makes the browser load it again when it has grown. */
export const stripUrl = (id, version, scanned) => url(`strip/${id}.jpg?v=${version}&scanned=${scanned}`);

/** Whether the server answers at all. */
export async function serverAnswers() {
  try {
    return (await fetch(url("alive"), { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}
