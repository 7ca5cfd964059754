// A case from its images to its mask on the grid of the first of them, as `mriseg predict --no-flips
// --no-adapt --no-refine` makes it.
import { withoutMinor } from "./components.js";
import { canonical, canonicalShape, ontoGrid, spacing, uncanonical, voxelVolume } from "./place.js";
import { prepare, uncrop } from "./prepare.js";
import { plan, resized } from "./resample.js";

// What was stopped on purpose.
export class Cancelled extends Error {}

// The images of a case in the order of the model's modalities, on the grid of the first.
// given: [{ modality, name, voxels, geometry, header, notices }].
function onOneGrid(given) {
  const [first] = given;
  const notices = [];
  const images = given.map(({ modality, name, voxels, geometry, notices: own }, k) => {
    const turned = k ? ontoGrid(voxels, geometry, first.geometry, name) : { voxels, notices: [] };
    notices.push(...own, ...turned.notices);
    return { name: modality, data: canonical(turned.voxels, first.geometry) };
  });
  return { images, notices: [...new Set(notices)] };
}

// Why these modalities are not enough, or nothing.
export function tooFew(has, { modalities, incomplete }) {
  const lacking = modalities.filter((name) => !has.includes(name));
  if (!has.length) return `The model reads ${modalities.join(", ")}: choose which image is which.`;
  if (lacking.length && !incomplete) {
    return `${lacking.join(", ")} is missing: the model reads ${modalities.join(", ")}, and never ` +
      `saw a case without.`;
  }
  return "";
}

class Slices {
  constructor(prepared, config, resampling) {
    const [depth, h, w] = prepared.box.shape;
    Object.assign(this, { h, w, size: h * w, resampling });
    this.channels = config.modalities.map(
      (name) => prepared.channels.find((channel) => channel.name === name)?.scores,
    );
    this.numbers = [];
    for (let z = 0; z < depth; z++) {
      const holds = this.channels.some((scores) => scores && this.of(scores, z).some(Boolean));
      if (holds) this.numbers.push(z);
    }
    [this.height, this.width] = resampling ?? [h, w];
  }

  of(scores, z) {
    return scores.subarray(z * this.size, (z + 1) * this.size);
  }

  // What the network is given of slice z, [m, h, w].
  input(z) {
    const size = this.height * this.width;
    const out = new Float32Array(this.channels.length * size);
    this.channels.forEach((scores, k) => {
      if (!scores) return;
      const own = this.of(scores, z);
      const to = [this.height, this.width];
      out.set(this.resampling ? resized(own, [this.h, this.w], to, "cubic") : own, k * size);
    });
    return out;
  }

  // The network's probabilities of region r on the slice's own pixels.
  output(values, r) {
    const size = this.height * this.width;
    const own = values.subarray(r * size, (r + 1) * size);
    if (!this.resampling) return own;
    return resized(own, [this.height, this.width], [this.h, this.w], "linear");
  }

  get fullest() {
    const count = (z) => this.channels.reduce(
      (sum, scores) => sum + (scores ? this.of(scores, z).reduce((n, v) => n + (v ? 1 : 0), 0) : 0), 0,
    );
    const counts = this.numbers.map(count);
    return this.numbers[counts.indexOf(Math.max(...counts))];
  }
}

async function predicted(slices, config, network, report) {
  const masks = config.regions.map(() => new Uint8Array(slices.size * report.depth));
  const levels = config.regions.map(({ threshold }) => Math.fround(threshold));
  for (const [done, z] of slices.numbers.entries()) {
    await report.slice(done, slices.numbers.length);
    const values = await network.probabilities(slices.input(z), slices.height, slices.width);
    masks.forEach((mask, r) => {
      const own = slices.output(values, r);
      for (let k = 0; k < own.length; k++) {
        if (own[k] > levels[r]) mask[z * slices.size + k] = 1;
        else if (Number.isNaN(own[k])) throw new Error("The network's output is not a number.");
      }
    });
  }
  await report.slice(slices.numbers.length, slices.numbers.length);
  return masks;
}

// One label per voxel; of regions in one another the innermost.
function painted(masks, { regions, order }) {
  const labels = new Uint8Array(masks[0].length);
  for (const r of order) {
    for (let k = 0; k < labels.length; k++) if (masks[r][k]) labels[k] = regions[r].label;
  }
  return labels;
}

function inMl(mask, geometry) {
  const voxels = mask.reduce((count, value) => count + value, 0);
  return { voxels, ml: (voxels * voxelVolume(geometry)) / 1000 };
}

// given: as `onOneGrid` takes it. wish: as `Network.choose`. report: { stage(text), slice(done, all) },
// which throws `Cancelled` to stop. Returns what a page shows, and the labels in the file's order.
export async function segment(given, config, network, wish, report) {
  const ordered = config.modalities
    .map((name) => given.find(({ modality }) => modality === name)).filter(Boolean);
  const why = tooFew(ordered.map(({ modality }) => modality), config);
  if (why) throw new Error(why);
  await report.stage("Finding the brain");
  const { geometry, header } = ordered[0];
  const { images, notices } = onOneGrid(ordered);
  const shape = canonicalShape(geometry);
  const prepared = prepare(images, shape);
  const { box } = prepared;
  const resampling = plan(box.shape.slice(1), spacing(geometry).slice(1), config.spacing);
  if (resampling.notice) notices.push(resampling.notice);
  const lacking = config.modalities.filter((name) => !ordered.some((one) => one.modality === name));
  if (lacking.length) notices.push(`${lacking.join(", ")} is missing: its channel reads the brain's mean.`);
  const slices = new Slices(prepared, config, resampling.network);
  await report.stage("Trying the network");
  const probe = slices.input(slices.fullest);
  const choice = await network.choose(wish, probe, slices.height, slices.width);
  if (choice) notices.push(choice);
  const raw = await predicted(slices, config, network, { ...report, depth: box.shape[0] });
  if (network.lost) notices.push("The graphics card went away; the processor took over.");
  const masks = raw.map((mask, r) => withoutMinor(mask, box.shape, config.regions[r].share));
  const labels = uncanonical(uncrop(painted(masks, config), box, shape), geometry);
  return {
    labels, masks, notices, box, geometry, header,
    channels: prepared.channels,
    slices: slices.numbers.length,
    computed: network.name,
    volumes: masks.map((mask) => inMl(mask, geometry)),
  };
}
