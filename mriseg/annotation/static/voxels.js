// Edits of a label map, without a page or a viewer: a bitmap is a Uint8Array [z, y, x] of labels with
// x fastest, 0 the background; dims are [x, y, z]. Planes are numbered as NiiVue numbers them.
export const AXIAL = 0, CORONAL = 1, SAGITTAL = 2;

// plane -> the axis that runs to the side, the one that runs up, the one across the slices.
export const AXES = [[0, 1, 2], [0, 2, 1], [1, 2, 0]];

export function place(dims, [x, y, z]) {
  return x + dims[0] * (y + dims[1] * z);
}

export function inside(dims, voxel) {
  return voxel.every((part, axis) => part >= 0 && part < dims[axis]);
}

// --- pen and outline -----------------------------------------------------------------------------

// A round pen: offsets along the plane's two axes, in voxels. Its diameter counts voxels along the
// finer axis, so that it is round in mm.
export function disc(spacing, plane, diameter) {
  const [side, up] = AXES[plane];
  const unit = Math.min(spacing[side], spacing[up]);
  const radius = (diameter * unit) / 2;
  const reach = Math.ceil(diameter / 2);
  const offsets = [];
  // An even diameter has its middle between two voxels.
  const shift = diameter % 2 ? 0 : 0.5;
  for (let b = -reach; b <= reach; b++) {
    for (let a = -reach; a <= reach; a++) {
      const right = (a + (spacing[side] === unit ? shift : 0)) * spacing[side];
      const above = (b + (spacing[up] === unit ? shift : 0)) * spacing[up];
      if (right * right + above * above <= radius * radius) offsets.push([a, b]);
    }
  }
  return offsets.length ? offsets : [[0, 0]];
}

function stamp(bitmap, dims, voxel, plane, offsets, value) {
  const [side, up] = AXES[plane];
  const at = voxel.slice();
  for (const [a, b] of offsets) {
    at[side] = voxel[side] + a;
    at[up] = voxel[up] + b;
    if (inside(dims, at)) bitmap[place(dims, at)] = value;
  }
}

// A stroke of the pen from one voxel to another, both in one slice.
export function stroke(bitmap, dims, from, to, plane, offsets, value) {
  const steps = Math.max(1, ...from.map((part, axis) => Math.abs(to[axis] - part)));
  for (let step = 0; step <= steps; step++) {
    const voxel = from.map((part, axis) => Math.round(part + ((to[axis] - part) * step) / steps));
    stamp(bitmap, dims, voxel, plane, offsets, value);
  }
}

// The inside of a closed outline through these voxels, and the outline itself.
export function fillOutline(bitmap, dims, points, plane, value) {
  const [side, up] = AXES[plane];
  const closed = [...points, points[0]];
  for (let n = 0; n < points.length; n++) {
    stroke(bitmap, dims, closed[n], closed[n + 1], plane, [[0, 0]], value);
  }
  const at = points[0].slice();
  const heights = points.map((point) => point[up]);
  for (let row = Math.min(...heights); row <= Math.max(...heights); row++) {
    const crossings = [];
    for (let n = 0; n < points.length; n++) {
      const [one, two] = [closed[n], closed[n + 1]];
      if (one[up] <= row !== two[up] <= row) {
        const share = (row - one[up]) / (two[up] - one[up]);
        crossings.push(one[side] + share * (two[side] - one[side]));
      }
    }
    crossings.sort((a, b) => a - b);
    at[up] = row;
    for (let pair = 0; pair + 1 < crossings.length; pair += 2) {
      const last = Math.floor(crossings[pair + 1]);
      for (at[side] = Math.ceil(crossings[pair]); at[side] <= last; at[side]++) {
        if (inside(dims, at)) bitmap[place(dims, at)] = value;
      }
    }
  }
}

// --- within a slice ------------------------------------------------------------------------------

