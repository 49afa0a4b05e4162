// The drawing of the timeline: ruler, filmstrip, coloured stages, curves and play head. Maps frames to pixels. Knows one
// canvas and what it is given to draw; does not know the page's state.

export const COLOURS = ["#2f6db5", "#b5532f", "#3f8a4d", "#8a4fa8", "#96701f", "#22808a", "#b23a6b", "#5c6b7a"];
// heights in CSS pixels
const TEXT_SIZE = 14; // of the page's text, to which they belong
const RULER = 20;
const FILM = 54;
const BAND = 34;
const CURVE = 76;
const BAR = 7;
const BAND_TOP = RULER + FILM + 2;
const CURVE_TOP = BAND_TOP + BAND + 4;
const TRACK_HEIGHT = CURVE_TOP + CURVE + BAR + 3;
const SHORTEST_VIEW = 8; // frames

export class Track {
  constructor(canvas) {
    Object.assign(this, { canvas, strip: null, bitmapOf: () => null });
    this.reset(1);
  }

  reset(count) {
    Object.assign(this, { count, from: 0, to: count });
  }

  /** Size of the text around the timeline, as a multiple of the size that the heights above are made for. */
  get scale() {
    return Number.parseFloat(getComputedStyle(this.canvas).fontSize) / TEXT_SIZE || 1;
  }

  get width() {
    return this.canvas.clientWidth / this.scale || 1;
  }

  get zoomed() {
    return this.to - this.from < this.count;
  }

  /** Left edge of frame i; it covers [xOf(i), xOf(i + 1)). */
  xOf(i) {
    return ((i - this.from) / (this.to - this.from)) * this.width;
  }

  /** Frame number at x, with its fraction. */
  at(x) {
    return this.from + (x / this.width) * (this.to - this.from);
  }

  frameAt(x) {
    return Math.min(Math.max(Math.floor(this.at(x)), 0), this.count - 1);
  }

  show(from, length) {
    const span = Math.min(Math.max(length, Math.min(SHORTEST_VIEW, this.count)), this.count);
    this.from = Math.min(Math.max(from, 0), this.count - span);
    this.to = this.from + span;
  }

  /** Zoom; the frame under x stays there. */
  zoom(x, factor) {
    const fixed = this.at(x),
      length = (this.to - this.from) * factor;
    this.show(fixed - (x / this.width) * length, length);
  }

  /** Scroll when frame i is out of sight. */
  reveal(i) {
    const length = this.to - this.from;
    if (i < this.from) this.show(i - 0.8 * length, length);
    else if (i + 1 > this.to) this.show(i - 0.2 * length, length);
  }

  /** Position of the stage whose end is within a few pixels of x, or -1. */
  boundaryAt(x, y, stages) {
    if (y < RULER || y > BAND_TOP + BAND) return -1;
    let best = -1;
    stages.forEach((stage, k) => {
      const distance = Math.abs(this.xOf(stage.end) - x);
      if (distance <= 5 && (best < 0 || distance < Math.abs(this.xOf(stages[best].end) - x))) best = k;
    });
    return best;
  }

  draw({ stages, shown, current, tail, proposals, curves, withFindings }) {
    const ratio = (window.devicePixelRatio || 1) * this.scale;
    const [width, height] = [this.width, TRACK_HEIGHT];
    if (this.canvas.width !== Math.round(width * ratio)) this.canvas.width = Math.round(width * ratio);
    if (this.canvas.height !== Math.round(height * ratio)) this.canvas.height = Math.round(height * ratio);
    const style = getComputedStyle(this.canvas);
    const [ink, faint, paper] = ["--body-text-color", "--border-color-primary", "--background-fill-secondary"].map(
      (name) => style.getPropertyValue(name).trim() || "#888",
    );
    const soft = `color-mix(in srgb, ${ink} 66%, ${paper})`;
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `12px ${style.fontFamily}`;
    pen.textBaseline = "middle";
    const colours = { ink, soft, faint, paper };
    this.drawRuler(pen, colours);
    this.drawFilm(pen, colours);
    this.drawCurves(pen, curves, colours);
    this.drawStages(pen, stages, current, tail, withFindings, colours);
    this.drawProposals(pen, proposals, stages);
    if (this.zoomed) this.drawBar(pen, colours);
    this.drawHead(pen, shown, height - BAR);
  }

