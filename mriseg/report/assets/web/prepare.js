// From images to the network's input, as mriseg.core.prepare and .intensity have it: the foreground,
// the box around it, and z-scores over it in 16 bits. Images are typed arrays [z, y, x] in canonical
// axes, shapes [z, y, x]. Errors are sentences.
import { fillHoles, largestComponent, opened } from "./components.js";
import { exactSum, half, percentile } from "./numbers.js";

const MASKED_SHARE = 0.55, HEAD_LEVEL = 0.12, CROP_SHARE = 0.75, MOST_DEVIATION = 1e30;
const LONGEST_SIDE = 4096;

// --- the foreground ------------------------------------------------------------------------------

function cornerPlaces([depth, height, width]) {
  return [0, depth - 1].flatMap((z) => [0, height - 1].flatMap(
    (y) => [0, width - 1].map((x) => x + width * (y + height * z)),
  ));
}

// Where any image differs from the value in all its corners; null where one has no such value.
function stripped(images, shape) {
  const corners = cornerPlaces(shape);
  const backgrounds = images.map((image) => image[corners[0]]);
  if (images.some((image, k) => corners.some((place) => image[place] !== backgrounds[k]))) return null;
  const mask = new Uint8Array(images[0].length);
  let equal = 0;
  images.forEach((image, k) => {
    const background = backgrounds[k];
    for (let place = 0; place < mask.length; place++) {
      if (image[place] === background) equal += 1;
      else mask[place] = 1;
    }
  });
  return equal < MASKED_SHARE * images.length * mask.length ? null : mask;
}

// Where the median over the images, each scaled to its own range, is above the level of air.
function bright(images) {
  const mask = new Uint8Array(images[0].length);
  const isReal = images.some((image) => image instanceof Float32Array);
  const round = isReal ? Math.fround : (value) => value;
  const used = images.map((image) => {
    const sorted = image.slice().sort();
    return { image, low: round(percentile(sorted, 1)), high: round(percentile(sorted, 99)) };
  }).filter(({ low, high }) => high > low);
  if (!used.length) return mask;
  const level = round(HEAD_LEVEL), count = used.length;
  const values = new Float64Array(count);
  for (let place = 0; place < mask.length; place++) {
    let above = 0;
    for (let k = 0; k < count; k++) {
      const { image, low, high } = used[k];
      const share = round(round(Math.fround(image[place]) - low) / round(high - low));
      values[k] = Math.min(1, Math.max(0, share));
      if (values[k] > level) above += 1;
    }
    if (2 * above > count) mask[place] = 1;
    else if (2 * above === count) {
      const sorted = values.slice().sort();
      mask[place] = Number((sorted[count / 2 - 1] + sorted[count / 2]) / 2 > level);
    }
  }
  return mask;
}

function head(images, shape) {
  const mask = bright(images);
  if (!mask.includes(1)) return mask;
  const open = opened(mask, shape);
  const filled = largestComponent(open.includes(1) ? open : mask, shape);
  fillHoles(filled, shape);
  const share = filled.reduce((count, value) => count + value, 0) / filled.length;
  // A crop within a head: what is dark in it is no air.
  return share > CROP_SHARE ? filled.fill(1) : filled;
}

// The brain of a scan without its skull, or the head of one with it.
export function foreground(images, shape) {
  return stripped(images, shape) ?? head(images, shape);
}

// --- the box -------------------------------------------------------------------------------------

// The smallest box around a mask: { start, stop, shape }, or null for an empty mask.
export function boundingBox(mask, [depth, height, width]) {
  const start = [depth, height, width], stop = [0, 0, 0];
  let place = 0;
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++, place++) {
        if (!mask[place]) continue;
        [z, y, x].forEach((value, axis) => {
          if (value < start[axis]) start[axis] = value;
          if (value >= stop[axis]) stop[axis] = value + 1;
        });
      }
    }
  }
  return stop[0] ? { start, stop, shape: stop.map((end, axis) => end - start[axis]) } : null;
}

function eachRow(box, [, height, width], visit) {
  let to = 0;
  for (let z = box.start[0]; z < box.stop[0]; z++) {
    for (let y = box.start[1]; y < box.stop[1]; y++, to += box.shape[2]) {
      const from = box.start[2] + width * (y + height * z);
      visit(from, from + box.shape[2], to);
    }
  }
}

export function crop(array, box, shape) {
  const out = new array.constructor(box.shape[0] * box.shape[1] * box.shape[2]);
  eachRow(box, shape, (from, end, to) => out.set(array.subarray(from, end), to));
  return out;
}

export function uncrop(array, box, shape) {
  const out = new array.constructor(shape[0] * shape[1] * shape[2]);
  eachRow(box, shape, (from, end, to) => out.set(array.subarray(to, to + end - from), from));
  return out;
}

// --- z-scores ------------------------------------------------------------------------------------

// Mean and standard deviation of an image over a mask. Throws a sentence where there is no z-score.
export function statistics(image, mask, name) {
  const over = (value) => (add) => {
    for (let place = 0; place < mask.length; place++) if (mask[place]) add(value(image[place]));
  };
  let count = 0;
  for (const inside of mask) if (inside) count += 1;
  const mean = exactSum(over((value) => value)) / count;
  const std = Math.sqrt(exactSum(over((value) => (value - mean) ** 2)) / count);
  if (!(std > 1e-6 * Math.max(1, Math.abs(mean)))) {
    throw new Error(`${name} is constant (${Number(mean.toPrecision(6))}) over the brain.`);
  }
  if (std > MOST_DEVIATION) {
    throw new Error(`${name} has a standard deviation of ${std} over the brain: it is damaged.`);
  }
  return { mean, std };
}

// z-scores, rounded as a store rounds them: 0 outside the mask.
export function zScores(image, mask, { mean, std }) {
  const out = new Float32Array(image.length);
  const [shift, scale] = [Math.fround(mean), Math.fround(std)];
  for (let place = 0; place < out.length; place++) {
    if (!mask[place]) continue;
    const moved = Math.fround(Math.fround(image[place]) - shift);
    out[place] = half(Math.fround(moved / scale));
  }
  return out;
}

// A case ready for the network. images: [{ name, data }], data in canonical axes.
export function prepare(images, shape) {
  const mask = foreground(images.map(({ data }) => data), shape);
  const box = boundingBox(mask, shape);
  if (!box) throw new Error("The brain is empty: every image is constant.");
  if (Math.max(box.shape[1], box.shape[2]) > LONGEST_SIDE) {
    throw new Error(
      `Its slices are ${box.shape[1]} x ${box.shape[2]} voxels, larger than in any scan of a head; ` +
      `at most ${LONGEST_SIDE} per side are accepted.`,
    );
  }
  const inside = crop(mask, box, shape);
  const channels = images.map(({ name, data }) => {
    const raw = crop(data, box, shape);
    return { name, raw, scores: zScores(raw, inside, statistics(raw, inside, name)) };
  });
  return { box, inside, channels };
}
