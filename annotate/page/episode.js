// The open episode: its marking, undo and redo, autosave. The rules of stages are the server's (editing.py). Knows the
// server's functions; does not know any element of the page.

import { dropCopy, keepCopy, takeCopy } from "./backup.js";

const UNDO_STEPS = 100;
const SAVE_AFTER_MS = 400;
const RETRY_AFTER_MS = 1500;

export class Episode {
  /**
   * @param {object} server Gradio's server functions.
   * @param {function} serverAnswers Resolves to whether the server answers at all.
   * @param {object} view What to call: changed(), checked(), state(name, reason), conflict(reason), failed(reason),
   *   listed(queue), row(row of the queue).
   */
  constructor(server, serverAnswers, view) {
    Object.assign(this, { server, serverAnswers, view });
    Object.assign(this, { id: null, marking: null, info: null, revision: null, findings: [], curve: null });
    this.undoSteps = [];
    this.redoSteps = [];
    this.pending = []; // edits that the server has not answered yet, oldest first
    this.turn = Promise.resolve();
  }

  /** Whether something is not on the server's disk yet. */
  get unsaved() {
    return Boolean(this.marking && (this.dirty || this.conflicted || this.pending.length));
  }

  /** Whether the annotation still lacks something. */
  get unfinished() {
    return this.findings.some(({ level }) => level === "missing");
  }

  /** Call a server function once; an exception or a lost connection comes back as a failure too. */
  async call(name, request) {
    let reply;
    try {
      reply = await this.server[name](request); // exactly one object: Gradio would pass several as a list
    } catch {
      reply = undefined;
    }
    if (reply && typeof reply === "object" && "ok" in reply) return reply;
    if (await this.serverAnswers()) {
      return { ok: false, error: "the server failed; the terminal of `python -m annotate` shows the error" };
    }
    return { ok: false, lost: true, error: "the server does not answer; is `python -m annotate` still running?" };
  }

  /** Call a server function until the server answers. */
  async callUntilAnswered(name, request) {
    for (;;) {
      const reply = await this.call(name, request);
      if (!reply.lost) return reply;
      this.view.state("failed", `${reply.error} Your edits wait until it answers.`);
      await new Promise((done) => setTimeout(done, RETRY_AFTER_MS));
    }
  }

  /** Open another episode. Unsaved changes of the one before stay in this browser until it is opened again. */
  async open(id) {
    clearTimeout(this.timer);
    const reply = await this.callUntilAnswered("open_episode", { id });
    Object.assign(this, { id: reply.id, marking: null, info: null, findings: [], curve: null, pending: [] });
    Object.assign(this, { undoSteps: [], redoSteps: [], dirty: false, tag: null, conflicted: false, timer: null });
    this.view.listed(reply.queue);
    if (!reply.ok) return reply;
    const { marking, revision } = reply;
    Object.assign(this, { marking, revision, info: reply });
    this.check(reply);
    this.view.state("saved");
    this.recover();
    return reply;
  }

  /** Take findings and curve from a reply; the curve comes as its corners. */
  check({ findings, curve }) {
    Object.assign(this, { findings, curve: curve && betweenCorners(curve, this.info.num_frames) });
  }

  /** Bring back what a crash or a reload kept from being saved; if it conflicts, saving it shows that. */
  recover() {
    const copy = takeCopy(this.id, this.info.version);
    if (!copy) return;
    const edits = copy.pending ?? [];
    const same = JSON.stringify(copy.doc) === JSON.stringify(this.marking);
    if (same && !edits.length) return dropCopy(this.id);
    if (!same) {
      this.revision = copy.revision;
      this.change(copy.doc);
    }
    for (const { op, values, tag } of edits) this.edit(op, values, tag);
  }

  /** Keep in this browser what is not saved yet. */
  keep() {
    const { id, marking: doc, revision, pending } = this;
    try {
      if (this.dirty || pending.length) keepCopy(id, { revision, version: this.info.version, doc, pending });
      else dropCopy(id);
    } catch (error) {
      this.view.failed(`this browser cannot store unsaved changes (${error.message}); do not close the page unsaved`);
    }
  }

  /** Change values of the marking as one undo step; changes with the same tag (typing in one field) share a step. */
  change(values, tag = null) {
    if (!tag || tag !== this.tag) {
      this.undoSteps.push(this.marking);
      if (this.undoSteps.length > UNDO_STEPS) this.undoSteps.shift();
    }
    this.tag = tag;
    this.redoSteps = [];
    this.put({ ...this.marking, ...values });
  }

  put(marking) {
    this.marking = marking;
    this.dirty = true;
    this.keep();
    this.view.changed();
    if (!this.conflicted) this.saveIn(SAVE_AFTER_MS);
  }

  /** Run actions that wait for the server one after the other, in the order of the keys pressed. */
  inTurn(action) {
    this.turn = this.turn.then(action, action);
    return this.turn;
  }

