// Pictures of one episode: fetched a few at a time, the wanted one first, the least recently used ones dropped.

const KEPT_PICTURES = 400, FETCHES = 5, AHEAD = 40, BEHIND = 8;

class Pictures {
  /** @param cameras how many pictures a frame has; url(i, camera); onLoaded(i), onFailed(i, status, reason) are told. */
  constructor(count, cameras, url, onLoaded, onFailed) {
    Object.assign(this, { count, cameras, url, onLoaded, onFailed });
    this.bitmaps = new Map(); // frame -> one bitmap per camera
    this.running = new Set();
    this.wanted = [];
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

  /** Ask for frame i at once, then for those around it, more of them in the direction of travel. */
  want(i, direction, stride = 1) {
    this.wanted = [];
    for (let step = 1; step <= AHEAD; step += 1) {
      this.wanted.push(i + step * direction * stride);
      if (step <= BEHIND) this.wanted.push(i - step * direction * stride);
    }
    this.wanted = this.wanted.filter((k) => k >= 0 && k < this.count && !this.bitmaps.has(k));
    if (!this.bitmaps.has(i) && !this.running.has(i)) this.fetch(i);
    this.pump();
  }

  pump() {
    while (!this.closed && this.running.size < FETCHES && this.wanted.length) {
      const i = this.wanted.shift();
      if (!this.running.has(i) && !this.bitmaps.has(i)) this.fetch(i);
    }
  }

  async fetch(i) {
    this.running.add(i);
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
    }
    if (this.closed) return;
    if (failure) this.onFailed(i, failure.status, failure.message);
    else this.onLoaded(i);
    this.pump();
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
