// This browser's copy of what is not saved yet: markings and edits on their way. Every tab has a copy of its own, so that
// no tab removes or replaces the copy of another one. Knows the browser's storage; does not know the server or the page.

const PREFIX = "onetake:unsaved:";
const TAB = Math.random().toString(36).slice(2);

const keyOf = (id) => `${PREFIX}${id}:${TAB}`;

/** Keep a copy; throws where the browser stores nothing. */
export function keepCopy(id, copy) {
  localStorage.setItem(keyOf(id), JSON.stringify({ ...copy, time: Date.now() }));
}

export const dropCopy = (id) => localStorage.removeItem(keyOf(id));

/**
 * Take the newest copy of an episode over into this tab; null where there is none. Copies of other versions of the video
 * stay: they are taken when that video is back.
 */
export function takeCopy(id, version) {
  const copies = Object.keys(localStorage)
    .filter((key) => key === PREFIX + id || key.startsWith(`${PREFIX}${id}:`))
    .map((key) => ({ key, ...JSON.parse(localStorage.getItem(key)) }))
    .filter((copy) => copy.version === version)
    .sort((a, b) => (b.time ?? 0) - (a.time ?? 0));
  if (!copies.length) return null;
  const { key, ...copy } = copies[0];
  if (key !== keyOf(id)) {
    keepCopy(id, copy);
    localStorage.removeItem(key);
  }
  return copy;
}
