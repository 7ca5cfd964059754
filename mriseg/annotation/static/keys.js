// All keys in one table: what a key does, and what the overlay says of it.
export const KEYS = [
  ["Case", [
    [["A"], "accept", "Accept the mask as it is"],
    [["S"], "save", "Save the correction"],
    [["K"], "skip", "Skip the case"],
    [["Shift+K"], "reopen", "Reopen: take a skip or an acceptance back"],
    [["N"], "next", "Next case"],
    [["B"], "previous", "Previous case"],
    [["Q"], "filter", "List open cases, done ones, all"],
    [["I"], "improve", "To the learning from corrections"],
  ]],
  ["Move", [
    [["PageUp", "."], "slice 1", "One slice up; with Shift ten"],
    [["PageDown", ","], "slice -1", "One slice down; with Shift ten"],
    [["ArrowLeft"], "shift -1 0", "Cross to the left; with Shift ten voxels"],
    [["ArrowRight"], "shift 1 0", "Cross to the right"],
    [["ArrowUp"], "shift 0 1", "Cross up"],
    [["ArrowDown"], "shift 0 -1", "Cross down"],
    [["C", "Home"], "centre", "To the fullest slice of the mask"],
  ]],
  ["Draw", [
    [["P"], "tool pen", "Pen"],
    [["E"], "tool eraser", "Eraser"],
    [["O"], "tool outline", "Outline: draw around it, the inside is filled"],
    [["F"], "tool fill", "Fill what is closed, in the slice"],
    [["M", "Escape"], "tool move", "Move the cross"],
    [["Enter"], "apply", "Use the tool at the cross"],
    [["-"], "smaller", "Smaller pen"],
    [["+", "="], "larger", "Larger pen"],
    [["R"], "region", "Next region"],
    [["Shift+R"], "region back", "Region before"],
    [["G"], "smooth", "Smooth the region in this slice"],
    [["Z", "Ctrl+Z"], "undo", "Undo"],
    [["Y", "Ctrl+Y", "Ctrl+Shift+Z"], "redo", "Redo"],
    [["T"], "threshold", "To the threshold, then arrow keys"],
  ]],
  ["Look", [
    [["1", "2", "3", "4", "5", "6", "7", "8", "9"], "modality", "First to ninth modality"],
    [["V"], "planes", "Three planes, axial, coronal, sagittal"],
    [["Space", "H"], "hide", "Hide the mask while held"],
    [["L"], "look", "Mask filled or as an outline"],
    [["J"], "fainter", "Mask fainter"],
    [["U"], "stronger", "Mask stronger"],
    [["D"], "probability", "Probabilities on or off"],
    [["W"], "tool window", "Window: drag to the side for contrast, up for brightness"],
    [["X"], "zoom-in", "Zoom in"],
    [["Shift+X"], "zoom-out", "Zoom out"],
    [["0"], "reset", "View, zoom and window as at first"],
  ]],
  ["Pointer", [
    [["Wheel"], null, "From slice to slice"],
    [["Ctrl+Wheel"], null, "Zoom, also by pinching on a trackpad"],
    [["Shift+drag"], null, "Move the picture, also with the middle button"],
    [["Right drag"], null, "Window"],
  ]],
];

const NAMES = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", PageUp: "Page Up",
  PageDown: "Page Down", Escape: "Esc",
};

const actions = new Map(
  KEYS.flatMap(([, rows]) => rows)
    .filter(([, action]) => action)
    .flatMap(([keys, action]) => keys.map((key) => [key, action])),
);
// With Shift, these go ten times as far.
const FAR = /^(slice|shift) /;

// What an event's key does: {action, far}; null where it does nothing here.
export function actionOf(event) {
  if (event.altKey || event.isComposing) return null;
  let { key } = event;
  if (key === " ") key = "Space";
  if (key.length === 1) key = key.toUpperCase();
  const control = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  // Shift makes other signs of what is no letter, such as the plus sign.
  const shift = event.shiftKey && (control || /^[A-Z]$/.test(key)) ? "Shift+" : "";
  const action = actions.get(`${control}${shift}${key}`);
  if (action) return { action, key, far: event.shiftKey && FAR.test(action) };
  return null;
}

export function shown(key) {
  return key.split("+").map((part) => NAMES[part] ?? part).join("+") || "+";
}

// The overlay's content.
export function overlay(dialog) {
  const title = document.createElement("h2");
  title.id = "keys-title";
  title.textContent = "All keys";
  const columns = document.createElement("div");
  columns.className = "key-columns";
  for (const [name, rows] of KEYS) {
    const section = document.createElement("section");
    const heading = document.createElement("h3");
    heading.textContent = name;
    const list = document.createElement("dl");
    for (const [keys, , meaning] of rows) {
      const [term, what] = [document.createElement("dt"), document.createElement("dd")];
      const short = keys.length > 4 ? [`${keys[0]} … ${keys[keys.length - 1]}`] : keys;
      for (const key of short) {
        const box = document.createElement("kbd");
        box.textContent = key === "+" ? "+" : shown(key);
        term.append(box, " ");
      }
      what.textContent = meaning;
      list.append(term, what);
    }
    section.append(heading, list);
    columns.append(section);
  }
  const close = document.createElement("button");
  close.type = "button";
  close.textContent = "Close";
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(title, columns, close);
}
