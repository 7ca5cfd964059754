// What computes, apart from the page, so that the page stays alive. It is sent
// { start: { parts, config } }, { read: File, id }, { forget: id }, { segment: [{ id, volume, modality }],
// title, wish }, { cancel } and answers with messages whose `kind` the page knows.
import { startNetwork } from "./network.js";
import { maskFile } from "./mask.js";
import { readNifti } from "./nifti.js";
import { viewerContent } from "./scene.js";
import { Cancelled, segment } from "./segment.js";

const files = new Map();
let config = null, network = null, stopped = false;

function say(kind, content, transfer = []) {
  self.postMessage({ kind, ...content }, transfer);
}

// Lets messages in, such as that to stop.
function breath() {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(0);
  });
}

async function pause() {
  await breath();
  if (stopped) throw new Cancelled();
}

async function read(file, id) {
  try {
    const image = await readNifti(file);
    files.set(id, image);
    const { shape } = image.geometry;
    say("image", { id, volumes: image.volumes.length, shape });
  } catch (error) {
    const why = error.isSentence ? error.message : `${file.name} cannot be read: ${error.message}.`;
    say("refused", { id, why });
  }
}

function given(choices) {
  return choices.map(({ id, volume, modality }) => {
    const { name, geometry, header, notices, volumes } = files.get(id);
    return { modality, name, geometry, header, notices, voxels: volumes[volume] };
  });
}

const report = {
  stage: async (text) => {
    say("stage", { text });
    await pause();
  },
  slice: async (done, all) => {
    say("slice", { done, all });
    await pause();
  },
};

async function run(choices, title, wish) {
  stopped = false;
  try {
    const start = performance.now();
    const result = await segment(given(choices), config, network, wish, report);
    await report.stage("Drawing");
    const mask = maskFile(result.labels, result.geometry, result.header);
    say("result", {
      mask,
      content: viewerContent(result, config.regions, title),
      volumes: result.volumes, notices: result.notices, slices: result.slices,
      computed: result.computed, seconds: (performance.now() - start) / 1000,
    }, [mask.buffer]);
  } catch (error) {
    say(error instanceof Cancelled ? "cancelled" : "failed", { why: error.message });
  }
}

async function begin(parts) {
  try {
    network = await startNetwork(parts, config);
    say("ready", { threads: network.threads });
  } catch (error) {
    say("unable", { why: error.message });
  }
}

self.onmessage = ({ data }) => {
  if (data.start) {
    config = data.start.config;
    begin(data.start.parts);
  } else if (data.read) read(data.read, data.id);
  else if (data.forget) files.delete(data.forget);
  else if (data.cancel) stopped = true;
  else if (data.segment) run(data.segment, data.title, data.wish);
};