  drawRuler(pen, { soft, faint }) {
    const step =
      [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].find((n) => this.xOf(n) - this.xOf(0) >= 64) ||
      20000;
    pen.strokeStyle = faint;
    pen.fillStyle = soft;
    for (let i = Math.ceil(this.from / step) * step; i < Math.min(this.to, this.count); i += step) {
      const x = Math.round(this.xOf(i)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, 5);
      pen.lineTo(x, RULER);
      pen.stroke();
      if (x + 30 < this.width) pen.fillText(String(i), x + 4, RULER / 2 + 1);
    }
  }

  /** Thumbnails of the strip; where they are too coarse for the zoom, the frames themselves as far as they are loaded. */
  drawFilm(pen, { paper }) {
    pen.fillStyle = paper;
    pen.fillRect(0, RULER, this.width, FILM);
    if (!this.strip) return;
    const { image, count } = this.strip;
    const thumb = image.width / count;
    const slot = (FILM * thumb) / image.height;
    const perThumb = this.count / count;
    for (let x = 0; x < this.width; x += slot) {
      const middle = Math.min(Math.floor(this.at(x + slot / 2)), this.count - 1);
      const k = Math.min(Math.floor(middle / perThumb), count - 1);
      const bitmap = Math.abs((k + 0.5) * perThumb - middle) > 1 ? this.bitmapOf(middle) : null;
      if (bitmap) pen.drawImage(bitmap, x, RULER, slot, FILM);
      else pen.drawImage(image, k * thumb, 0, thumb, image.height, x, RULER, slot, FILM);
    }
  }

  drawStages(pen, stages, current, tail, withFindings, { ink, paper, faint }) {
    stages.forEach((stage, k) => {
      const [left, right] = [this.xOf(stage.start), this.xOf(stage.end)];
      if (right < 0 || left > this.width) return;
      pen.fillStyle = stage.excluded ? "#7b818b" : COLOURS[k % COLOURS.length];
      pen.fillRect(left, BAND_TOP, right - left, BAND);
      if (stage.excluded) this.hatch(pen, left, right, RULER, FILM + 2 + BAND);
      const sign = withFindings.has(k) ? "⚠ " : "",
        back = stage.falls_back_to ? ` ↩${stage.falls_back_to}` : "";
      this.label(pen, `${sign}${k + 1}. ${stage.subtask || "left out"}${back}`, left, right, "#fff");
      if (k === current) {
        pen.strokeStyle = ink;
        pen.lineWidth = 2;
        pen.strokeRect(left + 1, BAND_TOP + 1, Math.max(right - left - 2, 1), BAND - 2);
        pen.lineWidth = 1;
      }
    });
    const start = this.xOf(stages.length ? stages[stages.length - 1].end : 0);
    if (start < this.width) {
      pen.fillStyle = tail.colour || paper;
      pen.fillRect(start, BAND_TOP, this.width - start, BAND);
      pen.strokeStyle = faint;
      pen.strokeRect(start + 0.5, BAND_TOP + 0.5, this.width - start - 1, BAND - 1);
      this.label(pen, tail.text, start, this.width, tail.colour ? "#fff" : ink);
    }
    for (const stage of stages) {
      pen.fillStyle = "rgba(0, 0, 0, 0.55)";
      pen.fillRect(this.xOf(stage.end) - 2.5, RULER, 5, FILM + 2 + BAND);
      pen.fillStyle = "#fff";
      pen.fillRect(this.xOf(stage.end) - 1.5, RULER, 3, FILM + 2 + BAND);
    }
  }

