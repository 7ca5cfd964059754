// The page: files in, choices, progress, the mask out. All that computes is in worker.js.
import { readName, stem } from "./names.js";
import { sides } from "./place.js";
import { tooFew } from "./segment.js";

const LEFT_OUT = "-";
const byId = (id) => document.getElementById(id);
const config = JSON.parse(byId("config").textContent);
// Files by number: { file, name, volumes, shape, why, choices }, where a choice is a modality, "" (to
// be chosen) or "-" (left out).
const files = new Map();
let worker = null, isReady = false, isRunning = false, started = 0, next = 1, maskUrl = "";

function element(tag, content = "", attributes = {}) {
  const node = Object.assign(document.createElement(tag), attributes);
  node.append(...[content].flat());
  return node;
}

// --- the parts of the page -----------------------------------------------------------------------

// A part is in the page, packed, or in a file beside it.
async function part(script) {
  const text = script.textContent;
  script.remove();
  if (!text) {
    const answer = await fetch(script.dataset.file);
    if (!answer.ok) throw new Error(`${script.dataset.file} is missing (${answer.status})`);
    return new Uint8Array(await answer.arrayBuffer());
  }
  const packed = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

async function begin() {
  const scripts = [...document.querySelectorAll("script[data-part]")];
  const inFolder = scripts.some((script) => !script.textContent);
  if (inFolder && location.protocol === "file:") {
    unable(
      "This page is one of several files, which browsers open from a server alone. In the page's " +
      "folder, run: python -m http.server 8000 --bind 127.0.0.1, and open http://127.0.0.1:8000. " +
      "A page in one file, which opens as it is, is written by: mriseg export web --single-file.",
    );
    return;
  }
  try {
    const loaded = await Promise.all(scripts.map(part));
    const parts = Object.fromEntries(scripts.map((script, k) => [script.dataset.part, loaded[k]]));
    const source = new Blob([parts.library, "\n", parts.worker], { type: "text/javascript" });
    worker = new Worker(URL.createObjectURL(source));
    worker.onmessage = ({ data }) => answers[data.kind](data);
    worker.onerror = (event) => unable(`The page does not run in this browser: ${event.message}.`);
    const { module, program, model } = parts;
    worker.postMessage({ start: { parts: { module, program, model }, config } });
    for (const [id, { file }] of files) worker.postMessage({ read: file, id });
  } catch (error) {
    unable(`A part of the page cannot be read: ${error.message}. Export it again.`);
  }
}

function unable(text) {
  byId("unable").textContent = text;
  byId("unable").hidden = false;
  document.body.dataset.state = "unable";
}

// --- files ---------------------------------------------------------------------------------------

function add(list) {
  for (const file of list) {
    const known = [...files].find(([, { name }]) => name === file.name);
    if (known) forget(known[0]);
    const id = next++;
    files.set(id, { file, name: file.name, volumes: 0, shape: null, why: "", choices: [] });
    worker?.postMessage({ read: file, id });
  }
  forgetFailure();
  draw();
}

function forgetFailure() {
  byId("failed").hidden = true;
  byId("failed").textContent = "";
}

function forget(id) {
  files.delete(id);
  worker?.postMessage({ forget: id });
  draw();
}

function choicesOf(name, volumes) {
  if (volumes > 1) {
    return Array.from({ length: volumes }, () => ({ modality: "", why: "one of several volumes" }));
  }
  const { modality, why, isMask } = readName(name, config.words, config.modalities);
  if (isMask) return [{ modality: LEFT_OUT, why }];
  if (modality && !config.modalities.includes(modality)) {
    return [{ modality: LEFT_OUT, why: `its name says ${modality}, which the model does not read` }];
  }
  return [{ modality: modality ?? "", why }];
}

function rows() {
  return [...files].flatMap(
    ([id, item]) => item.choices.map((choice, volume) => ({ id, item, choice, volume })),
  );
}

// --- what is shown -------------------------------------------------------------------------------

function draw() {
  const refused = [...files].filter(([, { why }]) => why);
  byId("problems").replaceChildren(...refused.map(([id, { why }]) => {
    const button = element("button", "Remove", { type: "button", onclick: () => forget(id) });
    return element("li", [why, button]);
  }));
  const all = rows();
  byId("images").hidden = !all.length;
  byId("images").querySelector("tbody").replaceChildren(...all.map(row));
  const why = whyNot(all);
  byId("why").textContent = why;
  byId("start").disabled = Boolean(why) || isRunning;
}

function row({ id, item, choice, volume }) {
  const label = item.volumes > 1 ? `${item.name}, volume ${volume + 1}` : item.name;
  const select = element("select", [
    element("option", "choose", { value: "" }),
    ...config.modalities.map((name) => element("option", name, { value: name })),
    element("option", "leave out", { value: LEFT_OUT }),
  ], { ariaLabel: `Modality of ${label}`, disabled: isRunning });
  select.value = choice.modality;
  select.onchange = () => {
    Object.assign(choice, { modality: select.value, why: "" });
    draw();
  };
  const remove = element("button", "Remove", {
    type: "button", onclick: () => forget(id), disabled: isRunning, ariaLabel: `Remove ${item.name}`,
  });
  const heading = element("th", label, { scope: "row" });
  const why = choice.why ? [element("span", choice.why, { className: "soft" })] : [];
  return element("tr", [
    heading, element("td", sides(item.shape)), element("td", [select, ...why]), element("td", remove),
  ]);
}

// Why nothing can be segmented yet, as a sentence; or nothing.
function whyNot(all) {
  if (!files.size) return "";
  if ([...files.values()].some(({ why, choices }) => !why && !choices.length)) return "Reading the files.";
  if (!all.length) return "No file can be used.";
  const open = all.find(({ choice }) => choice.modality === "");
  if (open) return `Choose which modality ${open.item.name} is, or leave it out.`;
  const chosen = all.map(({ choice }) => choice.modality).filter((name) => name !== LEFT_OUT);
  const twice = chosen.find((name, k) => chosen.indexOf(name) !== k);
  if (twice) return `Two images are ${twice}: leave one out.`;
  const few = tooFew(config.modalities.filter((name) => chosen.includes(name)), config);
  return few || (isReady ? "" : "Loading the network.");
}

function start() {
  const used = rows().filter(({ choice }) => choice.modality !== LEFT_OUT);
  const first = config.modalities.find((name) => used.some(({ choice }) => choice.modality === name));
  const { item } = used.find(({ choice }) => choice.modality === first);
  setRunning(true);
  clearResult();
  started = 0;
  forgetFailure();
  byId("mask-name").textContent = `${stem(item.name)}_mask.nii.gz`;
  worker.postMessage({
    segment: used.map(({ id, choice, volume }) => ({ id, volume, modality: choice.modality })),
    title: stem(item.name), wish: byId("wish").value,
  });
}

function setRunning(value) {
  isRunning = value;
  byId("running").hidden = !value;
  byId("cancel").disabled = false;
  byId("bar").removeAttribute("value");
  byId("stage").textContent = "";
  byId("files").disabled = value;
  byId("wish").disabled = value;
  document.body.dataset.state = value ? "running" : "idle";
  draw();
}

function failed(text) {
  setRunning(false);
  byId("failed").textContent = text;
  byId("failed").hidden = false;
  byId("failed").focus();
  document.body.dataset.state = "failed";
}

function clearResult() {
  byId("result").hidden = true;
  const viewer = byId("viewer").firstElementChild?.viewer;
  if (viewer?.nv) viewer.end();
  byId("viewer").replaceChildren();
  if (maskUrl) URL.revokeObjectURL(maskUrl);
}

function inTime(seconds) {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return `${Math.round(seconds / 60)} min`;
}

async function packed(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Blob([await new Response(stream).arrayBuffer()], { type: "application/gzip" });
}

function tile(label, value, remark) {
  return element("div", [
    element("dt", label), element("dd", [value, ...(remark ? [element("small", remark)] : [])]),
  ]);
}

async function show({ mask, content, volumes, notices, slices, computed, seconds }) {
  maskUrl = URL.createObjectURL(await packed(mask));
  const link = byId("download");
  link.href = maskUrl;
  link.download = byId("mask-name").textContent;
  byId("tiles").replaceChildren(
    ...config.regions.map(({ name }, k) => tile(
      name, `${volumes[k].ml.toFixed(1)} mL`, `${volumes[k].voxels.toLocaleString("en")} voxels`,
    )),
    tile("Slices", String(slices), "with brain in them"),
    tile("Time", inTime(seconds), computed),
  );
  const isEmpty = volumes.every(({ voxels }) => !voxels);
  const empty = isEmpty ? ["The mask is empty: no voxel is above the threshold."] : [];
  byId("notices").replaceChildren(...[...empty, ...notices].map((text) => element("li", text)));
  byId("notices").hidden = !empty.length && !notices.length;
  setRunning(false);
  byId("result").hidden = false;
  byId("result-title").focus();
  document.body.dataset.state = "done";
  openViewer(content);
}

function openViewer(content) {
  const root = byId("viewer-template").content.cloneNode(true).firstElementChild;
  const images = content.images.map(({ name }, k) => element("option", name, { value: k }));
  root.querySelector("[name=image]").append(...images);
  root.querySelector(".viewer-regions").append(...config.regions.map(({ name }, k) => {
    const swatch = element("span", "", { className: "viewer-swatch" });
    swatch.dataset.region = k;
    const box = element("input", "", { type: "checkbox", name: "region", value: k, checked: true });
    return element("label", [box, swatch, ` ${name}`]);
  }));
  root.append(element("script", JSON.stringify(content), { type: "application/json" }));
  byId("viewer").replaceChildren(root);
  root.dispatchEvent(new Event("viewer", { bubbles: true }));
}

const answers = {
  ready: () => {
    isReady = true;
    document.body.dataset.ready = "yes";
    draw();
  },
  unable: ({ why }) => unable(`The network does not start in this browser: ${why}`),
  image: ({ id, volumes, shape }) => {
    const item = files.get(id);
    if (item) Object.assign(item, { volumes, shape, choices: choicesOf(item.name, volumes) });
    draw();
  },
  refused: ({ id, why }) => {
    if (files.has(id)) files.get(id).why = why;
    draw();
  },
  stage: ({ text }) => { byId("stage").textContent = text; },
  slice: ({ done, all }) => {
    started ||= performance.now();
    byId("bar").value = all ? done / all : 1;
    const left = done ? ((performance.now() - started) / 1000 / done) * (all - done) : 0;
    byId("stage").textContent = `Slice ${Math.min(done + 1, all)} of ${all}` +
      (done > 2 && done < all ? `, about ${inTime(left)} left` : "");
  },
  cancelled: () => failed("Cancelled: no mask was made."),
  failed: ({ why }) => failed(why),
  result: show,
};

function listen() {
  const drop = byId("drop");
  byId("files").addEventListener("change", ({ target }) => {
    add([...target.files]);
    target.value = "";
  });
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.remove("over");
    });
  }
  document.addEventListener("drop", ({ dataTransfer }) => {
    if (!isRunning) add([...dataTransfer.files]);
  });
  byId("start").addEventListener("click", start);
  byId("cancel").addEventListener("click", () => {
    byId("cancel").disabled = true;
    byId("stage").textContent = "Stopping after this slice";
    worker.postMessage({ cancel: true });
  });
}

listen();
draw();
begin();
