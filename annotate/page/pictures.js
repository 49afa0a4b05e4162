// Pictures of one episode: fetched a few at a time, the one to show first, the least recently used ones dropped.

const KEPT_PICTURES = 400, FETCHES = 5, AHEAD = 40, BEHIND = 8;

class Pictures {
  /** @param cameras how many pictures a frame has; url(i, camera); onLoaded(i, aimed at), onFailed(i, status, why) are told. */
  constructor(count, cameras, url, onLoaded, onFailed) {
    Object.assign(this, { count, cameras, url, onLoaded, onFailed });
    this.bitmaps = new Map(); // frame -> one bitmap per camera
    this.running = new Set();
    this.wanted = [];
    Object.assign(this, { target: null, aimed: null, closed: false });
  }

  get(i) {
    const bitmaps = this.bitmaps.get(i);
    if (bitmaps) {
      this.bitmaps.delete(i);
      this.bitmaps.set(i, bitmaps);
    }
    return bitmaps;
  }

  /** Ask for frame i, and once it is here for those around it, more of them in the direction of travel. */
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

  /** One target at a time: while a slow one is fetched the latest waits, and those in between are never asked for. */
  pump() {
    if (this.closed) return;
    if (!this.bitmaps.has(this.target)) {
      if (this.aimed === null && !this.running.has(this.target)) {
        this.aimed = this.target;
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
    const aimed = this.aimed === i;
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
      if (aimed) this.aimed = null;
    }
    if (this.closed) return;
    if (!failure) this.onLoaded(i, aimed);
    else this.onFailed(i, failure.status, failure.message);
    if (!failure || i !== this.target) this.pump();
  }

  async picture(i, camera) {
    const reply = await fetch(this.url(i, camera));
    if (reply.ok) return createImageBitmap(await reply.blob());
    const detail = await reply.json().then((body) => body.detail, () => `the server answers ${reply.status}`);
    throw Object.assign(new Error(detail), { status: reply.status });
  }

  close() {
    this.closed = true;
    for (const bitmap of [...this.bitmaps.values()].flat()) bitmap.close();
    this.bitmaps.clear();
  }
}
