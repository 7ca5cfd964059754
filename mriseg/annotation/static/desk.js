// The case on the desk: opening it, its edits that are not saved yet, saving, and what happens where
// somebody else saved first. No edit is lost without a question.
import * as drafts from "./drafts.js";
import * as server from "./server.js";
import { banner, dismissable, notice, question, silence, time } from "./talk.js";

const DONE = { corrected: "Saved", accepted: "Accepted", skipped: "Skipped", open: "Reopened" };

export class Desk {
  // hooks: opened(), drawn() where mask or status changed, failed(error), saved(id, answer).
  constructor(stage, hooks) {
    this.stage = stage;
    this.hooks = hooks;
    this.case = null;
    this.busy = false;
    this.theirs = null;
  }

  get dirty() {
    return Boolean(this.case && this.stage.history?.dirty);
  }

  // --- opening -----------------------------------------------------------------------------------

  async open(id) {
    if (this.busy || !(await this.leave())) return false;
    this.busy = true;
    try {
      const info = await server.openCase(id);
      info.regions = info.regions.map((region) => ({ ...region, colour: rgb(region.colour) }));
      const [first] = info.modalities;
      const [image, mask] = await Promise.all([server.image(id, first.name), server.mask(id)]);
      await this.stage.open(first.name, first.window, image.bytes, mask.bytes, info.regions);
      this.case = { ...info, revision: mask.revision || info.revision, modality: first.name };
      this.theirs = null;
      for (const key of ["conflict", "draft", "save"]) silence(key);
      this.hooks.opened();
      this.takeDraft();
      return true;
    } catch (error) {
      this.hooks.failed(error);
      return false;
    } finally {
      this.busy = false;
    }
  }

  takeDraft() {
    const { id, revision } = this.case;
    const { stage } = this;
    const answer = drafts.restore(id, revision, stage.bitmap);
    if (answer === "restored") {
      stage.commit("edits from before");
      stage.toFullest();
      dismissable("draft", "Your unsaved edits of this case were restored. Undo (Z) takes them back.", "info");
    }
    if (answer === "outdated") {
      banner("draft", "You have unsaved edits of this case, and another version was saved since.", [
        { label: "Show my edits", act: () => this.takeOutdated() },
        { label: "Discard them", act: () => { drafts.forget(id); silence("draft"); } },
      ]);
    }
  }

  takeOutdated() {
    const { id } = this.case;
    silence("draft");
    if (drafts.restore(id, null, this.stage.bitmap) !== "restored") return;
    this.stage.commit("edits from before");
    notice("These are your edits, not saved yet. Undo (Z) shows the saved version.");
  }

  // Whether the case may be left: the edits are saved, kept as a draft, or discarded on purpose.
  async leave() {
    if (this.theirs) {
      notice("First decide about the version that was saved meanwhile.");
      return false;
    }
    if (!this.dirty) return true;
    const { id, name } = this.case;
    const answer = await question(
      "Leave unsaved edits?",
      `The edits of ${name} are not saved.`,
      [
        { label: "Save and leave", value: "save", main: true },
        { label: "Keep as a draft in this tab", value: "draft" },
        { label: "Discard them", value: "discard" },
        { label: "Stay", value: null },
      ],
    );
    if (answer === "save") return this.save({ advance: false });
    if (answer === "draft") return this.keepDraft() || this.cannotKeep();
    if (answer === "discard") {
      drafts.forget(id);
      return true;
    }
    return false;
  }

  cannotKeep() {
    this.hooks.failed(new Error("This browser keeps no draft: save the edits, or discard them."));
    return false;
  }

  keepDraft() {
    if (!this.case || this.theirs) return true;
    if (!this.dirty) {
      drafts.forget(this.case.id);
      return true;
    }
    return drafts.keep(this.case.id, this.case.revision, this.stage.bitmap);
  }

  // --- saving ------------------------------------------------------------------------------------

  async save(options = {}) {
    if (!this.ready()) return false;
    if (!this.dirty) {
      notice(this.case.status === "corrected" ? "Everything is saved." : "Nothing was changed: A accepts the mask as it is.");
      return false;
    }
    // What is drawn while it is sent is not in what was sent.
    const at = this.stage.history.at;
    return this.send("corrected", async () => {
      const bytes = await this.stage.bytes();
      return server.saveMask(this.case.id, "corrected", this.case.revision, bytes);
    }, { ...options, at });
  }

  accept() {
    if (!this.ready()) return false;
    if (this.dirty) {
      notice("There are unsaved edits: S saves them as a correction, Z takes them back.");
      return false;
    }
    return this.send("accepted", () => server.saveMask(this.case.id, "accepted", this.case.revision));
  }

  async skip() {
    if (!this.ready()) return false;
    if (this.dirty) {
      const answer = await question("Skip with unsaved edits?", `The edits of ${this.case.name} are not saved, and a skipped case keeps none.`, [
        { label: "Stay", value: false, main: true },
        { label: "Discard them and skip", value: true },
      ]);
      if (!answer) return false;
    }
    return this.send("skipped", () => server.skip(this.case.id, this.case.revision));
  }

  reopen() {
    if (!this.ready()) return false;
    if (this.case.status === "open") {
      notice("This case is open.");
      return false;
    }
    return this.send("open", () => server.reopen(this.case.id, this.case.revision), { advance: false });
  }

  ready() {
    if (this.theirs) notice("First decide about the version that was saved meanwhile.");
    return Boolean(this.case) && !this.busy && !this.theirs;
  }

