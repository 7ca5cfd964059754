// What the page says: banners that stay, notices that pass, questions that wait for an answer.

const banners = () => document.getElementById("banners");

// A banner with buttons [{label, act, main}]; one of the same key takes the other's place.
export function banner(key, text, buttons = [], kind = "warn") {
  silence(key);
  const box = document.createElement("div");
  box.className = `banner ${kind}`;
  box.dataset.key = key;
  const words = document.createElement("p");
  words.textContent = text;
  box.append(words);
  for (const { label, act, main } of buttons) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = label;
    if (main) button.className = "main";
    button.addEventListener("click", () => act());
    box.append(button);
  }
  banners().append(box);
}

export function silence(key) {
  for (const box of banners().children) {
    if (box.dataset.key === key) box.remove();
  }
}

export function dismissable(key, text, kind = "warn") {
  banner(key, text, [{ label: "Dismiss", act: () => silence(key) }], kind);
}

let timer = null;

// A sentence over the scan, for a few seconds.
export function notice(text) {
  const box = document.getElementById("notice");
  box.textContent = text;
  box.hidden = false;
  box.setAttribute("role", "status");
  clearTimeout(timer);
  timer = setTimeout(() => { box.hidden = true; }, 4000);
}

// A question with answers [{label, value, main}]; null where it was closed without one.
export function question(title, text, answers) {
  const dialog = document.getElementById("question");
  const heading = document.createElement("h2");
  heading.id = "question-title";
  heading.textContent = title;
  const words = document.createElement("p");
  words.textContent = text;
  const row = document.createElement("div");
  row.className = "buttons";
  return new Promise((resolve) => {
    let chosen = null;
    for (const { label, value, main } of answers) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = label;
      if (main) button.className = "main";
      button.addEventListener("click", () => {
        chosen = value;
        dialog.close();
      });
      row.append(button);
    }
    dialog.replaceChildren(heading, words, row);
    dialog.addEventListener("close", () => resolve(chosen), { once: true });
    dialog.showModal();
    (row.querySelector(".main") ?? row.firstElementChild).focus();
  });
}

export function answering() {
  return Boolean(document.querySelector("dialog[open]"));
}

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

// An ISO time as people say it: the hour today, the date too on other days.
export function time(iso) {
  const when = new Date(iso);
  if (Number.isNaN(when.getTime())) return iso || "";
  const hour = when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const today = when.toDateString() === new Date().toDateString();
  return today ? hour : `${when.toLocaleDateString("en-GB", { day: "numeric", month: "long" })}, ${hour}`;
}

export function duration(seconds) {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
