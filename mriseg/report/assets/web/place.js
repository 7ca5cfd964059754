// Where an image lies: how its axes become the canonical ones (z up, y to the back, x to the left),
// and whether two images lie on one grid. As mriseg.core.orientation, .volume and io.readers.loading.
import { column, determinant, length, moved, nearestRotation } from "./numbers.js";

const SMALLEST_VOXEL = 1e-6, LARGEST_VOXEL = 1e6, SINGULAR = 1e-6;
// In mm; and, of files with other axes, in voxels.
const SAME_GRID = 0.01, SAME_VOXEL = 0.5;

export function sides(shape) {
  return shape.join(" x ");
}

// What makes an affine unusable, as the end of a sentence; empty if it is usable.
export function affineFault(affine) {
  if (!affine.flat().every(Number.isFinite)) return "is not finite";
  const sizes = [0, 1, 2].map((j) => length(column(affine, j)));
  const small = Math.min(...sizes), large = Math.max(...sizes);
  if (!(SMALLEST_VOXEL < small && large < LARGEST_VOXEL)) {
    return `gives voxels a size of ${sides(sizes.map((size) => Number(size.toPrecision(6))))}`;
  }
  const units = affine.slice(0, 3).map((row) => sizes.map((size, j) => row[j] / size));
  return Math.abs(determinant(units)) < SINGULAR ? "is singular (two of its axes are parallel)" : "";
}

// For each axis of the file, the axis of the world nearest to it and whether it runs along it.
function nearestAxes(affine) {
  const sizes = [0, 1, 2].map((j) => length(column(affine, j)));
  const rotation = nearestRotation(affine.slice(0, 3).map((row) => sizes.map((s, j) => row[j] / s)));
  const closeness = [0, 1, 2].map((j) => Math.max(...column(rotation, j).map((value) => value ** 2)));
  const free = [0, 1, 2], nearest = [];
  for (const axis of [0, 1, 2].sort((a, b) => closeness[b] - closeness[a])) {
    const sizeOf = (world) => Math.abs(rotation[world][axis]);
    const world = free.reduce((best, next) => (sizeOf(next) > sizeOf(best) ? next : best));
    free.splice(free.indexOf(world), 1);
    nearest[axis] = [world, rotation[world][axis] > 0];
  }
  return nearest;
}

// A geometry: shape and affine of the file; axes and flips, for each canonical axis (z, y, x), which
// axis of the file it is and whether that runs the other way.
export function geometryOf(shape, affine, ndim) {
  const nearest = nearestAxes(affine);
  const source = [];
  nearest.forEach(([world], axis) => { source[world] = axis; });
  let axes = [source[2], source[1], source[0]];
  // A single slice has its third axis first, whatever that is in the body.
  if (ndim === 2) axes = [2, ...axes.filter((axis) => axis !== 2)];
  const along = (k) => nearest[axes[k]][1];
  const flips = ndim === 2 ? [false, along(1), along(2)] : [!along(0), along(1), along(2)];
  return { shape, affine, ndim, axes, flips };
}

export function canonicalShape({ shape, axes }) {
  return axes.map((axis) => shape[axis]);
}

// Voxel size along the canonical axes (z, y, x), in mm.
export function spacing({ affine, axes }) {
  return axes.map((axis) => length(column(affine, axis)));
}

export function voxelVolume({ affine }) {
  return Math.abs(determinant(affine));
}

// For each canonical axis, the step in the file's voxels (its first axis the fastest); and the start.
function steps({ shape, axes, flips }) {
  const own = [1, shape[0], shape[0] * shape[1]];
  let start = 0;
  const each = axes.map((axis, k) => {
    if (flips[k]) start += (shape[axis] - 1) * own[axis];
    return flips[k] ? -own[axis] : own[axis];
  });
  return { start, each };
}

function walk(geometry, visit) {
  const [depth, height, width] = canonicalShape(geometry);
  const { start, each: [dz, dy, dx] } = steps(geometry);
  let place = 0;
  for (let z = 0; z < depth; z++) {
    for (let y = 0; y < height; y++) {
      let from = start + z * dz + y * dy;
      for (let x = 0; x < width; x++, from += dx) visit(place++, from);
    }
  }
}

// Voxels in the file's order as canonical ones [z, y, x], and back.
export function canonical(voxels, geometry) {
  const turned = new voxels.constructor(voxels.length);
  walk(geometry, (place, from) => { turned[place] = voxels[from]; });
  return turned;
}

export function uncanonical(voxels, geometry) {
  const turned = new voxels.constructor(voxels.length);
  walk(geometry, (place, to) => { turned[to] = voxels[place]; });
  return turned;
}

// --- two grids -----------------------------------------------------------------------------------

function corners(shape) {
  const ends = shape.map((n) => [0, n - 1]);
  return ends[0].flatMap((i) => ends[1].flatMap((j) => ends[2].map((k) => [i, j, k])));
}

function canonicalCorners(geometry) {
  return corners(canonicalShape(geometry)).map((place) => {
    const voxel = [];
    geometry.axes.forEach((axis, k) => {
      voxel[axis] = geometry.flips[k] ? geometry.shape[axis] - 1 - place[k] : place[k];
    });
    return moved(geometry.affine, voxel);
  });
}

function apart(ones, others) {
  return Math.max(...ones.map((one, k) => length(one.map((value, i) => value - others[k][i]))));
}

function same(ones, others) {
  return ones.every((value, k) => value === others[k]);
}

// The voxels of a file, in the order of another of its case; what is unusual about that is a notice.
// Throws an Error with a sentence where the two have different shapes.
export function ontoGrid(voxels, own, grid, name) {
  const nearest = SAME_VOXEL * Math.min(...spacing(grid));
  const turned = !same([...own.axes, ...own.flips], [...grid.axes, ...grid.flips]);
  if (
    turned && same(canonicalShape(own), canonicalShape(grid)) &&
    apart(canonicalCorners(own), canonicalCorners(grid)) < nearest
  ) {
    const notice = `The axes of ${name} differ from those of its case; it was reoriented.`;
    return { voxels: uncanonical(canonical(voxels, own), grid), notices: [notice] };
  }
  if (!same(own.shape, grid.shape)) {
    throw new Error(
      `${name} has the shape ${sides(own.shape)}, but the first image has ${sides(grid.shape)}. ` +
      `Bring all images of the case onto one grid first.`,
    );
  }
  const place = (geometry) => corners(geometry.shape).map((voxel) => moved(geometry.affine, voxel));
  const distance = apart(place(own), place(grid));
  if (!(distance > SAME_GRID)) return { voxels, notices: [] };
  return {
    voxels,
    notices: [
      `The affine of ${name} differs from that of the first image (by up to ` +
      `${Number(distance.toPrecision(3))} mm); the arrays have the same shape and are assumed to ` +
      `be aligned.`,
    ],
  };
}
