// The pictures of one episode: fetches a few at a time, the frame to show first, and drops the least recently used ones.
// Knows how to fetch; does not know the page, the server's addresses or which frame is on the screen.

const KEPT_PICTURES = 400;
const FETCHES = 5; // at the same time
const AHEAD = 40;
const BEHIND = 8;

export class Pictures {
  /**
   * @param {object} source count: frames of the video; cameras: pictures of every frame; url(i, camera): where one is.
   * @param {object} listener loaded(i, isTarget) and failed(i, status, reason) are called when a fetch ends; isTarget:
   *   the frame was the one to show when its fetch began.
   */
  constructor({ count, cameras, url }, listener) {
    Object.assign(this, { count, cameras, url, listener });
    this.bitmaps = new Map(); // frame -> one bitmap per camera
    this.running = new Set();
    this.wanted = [];
    this.target = null; // the frame to show
    this.fetchedTarget = null; // the target whose fetch is under way
    this.closed = false;
  }

  get(i) {
    const bitmaps = this.bitmaps.get(i);
    if (bitmaps) {
      this.bitmaps.delete(i);
      this.bitmaps.set(i, bitmaps);
    }
    return bitmaps;
  }

  /** Fetch frame i, then the frames around it, more of them in the direction of travel. */
  want(i, direction, stride = 1) {
    this.target = i;
    this.wanted = [];
    for (let step = 1; step <= AHEAD; step += 1) {
      this.wanted.push(i + step * direction * stride);
      if (step <= BEHIND) this.wanted.push(i - step * direction * stride);
    }
    this.wanted = this.wanted.filter((k) => k >= 0 && k < this.count && !this.bitmaps.has(k));
    this.pump();
  }

  /** Fetch one target at a time: while a slow one is on its way the latest waits, and those between are skipped. */
  pump() {
    if (this.closed) return;
    if (!this.bitmaps.has(this.target)) {
      if (this.fetchedTarget === null && !this.running.has(this.target)) {
        this.fetchedTarget = this.target;
        this.fetch(this.target);
      }
      return;
    }
    while (this.running.size < FETCHES && this.wanted.length) {
      const i = this.wanted.shift();
      if (!this.running.has(i) && !this.bitmaps.has(i)) this.fetch(i);
    }
  }

  async fetch(i) {
    this.running.add(i);
    const isTarget = this.fetchedTarget === i;
    let failure = null;
    try {
      const bitmaps = await Promise.all(Array.from({ length: this.cameras }, (_, camera) => this.picture(i, camera)));
      if (this.closed) return;
      this.bitmaps.set(i, bitmaps);
      while (this.bitmaps.size > KEPT_PICTURES) {
        const [oldest, dropped] = this.bitmaps.entries().next().value;
        this.bitmaps.delete(oldest);
        for (const bitmap of dropped) bitmap.close();
      }
    } catch (error) {
      failure = error;
    } finally {
      this.running.delete(i);
      if (isTarget) this.fetchedTarget = null;
    }
    if (this.closed) return;
    if (failure) this.listener.failed(i, failure.status, failure.message);
    else this.listener.loaded(i, isTarget);
    if (!failure || i !== this.target) this.pump();
  }

  async picture(i, camera) {
    const reply = await fetch(this.url(i, camera));
    if (reply.ok) return createImageBitmap(await reply.blob());
    const detail = await reply.json().then(
      (body) => body.detail,
      () => `the server answers ${reply.status}`,
    );
    throw Object.assign(new Error(detail), { status: reply.status });
  }

  close() {
    this.closed = true;
    for (const bitmap of [...this.bitmaps.values()].flat()) bitmap.close();
    this.bitmaps.clear();
  }
}
