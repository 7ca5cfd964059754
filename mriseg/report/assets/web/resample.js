// Slices at the pixel size that the network was trained at, and back: as mriseg.core.resampling, whose
// filters are those of PyTorch's interpolation with antialiasing.
import { roundedEven } from "./numbers.js";

const LARGEST_RATIO = 1.2 + 1e-3, SMALLEST_SIDE = 16, LONGEST_SIDE = 4096;

// How slices of `own` [h, w] with pixels of `spacing` [y, x] are resampled for a network trained at
// `trained` (or null): { network: [h, w] or null, notice }.
export function plan(own, spacing, trained) {
  if (!trained) return { network: null, notice: "" };
  const near = spacing.every(
    (size, k) => trained[k] / LARGEST_RATIO <= size && size <= trained[k] * LARGEST_RATIO,
  );
  if (near) return { network: null, notice: "" };
  const facts =
    `Its voxels are ${inWords(spacing)} in plane and the model was trained at ${inWords(trained)}`;
  const exact = own.map((n, k) => (n * spacing[k]) / trained[k]);
  if (!exact.every((side) => side >= SMALLEST_SIDE - 0.5 && side <= LONGEST_SIDE)) {
    const would = exact.map((side) => Number(side.toPrecision(3))).join(" x ");
    return {
      network: null,
      notice: `${facts}: its slices would become ${would} pixels, so they are not resampled; check ` +
        `the voxel size in its header.`,
    };
  }
  return { network: exact.map(roundedEven), notice: `${facts}: resampled for the network.` };
}

function inWords(sizes) {
  return `${sizes.map((size) => Number(size.toPrecision(3))).join(" x ")} mm`;
}

function cubic(x) {
  const d = Math.abs(x);
  if (d < 1) return (1.5 * d - 2.5) * d * d + 1;
  return d < 2 ? ((-0.5 * d + 2.5) * d - 4) * d + 2 : 0;
}

function triangle(x) {
  return Math.max(0, 1 - Math.abs(x));
}

// For each place of the result, the first place it is taken from and the weights.
function weights(from, to, filter, width) {
  const scale = from / to, reach = (width / 2) * Math.max(scale, 1), narrow = Math.min(1, 1 / scale);
  return Array.from({ length: to }, (_, i) => {
    const centre = scale * (i + 0.5);
    const first = Math.max(Math.trunc(centre - reach + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach + 0.5), from);
    const each = Array.from({ length: end - first }, (_, j) => filter((j + first - centre + 0.5) * narrow));
    const sum = each.reduce((total, weight) => total + weight, 0);
    return { first, each: each.map((weight) => weight / sum) };
  });
}

function along(slice, lines, size, to, strides, filters) {
  const out = new Float32Array(lines * to);
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < to; i++) {
      const { first, each } = filters[i];
      let sum = 0;
      for (let j = 0; j < each.length; j++) {
        sum += each[j] * slice[line * strides.line + (first + j) * strides.step];
      }
      out[line * strides.outLine + i * strides.outStep] = sum;
    }
  }
  return out;
}

// A slice of `own` [h, w] at another size: "cubic" for intensities, "linear" for probabilities.
export function resized(slice, [h, w], [height, width], how) {
  const [filter, reach] = how === "cubic" ? [cubic, 4] : [triangle, 2];
  const wide = along(
    slice, h, w, width, { line: w, step: 1, outLine: width, outStep: 1 },
    weights(w, width, filter, reach),
  );
  const out = along(
    wide, width, h, height, { line: 1, step: width, outLine: 1, outStep: width },
    weights(h, height, filter, reach),
  );
  return how === "cubic" ? out : out.map((value) => Math.min(1, Math.max(0, value)));
}
