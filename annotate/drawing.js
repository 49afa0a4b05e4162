// The timeline's drawing: ruler, filmstrip, coloured stages, play head. Maps frames to pixels and back; changes nothing.

const COLOURS = ["#2f6db5", "#b5532f", "#3f8a4d", "#8a4fa8", "#96701f", "#22808a", "#b23a6b", "#5c6b7a"];
const RULER = 20, FILM = 54, BAND = 40; // heights in CSS pixels

class Track {
  constructor(canvas) {
    this.canvas = canvas;
    this.strip = null;
    this.count = 1;
  }

  get width() {
    return this.canvas.clientWidth || 1;
  }

  /** Left edge of frame i; the whole video fits, frame i covers [xOf(i), xOf(i + 1)). */
  xOf(i) {
    return (i / this.count) * this.width;
  }

  frameAt(x) {
    return Math.min(Math.max(Math.floor((x / this.width) * this.count), 0), this.count - 1);
  }

  /** Number of the stage whose end is within a few pixels of x, or -1. */
  boundaryAt(x, y, stages) {
    if (y < RULER) return -1;
    let best = -1;
    stages.forEach((stage, k) => {
      const distance = Math.abs(this.xOf(stage.end) - x);
      if (distance <= 5 && (best < 0 || distance < Math.abs(this.xOf(stages[best].end) - x))) best = k;
    });
    return best;
  }

  draw({ stages, shown, current, tail }) {
    const ratio = window.devicePixelRatio || 1;
    const [width, height] = [this.width, RULER + FILM + BAND + 4];
    if (this.canvas.width !== Math.round(width * ratio)) this.canvas.width = Math.round(width * ratio);
    if (this.canvas.height !== Math.round(height * ratio)) this.canvas.height = Math.round(height * ratio);
    const style = getComputedStyle(this.canvas);
    const [ink, faint, paper, accent] = ["--body-text-color", "--border-color-primary", "--background-fill-secondary", "--color-accent"]
      .map((name) => style.getPropertyValue(name).trim() || "#888");
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.font = `12px ${style.fontFamily}`;
    pen.textBaseline = "middle";
    this.drawRuler(pen, ink, faint);
    this.drawFilm(pen, paper);
    this.drawStages(pen, stages, current, tail, { ink, paper, faint });
    this.drawHead(pen, shown, accent, height);
  }

  drawRuler(pen, ink, faint) {
    const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000].find((n) => this.xOf(n) >= 64) || 20000;
    pen.strokeStyle = faint;
    pen.fillStyle = ink;
    for (let i = 0; i < this.count; i += step) {
      const x = Math.round(this.xOf(i)) + 0.5;
      pen.beginPath();
      pen.moveTo(x, 4);
      pen.lineTo(x, RULER);
      pen.stroke();
      if (x + 30 < this.width) pen.fillText(String(i), x + 4, RULER / 2);
    }
  }

  drawFilm(pen, paper) {
    pen.fillStyle = paper;
    pen.fillRect(0, RULER, this.width, FILM);
    if (!this.strip) return;
    const { image, count } = this.strip;
    const thumb = image.width / count;
    const slot = (FILM * thumb) / image.height;
    for (let x = 0; x < this.width; x += slot) {
      const k = Math.min(Math.floor(((x + slot / 2) / this.width) * count), count - 1);
      pen.drawImage(image, k * thumb, 0, thumb, image.height, x, RULER, slot, FILM);
    }
  }

  drawStages(pen, stages, current, tail, { ink, paper, faint }) {
    const top = RULER + FILM + 2;
    stages.forEach((stage, k) => {
      const [left, right] = [this.xOf(stage.start), this.xOf(stage.end)];
      pen.fillStyle = stage.excluded ? "#8b919b" : COLOURS[k % COLOURS.length];
      pen.fillRect(left, top, right - left, BAND);
      if (stage.excluded) this.hatch(pen, left, right, RULER, FILM + 2 + BAND);
      this.label(pen, `${k + 1}. ${stage.subtask || "left out"}`, left, right, top, "#fff");
      if (k === current) {
        pen.strokeStyle = ink;
        pen.lineWidth = 2;
        pen.strokeRect(left + 1, top + 1, Math.max(right - left - 2, 1), BAND - 2);
        pen.lineWidth = 1;
      }
    });
    const start = this.xOf(stages.length ? stages[stages.length - 1].end : 0);
    if (start < this.width) {
      pen.fillStyle = tail.colour || paper;
      pen.fillRect(start, top, this.width - start, BAND);
      pen.strokeStyle = faint;
      pen.strokeRect(start + 0.5, top + 0.5, this.width - start - 1, BAND - 1);
      this.label(pen, tail.text, start, this.width, top, tail.colour ? "#fff" : ink);
    }
    for (const stage of stages) {
      pen.fillStyle = "#fff";
      pen.fillRect(this.xOf(stage.end) - 1.5, RULER, 3, FILM + 2 + BAND);
    }
  }

  hatch(pen, left, right, top, height) {
    pen.save();
    pen.beginPath();
    pen.rect(left, top, right - left, height);
    pen.clip();
    pen.strokeStyle = "rgba(200, 30, 30, 0.65)";
    pen.lineWidth = 1.5;
    for (let x = left - height; x < right; x += 9) {
      pen.beginPath();
      pen.moveTo(x, top + height);
      pen.lineTo(x + height, top);
      pen.stroke();
    }
    pen.restore();
  }

  label(pen, text, left, right, top, colour) {
    if (right - left < 14) return;
    pen.save();
    pen.beginPath();
    pen.rect(left, top, right - left - 4, BAND);
    pen.clip();
    pen.fillStyle = colour;
    pen.fillText(text, left + 8, top + BAND / 2);
    pen.restore();
  }

  drawHead(pen, shown, accent, height) {
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
