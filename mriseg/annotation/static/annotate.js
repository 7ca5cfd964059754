// The page of `mriseg annotate`: a queue of cases, the scan, tools, and learning from corrections.
import { Desk } from "./desk.js";
import { Hand } from "./hand.js";
import { Improve } from "./improve.js";
import { KEYS, actionOf, overlay } from "./keys.js";
import { Panel } from "./panel.js";
import { Queue, isDone, isReady, statusText } from "./queue.js";
import * as server from "./server.js";
import { Stage } from "./stage.js";
import { answering, banner, dismissable, notice, silence } from "./talk.js";

const $ = (id) => document.getElementById(id);
// How often the page asks the server, in ms: while something is made there, and else.
const SOON = 1000, LATER = 10000;

const stage = new Stage($("scan"), {
  changed: (what) => edited(what),
  moved: () => stage.soon("place", place),
});
const hand = new Hand(stage, notice);
const desk = new Desk(stage, { opened, drawn, failed, saved });
const panel = new Panel($("tools"), stage, hand, desk, failed);
const queue = new Queue(choose);
const improve = new Improve(failed);
improve.changed = () => watch(SOON);

// --- server --------------------------------------------------------------------------------------

let timer = null;
let gone = false;

function failed(error) {
  if (!(error instanceof server.Gone)) {
    dismissable("error", error.message);
    return;
  }
  gone = true;
  const kept = desk.dirty ? "; your unsaved edits are kept in this tab" : "";
  banner("gone", `mriseg annotate was stopped${kept}. Start it again to continue; a new session has a new address.`,
    desk.dirty ? [{ label: "Download the edits", act: () => desk.download() }] : []);
  watch(LATER / 3);
}

async function refresh() {
  try {
    const answer = await server.queue();
    if (gone) {
      gone = false;
      silence("gone");
      notice("mriseg annotate answers again.");
    }
    about(answer);
    queue.set(answer);
    if (answer.improve) improve.set(answer.improve);
    if (!desk.case && !desk.busy && queue.first()) await choose(queue.first());
    const entry = queue.entry(desk.case?.id);
    if (entry) await desk.changed(entry, isReady(entry));
    watch(answer.preparing || improve.running ? SOON : LATER);
  } catch (error) {
    failed(error);
    watch(LATER / 3);
  }
}

function watch(delay) {
  clearTimeout(timer);
  timer = setTimeout(refresh, delay);
}

let message = "";

function about({ model, who, message: said }) {
  if (said && said !== message) dismissable("preparing", said);
  message = said;
  const digest = model.digest ? ` (${model.digest.slice(0, 8)})` : "";
  $("model").textContent = `Model ${model.path}${digest}${who ? ` · corrections by ${who}` : ""}`;
  $("model").title = $("model").textContent;
}

// --- the case ------------------------------------------------------------------------------------

let wanted = null;

async function choose(id) {
  // While one case is being read or saved, the last that was asked for comes next.
  wanted = id;
  if (desk.busy) return;
  while (wanted && wanted !== desk.case?.id) {
    const next = wanted;
    wanted = null;
    if (!(await desk.open(next))) return;
    $("scan").focus({ preventScroll: true });
  }
}

function opened() {
  queue.current = desk.case.id;
  desk.case.ready = isReady(queue.entry(desk.case.id));
  // A reload comes back to it.
  history.replaceState(null, "", `#${encodeURIComponent(desk.case.id)}`);
  queue.draw();
  $("cases").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  panel.opened(desk.case);
  drawn();
  document.body.dataset.ready = desk.case.id;
}

function drawn() {
  const { name, status } = desk.case;
  $("case-name").textContent = name;
  $("case-name").title = name;
  const badge = $("case-status");
  badge.className = `status ${status}`;
  badge.textContent = statusText(desk.case);
  $("dirty").hidden = !desk.dirty;
  document.querySelector("[data-do=reopen]").hidden = !isDone(desk.case);
  document.title = `${desk.dirty ? "• " : ""}${name} – mriseg annotate`;
  document.body.dataset.dirty = desk.dirty ? "yes" : "no";
  panel.amounts();
  place();
}

let draftTimer = null;

function edited(what) {
  panel.edited(what);
  drawn();
  clearTimeout(draftTimer);
  draftTimer = setTimeout(() => desk.keepDraft(), 400);
}

async function saved(id, answer, advance) {
  queue.update(id, { status: answer.status, who: answer.who, when: answer.when, ...(answer.volumes ? { volumes: answer.volumes } : {}) });
  panel.byHand = false;
  drawn();
  watch(SOON / 2);
  if (advance && $("tools").elements.advance.checked) {
    const next = queue.after(id, 1, true);
    if (next) await choose(next);
    else notice("All cases are done.");
  }
}

function place() {
  if (!desk.case || !stage.image) return;
  const { said, voxel, value, mm } = stage.where();
  const words = [said.join(" · ")];
  if (desk.case.mm) words.push(`RAS ${mm.map((part) => part.toFixed(1)).join(", ")} mm`);
  words.push(`${desk.case.modality} ${Number(value.toPrecision(4))}`);
  const label = stage.labelAt(voxel);
  words.push(label ? stage.regions[label - 1]?.name ?? `label ${label}` : "background");
  const probability = stage.probabilityAt(voxel);
  if (probability !== null) words.push(`probability ${probability.toFixed(2)}`);
  $("place").textContent = words.join("   ");
}