  /**
   * Edit the stages. Resolves to the arguments of the edit, or false if it was refused.
   * @param values Arguments of the edit; plain values, so that this browser can keep edits that wait for the server.
   */
  edit(op, values, tag = null) {
    const id = this.id;
    const waiting = { op, values, tag };
    if (!this.marking) return Promise.resolve(false);
    this.pending.push(waiting);
    this.keep();
    return this.inTurn(async () => {
      if (!this.pending.includes(waiting)) return false; // another episode was opened
      const { stages } = this.marking;
      const reply = await this.callUntilAnswered("edit_stages", { id, op, stages, ...values });
      if (!this.pending.includes(waiting)) return false;
      this.pending = this.pending.filter((other) => other !== waiting);
      if (!reply.ok) {
        this.keep();
        this.view.failed(reply.error);
        return false;
      }
      this.change({ stages: reply.stages }, tag);
      return { ...values, number: reply.number, stages: reply.stages };
    });
  }

  undo() {
    return this.inTurn(() => this.travel(this.undoSteps, this.redoSteps));
  }

  redo() {
    return this.inTurn(() => this.travel(this.redoSteps, this.undoSteps));
  }

  travel(from, to) {
    if (!this.marking || !from.length) return;
    to.push(this.marking);
    this.tag = null;
    this.put(from.pop());
  }

  /** Save soon; steady typing does not delay it. */
  saveIn(milliseconds) {
    const time = performance.now() + milliseconds;
    if (this.timer && this.saveTime <= time) return;
    clearTimeout(this.timer);
    this.saveTime = time;
    this.timer = setTimeout(() => this.save(), milliseconds);
  }

  /** Save until nothing is left to save. Returns whether all is saved. */
  async save() {
    clearTimeout(this.timer);
    this.timer = null;
    while (this.dirty && !this.conflicted) {
      this.saving ??= this.saveOnce().finally(() => {
        this.saving = null;
      });
      if (!(await this.saving)) return false;
    }
    return !this.dirty;
  }

  async saveOnce() {
    const { id, marking, revision, info } = this;
    this.view.state("saving");
    const reply = await this.call("save_episode", { id, revision, version: info.version, marking });
    if (this.id !== id) return true; // another episode was opened; this browser keeps what was not saved
    if (reply.conflict) {
      this.conflicted = true;
      this.view.state("conflict", reply.error);
      this.view.conflict(reply.error);
      return false;
    }
    if (!reply.ok) {
      this.view.state(reply.replaced ? "replaced" : "failed", reply.error);
      this.saveIn(RETRY_AFTER_MS);
      return false;
    }
    this.revision = reply.revision;
    if (this.marking === marking) {
      this.dirty = false;
      this.check(reply);
      this.keep();
    }
    this.view.row(reply.row);
    if (!this.dirty) {
      this.view.state("saved");
      this.view.checked();
    }
    return true;
  }

  /** Wait for edits on their way, then save. */
  async flush() {
    await this.turn;
    return this.save();
  }

  /** End a conflict: the version that loses is written to a file, and Undo shows it here. Resolves to the file's name. */
  async settle(keepMine) {
    const request = { id: this.id, keep_mine: keepMine, marking: this.marking };
    const reply = await this.callUntilAnswered("settle_conflict", request);
    if (!reply.ok) {
      this.view.failed(reply.error);
      return this.view.conflict(reply.error);
    }
    const mine = this.marking;
    const theirs = reply.marking;
    this.conflicted = false;
    this.revision = reply.revision;
    this.marking = keepMine ? theirs : mine; // becomes the undo step
    this.change(keepMine ? mine : theirs);
    await this.save();
    return reply.kept;
  }

  /** Take the files of the episode away and empty its marking; Undo brings the stages back. Resolves to the copy's name. */
  clear() {
    return this.inTurn(async () => {
      if (!(await this.save())) return null;
      const reply = await this.callUntilAnswered("clear_episode", { id: this.id, revision: this.revision });
      if (!reply.ok) {
        this.view.failed(reply.error);
        return null;
      }
      this.revision = reply.revision;
      this.view.row(reply.row);
      this.change({ stages: [], success: null, reason: "", final_progress: null });
      await this.save();
      return reply.kept;
    });
  }
}

/** Return a value per frame from the corners of a curve, [frame, value or null]; the lines between them are straight. */
function betweenCorners(corners, count) {
  const values = Array(count).fill(null);
  corners.forEach(([frame, value], k) => {
    const [next, nextValue] = corners[k + 1] ?? [frame, value];
    if (value === null) return;
    values[frame] = value;
    if (nextValue === null) return;
    for (let i = frame + 1; i < next; i += 1) values[i] = value + ((nextValue - value) * (i - frame)) / (next - frame);
  });
  return values;
}