  async send(status, request, { advance = true, at = null } = {}) {
    const { id } = this.case;
    this.busy = true;
    let answer;
    try {
      answer = await request();
    } catch (error) {
      const { revision } = error.answer ?? {};
      // Another reason to refuse, and nobody saved in between, is said in the server's words.
      if (error.status === 409 && revision && revision !== this.case.revision) this.conflict(error);
      else this.notSaved(error);
      return false;
    } finally {
      this.busy = false;
    }
    Object.assign(this.case, {
      revision: answer.revision, status: answer.status, who: answer.who, when: answer.when,
    });
    const { history } = this.stage;
    if (at !== null) history.savedAt = at;
    if (status === "skipped" && this.dirty) this.takeBack();
    this.keepDraft();
    for (const key of ["conflict", "save", "draft"]) silence(key);
    notice(`${DONE[answer.status] ?? "Saved"}: ${this.case.name}.`);
    this.hooks.saved(id, answer, advance && !this.dirty);
    return true;
  }

  // Edits that were discarded, or are in a draft, are no longer on the desk.
  takeBack() {
    const { stage } = this;
    while (stage.history.dirty && stage.history.past.length) stage.undo();
    stage.history.saved();
  }

  notSaved(error) {
    if (error instanceof server.Gone || !this.dirty) {
      this.hooks.failed(error);
      return;
    }
    banner("save", `It was not saved: ${error.message} Your edits are kept here.`, [
      { label: "Try again", act: () => this.save(), main: true },
      { label: "Download the edits", act: () => this.download() },
    ]);
  }

  download() {
    const name = this.case.name.replace(/[^\w.-]+/g, "_");
    return this.stage.nv.saveImage({ isSaveDrawing: true, filename: `${name}_unsaved.nii.gz` });
  }

  // --- somebody saved first ----------------------------------------------------------------------

  conflict(error) {
    const { who, when, revision } = error.answer;
    const by = `${who || "Somebody"} saved this case${when ? ` at ${time(when)}` : ""}, after you opened it.`;
    const mine = this.dirty ? " Your edits are not saved, and are kept here." : "";
    const buttons = [{ label: "Look at theirs", act: () => this.lookAtTheirs(), main: true }];
    if (this.dirty) {
      buttons.push({ label: "Keep mine…", act: () => this.keepMine(who, when, revision) });
    }
    banner("conflict", by + mine, buttons);
  }

  // Another tab or person changed the case that is open here, or its mask was made meanwhile.
  async changed(entry, ready) {
    const { case: now } = this;
    const late = ready && !now.ready;
    now.ready = ready;
    if (this.busy || this.theirs) return;
    const other = entry.status !== now.status || (entry.when && entry.when !== now.when);
    if (!other && !late) return;
    if (!this.dirty) {
      await this.open(now.id);
      notice(other ? `${entry.who || "Somebody"} changed this case: it was loaded again.` : "The mask of this case is ready.");
    } else if (other && now.seen !== entry.when) {
      now.seen = entry.when;
      dismissable("conflict", `${entry.who || "Somebody"} saved this case meanwhile. Your edits are kept here; saving them asks first.`);
    }
  }

  // The second of two steps: nothing is replaced by one key.
  keepMine(who, when, revision) {
    banner("conflict", `Yours will take the place of the version that ${who || "somebody"} saved${when ? ` at ${time(when)}` : ""}.`, [
      { label: "Replace theirs with mine", act: () => this.replace(revision) },
      { label: "Look at theirs first", act: () => this.lookAtTheirs(), main: true },
    ]);
  }

  async replace(revision) {
    if (this.theirs) this.backToMine();
    this.case.revision = revision;
    await this.save();
  }

  async lookAtTheirs() {
    if (this.busy) return;
    this.busy = true;
    try {
      const [info, mask] = await Promise.all([server.openCase(this.case.id), server.mask(this.case.id)]);
      const mine = { bitmap: this.stage.bitmap.slice(), dirty: this.dirty };
      await this.stage.setMask(mask.bytes);
      this.theirs = { mine, info, revision: mask.revision || info.revision };
      this.stage.readOnly = true;
      const buttons = [
        { label: "Take theirs", act: () => this.takeTheirs(), main: !mine.dirty },
      ];
      if (mine.dirty) {
        buttons.unshift({ label: "Back to mine", act: () => this.backToMine(true), main: true });
        buttons[1].label = "Take theirs, discard my edits";
      }
      banner("conflict", `This is the version of ${info.who || "somebody else"}${info.when ? `, saved at ${time(info.when)}` : ""}. It cannot be edited here yet.`, buttons);
      this.hooks.drawn();
    } catch (error) {
      this.hooks.failed(error);
    } finally {
      this.busy = false;
    }
  }

  backToMine(ask = false) {
    const { mine, info, revision } = this.theirs;
    this.theirs = null;
    this.stage.readOnly = false;
    this.stage.bitmap.set(mine.bitmap);
    this.stage.nv.refreshDrawing(true);
    if (ask) this.keepMine(info.who, info.when, revision);
    this.hooks.drawn();
  }

  takeTheirs() {
    const { info, revision } = this.theirs;
    this.theirs = null;
    this.stage.readOnly = false;
    this.stage.begin();
    Object.assign(this.case, { revision, status: info.status, who: info.who, when: info.when });
    drafts.forget(this.case.id);
    silence("conflict");
    this.hooks.saved(this.case.id, this.case, false);
  }
}

// A colour as "#rrggbb" or [r, g, b].
export function rgb(colour) {
  if (Array.isArray(colour)) return colour;
  return [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
}
