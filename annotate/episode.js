// One episode on the page: its document, undo and redo, autosave. The rules of stages are the server's (editing.py).

const UNDO_STEPS = 100, SAVE_AFTER_MS = 500, RETRY_AFTER_MS = 2000;

class Episode {
  /** @param server Gradio's server functions; view is told: changed(), state(name, why), conflict(why), failed(why), listed(). */
  constructor(server, view) {
    Object.assign(this, { server, view, id: null, doc: null, info: null, revision: null, missing: null });
    this.undoSteps = [];
    this.redoSteps = [];
    this.turn = Promise.resolve();
  }

  /** Ask the server; an exception or no connection comes back as a failure too. */
  async call(name, request) {
    let reply;
    try {
      reply = await this.server[name](request); // exactly one object: Gradio would pass several as a list
    } catch {
      reply = undefined;
    }
    return reply ?? { ok: false, error: "the server gives no answer; is `python -m annotate` still running?" };
  }

  async open(id) {
    await this.flush();
    clearTimeout(this.timer);
    const reply = await this.call("load_episode", { id });
    Object.assign(this, { id, doc: null, info: null, undoSteps: [], redoSteps: [], dirty: false, tag: null });
    if (!reply.ok) return reply;
    Object.assign(this, { doc: reply.draft, info: reply, revision: reply.revision, missing: reply.missing });
    this.view.state("saved");
    this.recover();
    return reply;
  }

  /** Bring back what a crash or a reload kept from being saved; a conflict shows when it is saved. */
  recover() {
    const kept = JSON.parse(localStorage.getItem(this.backupKey) ?? "null");
    if (!kept || JSON.stringify(kept.doc) === JSON.stringify(this.doc)) return;
    this.revision = kept.revision;
    this.change(kept.doc);
  }

  get backupKey() {
    return `onetake:unsaved:${this.id}`;
  }

  /** Put new values in, as one undo step; changes with the same tag (typing in one field) share a step. */
  change(values, tag = null) {
    if (!tag || tag !== this.tag) {
      this.undoSteps.push(this.doc);
      if (this.undoSteps.length > UNDO_STEPS) this.undoSteps.shift();
    }
    this.tag = tag;
    this.redoSteps = [];
    this.put({ ...this.doc, ...values });
  }

  put(doc) {
    this.doc = doc;
    this.dirty = true;
    localStorage.setItem(this.backupKey, JSON.stringify({ revision: this.revision, doc }));
    this.view.changed();
    if (!this.conflicted) this.saveIn(SAVE_AFTER_MS);
  }

  /** Do things that wait for the server one after the other, in the order of the key strokes. */
  inTurn(action) {
    this.turn = this.turn.then(action, action);
    return this.turn;
  }

  edit(op, values) {
    return this.inTurn(async () => {
      if (!this.doc) return false;
      const reply = await this.call("edit_stages", { id: this.id, op, stages: this.doc.stages, ...values });
      if (reply.ok) this.change({ stages: reply.stages });
      else this.view.failed(reply.error);
      return reply.ok;
    });
  }

  undo() {
    return this.inTurn(() => this.travel(this.undoSteps, this.redoSteps));
  }

  redo() {
    return this.inTurn(() => this.travel(this.redoSteps, this.undoSteps));
  }

  travel(from, to) {
    if (!this.doc || !from.length) return;
    to.push(this.doc);
    this.tag = null;
    this.put(from.pop());
  }

  saveIn(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), milliseconds);
  }

  /** Save until nothing is left to save. Returns whether all is saved. */
  async save() {
    clearTimeout(this.timer);
    while (this.dirty) {
      this.saving ??= this.saveOnce().finally(() => { this.saving = null; });
      if (!(await this.saving)) return false;
    }
    return true;
  }

  async saveOnce() {
    const [id, doc] = [this.id, this.doc];
    this.view.state("saving");
    const reply = await this.call("save_episode", { id, revision: this.revision, draft: doc });
    if (reply.conflict) {
      this.conflicted = true;
      this.view.state("conflict", reply.error);
      this.view.conflict(reply.error);
      return false;
    }
    if (!reply.ok) {
      this.view.state("failed", reply.error);
      this.saveIn(RETRY_AFTER_MS);
      return false;
    }
    Object.assign(this, { revision: reply.revision, missing: reply.missing });
    if (this.doc === doc) {
      this.dirty = false;
      localStorage.removeItem(this.backupKey);
      this.view.state("saved");
    }
    if (reply.listed) this.view.listed();
    return true;
  }

  /** Wait for edits on their way, then save. */
  async flush() {
    await this.turn;
    return this.save();
  }

  /** End a conflict; the version that loses stays one Undo away. */
  async settle(keepMine) {
    const reply = await this.call("load_episode", { id: this.id });
    if (!reply.ok) return this.view.failed(reply.error);
    const mine = this.doc;
    this.conflicted = false;
    this.revision = reply.revision;
    this.doc = keepMine ? reply.draft : mine;
    this.change(keepMine ? mine : reply.draft);
    return this.save();
  }
}
