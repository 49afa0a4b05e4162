// Pictures of one episode: fetched a few at a time, the wanted ones first, the least recently used ones dropped.

class Pictures {
  /** @param url(i) address of frame i; onLoaded(i), onFailed(i, reason) are told about every fetch. */
  constructor(count, url, onLoaded, onFailed) {
    Object.assign(this, { count, url, onLoaded, onFailed });
    this.bitmaps = new Map();
    this.running = new Set();
    this.wanted = [];
    this.closed = false;
  }

  get(i) {
    const bitmap = this.bitmaps.get(i);
    if (bitmap) {
      this.bitmaps.delete(i);
      this.bitmaps.set(i, bitmap);
    }
    return bitmap;
  }

  /** Ask for frame i and then for those around it, more of them in the direction of travel. */
  want(i, direction) {
    this.wanted = [i];
    for (let step = 1; step <= 40; step += 1) {
      this.wanted.push(i + step * direction);
      if (step <= 8) this.wanted.push(i - step * direction);
    }
    this.wanted = this.wanted.filter((k) => k >= 0 && k < this.count && !this.bitmaps.has(k));
    this.pump();
  }

  pump() {
    while (!this.closed && this.running.size < 5 && this.wanted.length) {
      const i = this.wanted.shift();
      if (!this.running.has(i) && !this.bitmaps.has(i)) this.fetch(i);
    }
  }

  async fetch(i) {
    this.running.add(i);
    let reason = null;
    try {
      const reply = await fetch(this.url(i));
      if (!reply.ok) throw new Error(`the server answers ${reply.status}`);
      const bitmap = await createImageBitmap(await reply.blob());
      if (this.closed) return;
      this.bitmaps.set(i, bitmap);
      while (this.bitmaps.size > 400) {
        const [oldest, dropped] = this.bitmaps.entries().next().value;
        this.bitmaps.delete(oldest);
        dropped.close();
      }
    } catch (error) {
      reason = error.message;
    } finally {
      this.running.delete(i);
    }
    if (this.closed) return;
    if (reason === null) this.onLoaded(i);
    else this.onFailed(i, reason);
    this.pump();
  }

  close() {
    this.closed = true;
    for (const bitmap of this.bitmaps.values()) bitmap.close();
    this.bitmaps.clear();
  }
}
