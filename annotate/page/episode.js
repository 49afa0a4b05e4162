// One episode on the page: its document, undo and redo, autosave. The rules of stages are the server's (editing.py).

const UNDO_STEPS = 100, SAVE_AFTER_MS = 400, RETRY_AFTER_MS = 1500;

class Episode {
  /**
   * @param server Gradio's server functions; alive() resolves to whether the server answers at all;
   * view is told: changed(), judged(), state(name, why), conflict(why), failed(why), listed(queue).
   */
  constructor(server, alive, view) {
    Object.assign(this, { server, alive, view, id: null, doc: null, info: null, revision: null, notes: [], curve: null });
    this.undoSteps = [];
    this.redoSteps = [];
    this.turn = Promise.resolve();
  }

  /** Ask the server once; an exception or no connection comes back as a failure too. */
  async call(name, request) {
    let reply;
    try {
      reply = await this.server[name](request); // exactly one object: Gradio would pass several as a list
    } catch {
      reply = undefined;
    }
    if (reply && typeof reply === "object" && "ok" in reply) return reply;
    if (await this.alive()) return { ok: false, error: "the server could not do that; its terminal says why" };
    return { ok: false, lost: true, error: "the server gives no answer; is `python -m annotate` still running?" };
  }

  /** Ask until the server answers. */
  async callSurely(name, request) {
    for (;;) {
      const reply = await this.call(name, request);
      if (!reply.lost) return reply;
      this.view.state("failed", `${reply.error} What you do waits for it.`);
      await new Promise((done) => setTimeout(done, RETRY_AFTER_MS));
    }
  }

  /** Show another episode; what the one before could not save stays in this browser until it is opened again. */
  async open(id) {
    clearTimeout(this.timer);
    const reply = await this.callSurely("open_episode", { id });
    Object.assign(this, { id: reply.id, doc: null, info: null, undoSteps: [], redoSteps: [], dirty: false, tag: null });
    Object.assign(this, { conflicted: false, timer: null, notes: [], curve: null });
    this.view.listed(reply.queue);
    if (!reply.ok) return reply;
    Object.assign(this, { doc: reply.draft, info: reply, revision: reply.revision, notes: reply.notes, curve: reply.curve });
    this.view.state("saved");
    this.recover();
    return reply;
  }

  /** Bring back what a crash or a reload kept from being saved; a conflict shows when it is saved. */
  recover() {
    const kept = JSON.parse(localStorage.getItem(this.backupKey) ?? "null");
    if (!kept || kept.version !== this.info.version || JSON.stringify(kept.doc) === JSON.stringify(this.doc)) return;
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
    const { revision, info: { version } } = this;
    try {
      localStorage.setItem(this.backupKey, JSON.stringify({ revision, version, doc }));
    } catch (error) {
      this.view.failed(`this browser keeps no copy of what is not saved yet (${error.message})`);
    }
    this.view.changed();
    if (!this.conflicted) this.saveIn(SAVE_AFTER_MS);
  }

  /** Do things that wait for the server one after the other, in the order of the key strokes. */
  inTurn(action) {
    this.turn = this.turn.then(action, action);
    return this.turn;
  }

  /** @param values arguments of the edit, or a function of the stages at its turn that returns them (null: no edit). */
  edit(op, values, tag = null) {
    const id = this.id;
    return this.inTurn(async () => {
      if (!this.doc || this.id !== id) return false;
      const given = typeof values === "function" ? values(this.doc.stages) : values;
      if (!given) return false;
      const reply = await this.callSurely("edit_stages", { id, op, stages: this.doc.stages, ...given });
      if (!reply.ok) {
        this.view.failed(reply.error);
        return false;
      }
      this.change({ stages: reply.stages }, tag);
      return given;
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

  /** Save soon; steady typing does not put it off. */
  saveIn(milliseconds) {
    const due = performance.now() + milliseconds;
    if (this.timer && this.due <= due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => this.save(), milliseconds);
  }

  /** Save until nothing is left to save. Returns whether all is saved. */
  async save() {
    clearTimeout(this.timer);
    this.timer = null;
    while (this.dirty && !this.conflicted) {
      this.saving ??= this.saveOnce().finally(() => { this.saving = null; });
      if (!(await this.saving)) return false;
    }
    return !this.dirty;
  }

  async saveOnce() {
    const [id, doc] = [this.id, this.doc];
    this.view.state("saving");
    const reply = await this.call("save_episode", { id, revision: this.revision, version: this.info.version, draft: doc });
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
    if (this.doc === doc) {
      Object.assign(this, { dirty: false, notes: reply.notes, curve: reply.curve });
      localStorage.removeItem(this.backupKey);
      this.view.state("saved");
      this.view.judged();
    }
    this.view.listed(reply.queue);
    return true;
  }

  /** Wait for edits on their way, then save. */
  async flush() {
    await this.turn;
    return this.save();
  }

  /** End a conflict: the version that loses is kept in a file, and stays one Undo away. */
  async settle(keepMine) {
    const reply = await this.callSurely("settle_conflict", { id: this.id, keep_mine: keepMine, draft: this.doc });
    if (!reply.ok) {
      this.view.failed(reply.error);
      return this.view.conflict(reply.error);
    }
    const mine = this.doc;
    this.conflicted = false;
    this.revision = reply.revision;
    this.doc = keepMine ? reply.draft : mine;
    this.change(keepMine ? mine : reply.draft);
    await this.save();
    return reply.kept;
  }
}