  /** Proposed starts of stages; not drawn where a stage ends already. */
  drawProposals(pen, proposals, stages) {
    const boundaries = new Set(stages.map((stage) => stage.end));
    for (const frame of proposals) {
      const x = Math.round(this.xOf(frame)) + 0.5;
      if (boundaries.has(frame) || x < 0 || x > this.width) continue;
      pen.setLineDash([3, 3]);
      for (const [width, colour] of [
        [3, "rgba(0, 0, 0, 0.3)"],
        [1, "rgba(255, 255, 255, 0.85)"],
      ]) {
        Object.assign(pen, { lineWidth: width, strokeStyle: colour });
        pen.beginPath();
        pen.moveTo(x, RULER);
        pen.lineTo(x, RULER + FILM);
        pen.stroke();
      }
      pen.setLineDash([]);
      pen.lineWidth = 1;
      pen.fillStyle = "#0d9488";
      pen.beginPath();
      pen.moveTo(x - 4, RULER - 5);
      pen.lineTo(x + 4, RULER - 5);
      pen.lineTo(x, RULER + 1);
      pen.fill();
    }
  }

  /** Progress in percent over time: `points` are [frame, percent or null]; null breaks the line. */
  drawCurves(pen, curves, { soft, faint, paper }) {
    const y = (percent) => CURVE_TOP + CURVE - 4 - (percent / 100) * (CURVE - 8);
    pen.fillStyle = paper;
    pen.fillRect(0, CURVE_TOP, this.width, CURVE);
    pen.strokeStyle = faint;
    for (const percent of [0, 50, 100]) {
      pen.beginPath();
      pen.moveTo(0, Math.round(y(percent)) + 0.5);
      pen.lineTo(this.width, Math.round(y(percent)) + 0.5);
      pen.stroke();
    }
    pen.lineJoin = "round";
    for (const { points, colour, dash } of curves) {
      Object.assign(pen, { strokeStyle: colour, lineWidth: dash ? 1.5 : 2 });
      pen.setLineDash(dash ?? []);
      pen.beginPath();
      let drawing = false;
      for (const [frame, percent] of points) {
        if (percent === null) {
          drawing = false;
          continue;
        }
        const x = this.xOf(frame + 0.5);
        if (drawing) pen.lineTo(x, y(percent));
        else pen.moveTo(x, y(percent));
        drawing = true;
      }
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.lineWidth = 1;
    pen.fillStyle = soft;
    pen.font = pen.font.replace("12px", "10px");
    pen.fillText("100 %", 4, y(100) + 7);
    pen.fillText("0", 4, y(0) - 6);
    pen.font = pen.font.replace("10px", "12px");
  }

  drawBar(pen, { faint, soft }) {
    const top = TRACK_HEIGHT - BAR;
    pen.fillStyle = faint;
    pen.fillRect(0, top + 2, this.width, BAR - 3);
    pen.fillStyle = soft;
    const left = (this.from / this.count) * this.width;
    pen.fillRect(left, top, Math.max(((this.to - this.from) / this.count) * this.width, 6), BAR);
  }

  hatch(pen, left, right, top, height) {
    pen.save();
    pen.beginPath();
    pen.rect(left, top, right - left, height);
    pen.clip();
    pen.strokeStyle = "rgba(200, 30, 30, 0.65)";
    pen.lineWidth = 1.5;
    for (let x = Math.max(left, 0) - height; x < Math.min(right, this.width); x += 9) {
      pen.beginPath();
      pen.moveTo(x, top + height);
      pen.lineTo(x + height, top);
      pen.stroke();
    }
    pen.restore();
  }

  label(pen, text, left, right, colour) {
    const start = Math.max(left, 0);
    if (right - start < 14) return;
    pen.save();
    pen.beginPath();
    pen.rect(start, BAND_TOP, right - start - 4, BAND);
    pen.clip();
    pen.fillStyle = colour;
    pen.fillText(text, start + 8, BAND_TOP + BAND / 2);
    pen.restore();
  }

  drawHead(pen, shown, height) {
    if (shown === null) return;
    const [left, right] = [this.xOf(shown), this.xOf(shown + 1)];
    const x = Math.round((left + right) / 2);
    pen.fillStyle = "rgba(225, 29, 72, 0.22)";
    pen.fillRect(left, RULER, right - left, height - RULER);
    pen.fillStyle = "#e11d48";
    pen.fillRect(x - 1, 0, 2, height);
    pen.beginPath();
    pen.moveTo(x - 6, 0);
    pen.lineTo(x + 6, 0);
    pen.lineTo(x, 9);
    pen.fill();
  }
}