// Gives what is connected with the seed in its slice, and has its label, another label. Returns how
// many voxels changed, or -1 where that is background that reaches the edge: no outline closes it.
export function flood(bitmap, dims, seed, plane, value) {
  const [side, up] = AXES[plane];
  const first = place(dims, seed);
  const old = bitmap[first];
  if (old === value) return 0;
  const steps = [1, dims[0], dims[0] * dims[1]];
  const seen = new Set([first]);
  const waiting = [[seed[side], seed[up], first]];
  while (waiting.length) {
    const [a, b, voxel] = waiting.pop();
    if (old === 0 && (a === 0 || b === 0 || a === dims[side] - 1 || b === dims[up] - 1)) return -1;
    for (const [da, db] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      const next = voxel + da * steps[side] + db * steps[up];
      const within = a + da >= 0 && a + da < dims[side] && b + db >= 0 && b + db < dims[up];
      if (!within || seen.has(next) || bitmap[next] !== old) continue;
      seen.add(next);
      waiting.push([a + da, b + db, next]);
    }
  }
  for (const voxel of seen) bitmap[voxel] = value;
  return seen.size;
}

// Smooths the outline of one label in one slice: a voxel follows most of its nine neighbours, itself
// among them. Other labels stay as they are.
export function smooth(bitmap, dims, slice, plane, value) {
  const [side, up, across] = AXES[plane];
  const at = [0, 0, 0];
  at[across] = slice;
  const read = (a, b) => {
    at[side] = Math.min(Math.max(a, 0), dims[side] - 1);
    at[up] = Math.min(Math.max(b, 0), dims[up] - 1);
    return place(dims, at);
  };
  const changes = [];
  for (let b = 0; b < dims[up]; b++) {
    for (let a = 0; a < dims[side]; a++) {
      let count = 0;
      for (let db = -1; db <= 1; db++) {
        for (let da = -1; da <= 1; da++) count += bitmap[read(a + da, b + db)] === value ? 1 : 0;
      }
      const voxel = read(a, b);
      if (bitmap[voxel] === value && count < 5) changes.push([voxel, 0]);
      else if (bitmap[voxel] === 0 && count >= 5) changes.push([voxel, value]);
    }
  }
  for (const [voxel, label] of changes) bitmap[voxel] = label;
  return changes.length;
}

// --- thresholds and regions ----------------------------------------------------------------------

// Indices of regions as they are painted: those of the most labels first, so that of nested regions
// the inner ones are on top, as in mriseg's own label maps.
export function paintOrder(regions) {
  const size = (index) => regions[index].labels?.length ?? 1;
  return regions.map((_, index) => index).sort((a, b) => size(b) - size(a) || a - b);
}

// Writes where each region's probability, a byte n for n / 255, is above its threshold.
export function threshold(bitmap, maps, thresholds, order) {
  bitmap.fill(0);
  for (const region of order) {
    const map = maps[region];
    let least = 0;
    while (least < 256 && !(least / 255 > thresholds[region])) least++;
    for (let voxel = 0; voxel < map.length; voxel++) {
      if (map[voxel] >= least) bitmap[voxel] = region + 1;
    }
  }
}

// How many voxels each region has; one that is nested in another counts there as well.
export function regionCounts(bitmap, regions) {
  const counts = new Uint32Array(256);
  for (let voxel = 0; voxel < bitmap.length; voxel++) counts[bitmap[voxel]]++;
  const holds = (outer, inner) => {
    if (outer === inner) return true;
    const [around, within] = [regions[outer].labels, regions[inner].labels];
    return Boolean(around && within && within.every((label) => around.includes(label)));
  };
  return regions.map((_, outer) =>
    regions.reduce((sum, _region, inner) => sum + (holds(outer, inner) ? counts[inner + 1] : 0), 0));
}

// The voxel to look at first: in the fullest axial slice, near the middle of what is in it.
export function fullest(bitmap, dims) {
  const size = dims[0] * dims[1];
  let [best, most] = [-1, 0];
  for (let z = 0; z < dims[2]; z++) {
    let count = 0;
    for (let voxel = z * size; voxel < (z + 1) * size; voxel++) count += bitmap[voxel] ? 1 : 0;
    if (count > most) [best, most] = [z, count];
  }
  if (best < 0) return dims.map((length) => Math.floor(length / 2));
  let [sumX, sumY] = [0, 0];
  const voxels = [];
  for (let y = 0; y < dims[1]; y++) {
    for (let x = 0; x < dims[0]; x++) {
      if (!bitmap[place(dims, [x, y, best])]) continue;
      voxels.push([x, y]);
      sumX += x;
      sumY += y;
    }
  }
  // The middle of a ring is not in it: take the voxel of the mask that is nearest.
  const [x, y] = voxels.reduce((near, voxel) => (away(voxel) < away(near) ? voxel : near));
  return [x, y, best];

  function away([a, b]) {
    return (a - sumX / most) ** 2 + (b - sumY / most) ** 2;
  }
}

