// The open episode: its marking, undo and redo, autosave. The rules of stages are the server's (editing.py). Knows the
// server's functions and the browser's storage; does not know any element of the page.

const UNDO_STEPS = 100;
const SAVE_AFTER_MS = 400;
const RETRY_AFTER_MS = 1500;

export class Episode {
  /**
   * @param {object} server Gradio's server functions.
   * @param {function} serverAnswers Resolves to whether the server answers at all.
   * @param {object} view What to call: changed(), checked(), state(name, reason), conflict(reason), failed(reason),
   *   listed(queue).
   */
  constructor(server, serverAnswers, view) {
    Object.assign(this, { server, serverAnswers, view });
    Object.assign(this, { id: null, marking: null, info: null, revision: null, findings: [], curve: null });
    this.undoSteps = [];
    this.redoSteps = [];
    this.turn = Promise.resolve();
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
    Object.assign(this, { id: reply.id, marking: null, info: null, findings: [], curve: null });
    Object.assign(this, { undoSteps: [], redoSteps: [], dirty: false, tag: null, conflicted: false, timer: null });
    this.view.listed(reply.queue);
    if (!reply.ok) return reply;
    const { marking, revision, findings, curve } = reply;
    Object.assign(this, { marking, revision, findings, curve, info: reply });
    this.view.state("saved");
    this.recover();
    return reply;
  }

  /** Bring back what a crash or a reload kept from being saved; if it conflicts, saving it shows that. */
  recover() {
    const backup = JSON.parse(localStorage.getItem(this.backupKey) ?? "null");
    if (!backup || backup.version !== this.info.version) return;
    if (JSON.stringify(backup.doc) === JSON.stringify(this.marking)) return;
    this.revision = backup.revision;
    this.change(backup.doc);
  }

  get backupKey() {
    return `onetake:unsaved:${this.id}`;
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
    const backup = { revision: this.revision, version: this.info.version, doc: marking };
    try {
      localStorage.setItem(this.backupKey, JSON.stringify(backup));
    } catch (error) {
      this.view.failed(`this browser cannot store unsaved changes (${error.message}); do not close the page unsaved`);
    }
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
   * @param values Arguments of the edit, or a function that makes them from the stages at its turn (null: no edit).
   */
  edit(op, values, tag = null) {
    const id = this.id;
    return this.inTurn(async () => {
      if (!this.marking || this.id !== id) return false;
      const { stages } = this.marking;
      const given = typeof values === "function" ? values(stages) : values;
      if (!given) return false;
      const reply = await this.callUntilAnswered("edit_stages", { id, op, stages, ...given });
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
      Object.assign(this, { dirty: false, findings: reply.findings, curve: reply.curve });
      localStorage.removeItem(this.backupKey);
      this.view.state("saved");
      this.view.checked();
    }
    this.view.listed(reply.queue);
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
}