// --- what controls and keys ask for --------------------------------------------------------------

const DO = {
  accept: () => desk.accept(),
  save: () => desk.save(),
  skip: () => desk.skip(),
  reopen: () => desk.reopen(),
  next: () => go(1),
  previous: () => go(-1),
  filter: () => queue.turnFilter(),
  improve: () => improve.focus(),
  tool: (name) => panel.tool(name),
  apply: () => hand.applyAtCross(),
  smaller: () => panel.resize(-1),
  larger: () => panel.resize(1),
  region: (back) => panel.region(back ? -1 : 1),
  smooth: () => hand.smoothSlice(),
  undo: () => change("undo"),
  redo: () => change("redo"),
  threshold: () => panel.control("threshold").focus(),
  "model-threshold": () => panel.modelThreshold(),
  planes: () => panel.turnPlanes(),
  hide: () => hide(true),
  look: () => panel.turnLook(),
  fainter: () => panel.fade(-10),
  stronger: () => panel.fade(10),
  probability: () => panel.probability(stage.look.probability === null),
  "zoom-in": () => stage.image && stage.zoom(1.25),
  "zoom-out": () => stage.image && stage.zoom(0.8),
  reset: () => stage.image && stage.resetView(),
  centre: () => stage.image && stage.toFullest(),
};

function go(step) {
  const id = queue.after(desk.case?.id, step);
  if (id) choose(id);
  else notice(step > 0 ? "This is the last case." : "This is the first case.");
}

function change(how) {
  if (!stage.image || stage.readOnly) return;
  if (!stage[how]()) notice(`There is nothing to ${how}.`);
}

function hide(on) {
  if (!stage.image || stage.look.hidden === on) return;
  stage.look.hidden = on;
  stage.drawLook();
}

function act({ action, key, far }) {
  const [name, ...words] = action.split(" ");
  if (name === "modality") panel.modality(Number(key) - 1);
  else if (!stage.image && ["slice", "shift"].includes(name)) return;
  else if (name === "slice") stage.slices(Number(words[0]) * (far ? 10 : 1));
  else if (name === "shift") stage.shift(...words.map((word) => Number(word) * (far ? 10 : 1)));
  else DO[name](...words);
}

// Keys that a control needs itself, where it has the focus.
function belongsTo(target, event) {
  if (target.matches?.("select, textarea, input[type=text]")) return true;
  const moves = /^(Arrow|Page|Home|End)/.test(event.key);
  if (target.matches?.("input[type=range]")) return moves;
  if (target.matches?.("input[type=radio]")) return moves || event.key === " ";
  return Boolean(target.matches?.("button, a, summary, input[type=checkbox]")) && /^( |Enter)$/.test(event.key);
}

document.addEventListener("keydown", (event) => {
  if (answering() || event.defaultPrevented) return;
  if (event.key === "?") {
    $("keys").showModal();
    return;
  }
  if (belongsTo(event.target, event)) return;
  const action = actionOf(event);
  if (!action) return;
  event.preventDefault();
  // A key that is held repeats: that moves and undoes, and saves nothing twice.
  if (event.repeat && !/^(slice|shift|undo|redo|smaller|larger|fainter|stronger|zoom)/.test(action.action)) return;
  // A stroke ends before anything else happens to the mask.
  if (!hand.gesture) act(action);
});
document.addEventListener("keyup", (event) => {
  if (event.key === " " || event.key.toUpperCase() === "H") hide(false);
});
window.addEventListener("blur", () => hide(false));

document.addEventListener("click", (event) => {
  const button = event.target.closest?.("[data-do]");
  if (button) DO[button.dataset.do]();
  // After a click with the pointer, keys belong to the scan again: Space must not press a button.
  const control = event.target.closest?.("button, input, select");
  if (control && event.detail > 0 && !answering() && !control.matches("select")) {
    $("scan").focus({ preventScroll: true });
  }
});
$("help").addEventListener("click", () => $("keys").showModal());

window.addEventListener("beforeunload", (event) => {
  if (!desk.dirty) return;
  desk.keepDraft();
  event.preventDefault();
});
window.addEventListener("resize", () => {
  if (stage.image) stage.soon("planes", () => stage.setPlanes(stage.planes));
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible") watch(0);
  else desk.keepDraft();
});

// --- start ---------------------------------------------------------------------------------------

overlay($("keys"));
for (const [, rows] of KEYS) {
  for (const [keys, action] of rows) {
    document.querySelector(`[data-do="${action}"]`)?.setAttribute("aria-keyshortcuts", keys.join(" "));
  }
}
$("scan").addEventListener("webglcontextlost", () => {
  const kept = desk.keepDraft() && desk.dirty ? "; your unsaved edits are kept" : "";
  banner("viewer", `The browser has ended the viewer, for lack of graphics memory. Reload the page${kept}.`);
});
panel.tool("move");
if (!window.niivue) {
  banner("viewer", "The viewer is missing: mriseg was installed without it. Install mriseg from PyPI, or run scripts/viewer in a checkout, and start mriseg annotate again.");
} else {
  try {
    await stage.start();
    await refresh();
  } catch (error) {
    banner("viewer", `The viewer did not start: ${error.message}. It needs WebGL 2.`);
  }
}
// For tests, which look at voxels.
window.annotate = { stage, hand, desk, panel, queue, improve };