// --- history -------------------------------------------------------------------------------------

const MOST_STEPS = 200, MOST_CHANGES = 30_000_000;

// Undo and redo: of each step, the voxels that it changed.
export class History {
  constructor(bitmap) {
    this.now = bitmap.slice();
    this.past = [];
    this.future = [];
    this.steps = 0;
    this.savedAt = 0;
  }

  get at() {
    return this.past.length ? this.past[this.past.length - 1].number : 0;
  }

  get dirty() {
    return this.at !== this.savedAt;
  }

  // Takes what has changed in the bitmap as one step; returns how many voxels that is.
  commit(bitmap, what) {
    const voxels = differences(this.now, bitmap);
    if (!voxels.length) return 0;
    const before = Uint8Array.from(voxels, (voxel) => this.now[voxel]);
    const after = Uint8Array.from(voxels, (voxel) => bitmap[voxel]);
    voxels.forEach((voxel, n) => { this.now[voxel] = after[n]; });
    this.steps += 1;
    this.past.push({ voxels, before, after, what, number: this.steps });
    this.future = [];
    let changes = this.past.reduce((sum, step) => sum + step.voxels.length, 0);
    while (this.past.length > 1 && (this.past.length > MOST_STEPS || changes > MOST_CHANGES)) {
      changes -= this.past.shift().voxels.length;
    }
    return voxels.length;
  }

  // Puts the bitmap back to the last step: an unfinished stroke is gone.
  restore(bitmap) {
    bitmap.set(this.now);
  }

  undo(bitmap) {
    return this.move(bitmap, this.past, this.future, "before");
  }

  redo(bitmap) {
    return this.move(bitmap, this.future, this.past, "after");
  }

  move(bitmap, from, to, side) {
    const step = from.pop();
    if (!step) return null;
    to.push(step);
    step.voxels.forEach((voxel, n) => { this.now[voxel] = step[side][n]; });
    bitmap.set(this.now);
    return step.what;
  }

  saved() {
    this.savedAt = this.at;
  }
}

function differences(one, two) {
  const words = Math.floor(one.length / 4);
  const [a, b] = [one, two].map((bytes) => new Uint32Array(bytes.buffer, bytes.byteOffset, words));
  const voxels = [];
  for (let word = 0; word < words; word++) {
    if (a[word] === b[word]) continue;
    for (let byte = word * 4; byte < word * 4 + 4; byte++) {
      if (one[byte] !== two[byte]) voxels.push(byte);
    }
  }
  for (let byte = words * 4; byte < one.length; byte++) {
    if (one[byte] !== two[byte]) voxels.push(byte);
  }
  return Uint32Array.from(voxels);
}

// --- drafts --------------------------------------------------------------------------------------

// A bitmap as runs: value, length, value, length, ...
export function toRuns(bitmap) {
  const runs = [];
  let start = 0;
  for (let voxel = 1; voxel <= bitmap.length; voxel++) {
    if (voxel < bitmap.length && bitmap[voxel] === bitmap[start]) continue;
    runs.push(bitmap[start], voxel - start);
    start = voxel;
  }
  return runs;
}

// False where the runs are not of this bitmap's length.
export function fromRuns(runs, bitmap) {
  let total = 0;
  for (let n = 1; n < runs.length; n += 2) total += runs[n];
  if (total !== bitmap.length) return false;
  let voxel = 0;
  for (let n = 0; n < runs.length; n += 2) {
    bitmap.fill(runs[n], voxel, voxel + runs[n + 1]);
    voxel += runs[n + 1];
  }
  return true;
}
