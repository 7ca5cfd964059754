// Learning from the corrections: a transfer in the background, and what came of it.
import * as server from "./server.js";
import { duration, element, question } from "./talk.js";

export class Improve {
  // failed(error): a request failed.
  constructor(failed) {
    this.failed = failed;
    this.box = document.getElementById("improve");
    this.state = null;
  }

  get running() {
    return this.state?.state === "running";
  }

  set(state) {
    const text = JSON.stringify(state);
    if (text === this.shown) return;
    const focused = document.activeElement?.dataset?.improve;
    this.shown = text;
    this.state = state;
    this.box.hidden = false;
    this.box.dataset.state = state.state;
    this.box.replaceChildren(element("h2", "", "Learn from the corrections"), ...this.content(state));
    if (focused) this.box.querySelector(`[data-improve="${focused}"]`)?.focus();
  }

  content(state) {
    if (state.state === "running") return this.progress(state);
    return [...this.outcome(state), ...this.invitation(state)];
  }

  progress({ stage, done, total, seconds_left: left, message }) {
    const bar = element("progress");
    bar.setAttribute("aria-label", "Progress of the training");
    if (total) {
      bar.max = total;
      bar.value = done;
    }
    const words = [stage || "starting"];
    if (typeof left === "number") words.push(`about ${duration(left)} left`);
    const said = element("p", "", words.join(" · "));
    said.setAttribute("role", "status");
    return [
      said, bar,
      ...(message ? [element("p", "soft", message)] : []),
      element("p", "soft", "You can go on correcting meanwhile."),
      this.button("Cancel", "cancel", () => this.cancel()),
    ];
  }

  outcome({ state, verdict, better, new: path, page, message }) {
    if (state === "done") {
      const said = element("p", better ? "verdict good" : "verdict", verdict || message || "Done.");
      said.setAttribute("role", "status");
      const parts = [said];
      if (path) parts.push(element("p", "soft path", `New model: ${path}`));
      if (page && /^https?:$/.test(new URL(page, location.href).protocol)) {
        const link = element("a", "", "Old and new, case by case");
        link.href = page;
        link.target = "_blank";
        link.rel = "noopener";
        const line = element("p");
        line.append(link);
        parts.push(line);
      }
      return parts;
    }
    if (state === "failed") return [element("p", "verdict warn", message || "The training failed.")];
    if (state === "cancelled") {
      return [element("p", "soft", message || "The training was cancelled; the model is as it was.")];
    }
    return [];
  }

  invitation({ state, corrected, needed, message }) {
    if (state === "none" && message) return [element("p", "soft", message)];
    const missing = Math.max(0, needed - corrected);
    const text = missing
      ? `${corrected} of ${needed} cases that it needs: ${missing} more to correct or accept.`
      : `${corrected} corrected and accepted cases; it needs ${needed}.`;
    const button = this.button(state === "none" ? "Train on them" : "Train again", "start", () => this.start());
    button.disabled = missing > 0;
    return [element("p", "soft", text), button];
  }

  button(label, name, act) {
    const button = element("button", "", label);
    button.type = "button";
    button.dataset.improve = name;
    button.addEventListener("click", act);
    return button;
  }

  async start() {
    const answer = await question(
      "Train on the corrected cases?",
      "The model learns on in the background, and the new one is compared with the old one on cases that it was not trained on. The old model is kept.",
      [{ label: "Train", value: true, main: true }, { label: "Not now", value: false }],
    );
    if (answer) await this.ask(server.startImprove);
  }

  async cancel() {
    const answer = await question(
      "Cancel the training?",
      "What was learned so far is discarded. The model and your corrections stay as they are.",
      [{ label: "Cancel the training", value: true }, { label: "Let it run", value: false, main: true }],
    );
    if (answer) await this.ask(server.cancelImprove);
  }

  async ask(request) {
    try {
      this.set(await request());
    } catch (error) {
      this.failed(error);
    }
    this.changed?.();
  }

  async refresh() {
    this.set(await server.improveState());
  }

  focus() {
    this.box.scrollIntoView({ block: "nearest" });
    this.box.querySelector("button:not([disabled])")?.focus();
  }
}
