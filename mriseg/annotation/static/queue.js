// The list of cases, most worth correcting first.
import * as drafts from "./drafts.js";
import { element, time } from "./talk.js";

const STATUS = {
  open: "open", corrected: "corrected", accepted: "accepted", skipped: "skipped",
  elsewhere: "segmented elsewhere",
};

export const isDone = (entry) => entry.status !== "open";

export const isReady = (entry) => typeof entry.uncertainty === "number";

// The first open case, of those that have a mask if any has.
function best(entries) {
  const open = entries.filter((entry) => !isDone(entry));
  return open.find(isReady) ?? open[0];
}

function addressed() {
  try {
    return decodeURIComponent(location.hash.slice(1));
  } catch {
    return "";
  }
}

export function statusText(entry) {
  const by = entry.who ? ` by ${entry.who}` : "";
  const at = entry.when ? `, ${time(entry.when)}` : "";
  return isDone(entry) ? `${STATUS[entry.status] ?? entry.status}${by}${at}` : STATUS.open;
}

export class Queue {
  // choose(id): someone wants that case.
  constructor(choose) {
    this.choose = choose;
    this.entries = [];
    this.current = null;
    this.list = document.getElementById("cases");
    this.filter = document.getElementById("filter");
    this.filter.addEventListener("change", () => this.draw());
    this.filter.addEventListener("submit", (event) => event.preventDefault());
  }

  set(answer) {
    // A list that is drawn again under the pointer would lose a click.
    const text = JSON.stringify([answer.cases, answer.preparing]);
    if (text === this.shown) return;
    this.shown = text;
    this.entries = answer.cases.slice().sort((a, b) => a.rank - b.rank);
    this.preparing = answer.preparing;
    this.draw();
  }

  entry(id) {
    return this.entries.find((entry) => entry.id === id);
  }

  update(id, changes) {
    const entry = this.entry(id);
    if (entry) Object.assign(entry, changes);
    this.draw();
  }

  // The next case after this one; with open, the next open one, from the first again after the last.
  after(id, step, open = false) {
    const count = this.entries.length;
    const at = this.entries.findIndex((entry) => entry.id === id);
    if (!open) return this.entries[at + step]?.id ?? null;
    const others = Array.from({ length: count - 1 }, (_, n) => this.entries[(at + n + 1) % count]);
    return best(others)?.id ?? null;
  }

  // The case to start with: the one that this tab had open, or the first open one.
  first() {
    return (this.entry(addressed()) ?? best(this.entries) ?? this.entries[0])?.id ?? null;
  }

  turnFilter() {
    const boxes = [...this.filter.elements.filter];
    const at = boxes.findIndex((box) => box.checked);
    boxes[(at + 1) % boxes.length].checked = true;
    this.draw();
  }

  draw() {
    const done = this.entries.filter(isDone);
    const chosen = this.filter.elements.filter.value;
    const shown = this.entries.filter((entry) =>
      chosen === "all" || isDone(entry) === (chosen === "done"));
    this.drawProgress(done);
    const focused = document.activeElement?.dataset?.id;
    this.list.replaceChildren(...shown.map((entry) => this.item(entry)));
    if (focused) {
      [...this.list.querySelectorAll("button")].find(({ dataset }) => dataset.id === focused)?.focus();
    }
    const none = document.getElementById("no-cases");
    none.hidden = shown.length > 0;
    none.textContent = this.emptyText(chosen);
  }

  emptyText(chosen) {
    if (!this.entries.length) {
      return this.preparing ? "The first cases are being segmented." : "There is no case in this folder.";
    }
    return chosen === "done" ? "No case is done yet." : "All cases are done.";
  }

  drawProgress(done) {
    const count = this.entries.length;
    const kinds = Object.keys(STATUS).slice(1).map((status) => {
      const number = done.filter((entry) => entry.status === status).length;
      return number ? `${number} ${STATUS[status]}` : "";
    }).filter(Boolean);
    document.getElementById("progress").textContent =
      `${done.length} of ${count} done${kinds.length ? `: ${kinds.join(", ")}` : ""}`;
    const bar = document.getElementById("progress-bar");
    bar.firstElementChild.style.width = `${count ? (100 * done.length) / count : 0}%`;
    for (const [name, value] of [["now", done.length], ["min", 0], ["max", count]]) {
      bar.setAttribute(`aria-value${name}`, value);
    }
    const preparing = document.getElementById("preparing");
    preparing.hidden = !this.preparing;
    if (this.preparing) {
      preparing.textContent =
        `Segmenting the scans: ${this.preparing.done} of ${this.preparing.total}.`;
    }
  }

  item(entry) {
    const item = element("li");
    const button = element("button", "entry");
    button.type = "button";
    button.dataset.id = entry.id;
    if (entry.id === this.current) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.choose(entry.id));
    const head = element("span", "entry-head");
    head.append(element("span", "rank", String(entry.rank + 1)), element("b", "", entry.name));
    if (isDone(entry)) head.append(element("span", `status ${entry.status}`, statusText(entry)));
    button.append(head, this.facts(entry));
    const flags = [
      ...entry.flags,
      ...(entry.held_out ? ["kept aside as a test"] : []),
      ...(entry.id !== this.current && drafts.has(entry.id) ? ["unsaved draft"] : []),
    ];
    if (flags.length) {
      const row = element("span", "flags");
      row.append(...flags.map((flag) => element("span", "flag", flag)));
      button.append(row);
    }
    item.append(button);
    return item;
  }

  facts(entry) {
    const row = element("span", "facts");
    const bar = element("span", "uncertainty");
    bar.append(element("span"));
    const { uncertainty, dice, volumes, unit } = entry;
    bar.firstElementChild.style.width = `${Math.round(100 * (uncertainty ?? 0))}%`;
    bar.setAttribute("aria-hidden", "true");
    const words = [];
    words.push(isReady(entry) ? `uncertainty ${uncertainty.toFixed(2)}` : "no mask yet");
    if (typeof dice === "number") words.push(`Dice about ${dice.toFixed(2)}`);
    const amounts = Object.entries(volumes ?? {}).slice(0, 3)
      .map(([name, amount]) => `${name} ${unit === "mL" ? amount.toFixed(1) : Math.round(amount)}`);
    row.append(bar, element("span", "", words.join(" · ")));
    if (amounts.length) row.append(element("span", "amounts", `${amounts.join(" · ")} ${unit}`));
    return row;
  }
}
