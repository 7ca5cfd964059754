// A segmented case as the viewer of mriseg's reports takes it (../viewer.js says what it reads).
import { maskFile } from "./mask.js";
import { column, length, moved, percentile } from "./numbers.js";

// As mriseg.report.drawing has them.
export const COLOURS = [
  [230, 159, 0], [86, 180, 233], [204, 121, 167], [240, 228, 66], [0, 158, 115], [213, 94, 0],
  [0, 114, 178],
];
const PER_LAYER = 8;
// NIfTI's code for numbers that are labels.
const LABELS = 1002;

export function colour(index) {
  return COLOURS[index % COLOURS.length];
}

// From voxels (x, y, z) of the box, y and x reversed, to the world.
function rasAffine({ affine, axes, flips, shape }, box) {
  const first = [box.start[0], box.stop[1] - 1, box.stop[2] - 1];
  const own = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]];
  axes.forEach((axis, k) => {
    const step = k === 0 ? 1 : -1;
    own[axis][2 - k] = flips[k] ? -step : step;
    own[axis][3] = flips[k] ? shape[axis] - 1 - first[k] : first[k];
  });
  const origin = moved(affine, own.map((row) => row[3]));
  return affine.slice(0, 3).map((row, i) => [
    ...[0, 1, 2].map((j) => row[0] * own[0][j] + row[1] * own[1][j] + row[2] * own[2][j]), origin[i],
  ]);
}

function reversed(bytes, [depth, height, width]) {
  const out = new Uint8Array(bytes.length), size = height * width;
  for (let z = 0; z < depth; z++) {
    out.set(bytes.slice(z * size, (z + 1) * size).reverse(), z * size);
  }
  return out;
}

function embedded(bytes, shape, affine, { slope, inter, intent }) {
  const sizes = [0, 1, 2].map((j) => length(column(affine, j)));
  const file = maskFile(
    reversed(bytes, shape), { shape: [...shape].reverse(), ndim: 3 },
    {
      version: 1, unit: 2, sform: affine, sformCode: 1, qformCode: 0,
      quaternion: [0, 0, 0], shift: [0, 0, 0], pixdim: [1, ...sizes],
    },
  );
  const view = new DataView(file.buffer);
  view.setFloat32(112, slope, true);
  view.setFloat32(116, inter, true);
  view.setInt16(68, intent, true);
  return base64(file);
}

export function base64(bytes) {
  let text = "";
  for (let at = 0; at < bytes.length; at += 2 ** 15) {
    text += String.fromCharCode(...bytes.subarray(at, at + 2 ** 15));
  }
  return btoa(text);
}

// 255 grey levels between the 0.1st and 99.9th percentile of what is not 0.
function greyLevels(raw) {
  const values = Float32Array.from(raw.filter((value) => value !== 0)).sort();
  if (!values.length) return { data: new Uint8Array(raw.length), slope: 1, inter: 0, window: [0, 1] };
  const [black, low, high, white] = [1, 0.1, 99.9, 99].map((percent) => percentile(values, percent));
  const slope = Math.max((high - low) / 254, 1e-30);
  const data = Uint8Array.from(raw, (value) => (
    value === 0 ? 0 : Math.min(255, Math.max(1, Math.round((value - low) / slope) + 1))
  ));
  return { data, slope, inter: low - slope, window: [black, white > black ? white : black + 1] };
}

// The voxel (z, y, x) to look at first: of the mask's fullest slice, the one nearest to its middle.
function focus(masks, [depth, height, width]) {
  const size = height * width;
  const union = masks[0].map((_, k) => Number(masks.some((mask) => mask[k])));
  let fullest = -1, most = 0;
  for (let z = 0; z < depth; z++) {
    const count = union.subarray(z * size, (z + 1) * size).reduce((sum, value) => sum + value, 0);
    if (count > most) [fullest, most] = [z, count];
  }
  if (fullest < 0) return [depth, height, width].map((n) => Math.floor(n / 2));
  const places = [];
  for (let k = 0; k < size; k++) {
    if (union[fullest * size + k]) places.push([Math.floor(k / width), k % width]);
  }
  const mean = [0, 1].map((axis) => places.reduce((sum, place) => sum + place[axis], 0) / most);
  const away = (place) => (place[0] - mean[0]) ** 2 + (place[1] - mean[1]) ** 2;
  return [fullest, ...places.reduce((best, place) => (away(place) < away(best) ? place : best))];
}

function bitLayer(masks, first) {
  const data = new Uint8Array(masks[0].length);
  masks.slice(first, first + PER_LAYER).forEach((mask, bit) => {
    for (let k = 0; k < data.length; k++) if (mask[k]) data[k] |= 1 << bit;
  });
  return data;
}

// What viewer.js starts from. result: of `segment`; regions: of the page's config.
export function viewerContent({ box, geometry, channels, masks }, regions, title) {
  const affine = rasAffine(geometry, box);
  const [, height, width] = box.shape;
  const [z, y, x] = focus(masks, box.shape);
  const layers = [];
  for (let first = 0; first < regions.length; first += PER_LAYER) {
    layers.push({
      kind: "mask",
      nifti: embedded(bitLayer(masks, first), box.shape, affine, { slope: 1, inter: 0, intent: LABELS }),
      regions: masks.slice(first, first + PER_LAYER).map((mask, bit) => ({
        index: first + bit,
        colour: colour(first + bit),
        size: mask.reduce((count, value) => count + value, 0),
      })),
    });
  }
  const sizes = [0, 1, 2].map((j) => length(column(affine, j)) * box.shape[2 - j]);
  const images = channels.map(({ name, raw }) => {
    const { data, slope, inter, window } = greyLevels(raw);
    const nifti = embedded(data, box.shape, affine, { slope, inter, intent: 0 });
    return { name, nifti, window, background: inter };
  });
  // What masks are shown on at first, as in mriseg's pictures.
  images.sort((a, b) => Number(b.name === "FLAIR") - Number(a.name === "FLAIR"));
  return {
    title, mm: true, slice: geometry.ndim === 2,
    flat: sizes[2] < 0.3 * Math.max(sizes[0], sizes[1]),
    first: box.start, shape: box.shape,
    focus: moved(affine, [width - 1 - x, height - 1 - y, z]),
    images, layers, probabilities: [],
  };
}
