// Parts of masks that hang together. A mask is a Uint8Array [z, y, x], not 0 inside; shapes are
// [z, y, x].

const FACES = [[0, 0, 1], [0, 1, 0], [1, 0, 0]].flatMap((s) => [s, s.map((part) => -part)]);
const TOUCHING = [-1, 0, 1].flatMap((z) => [-1, 0, 1].flatMap((y) => [-1, 0, 1].map((x) => [z, y, x])))
  .filter((step) => step.some(Boolean));

// Visits each component, in the order of their first voxels, with its voxels' places.
function eachComponent(mask, [depth, height, width], steps, visit) {
  const seen = new Uint8Array(mask.length);
  const queue = new Int32Array(mask.reduce((count, value) => count + (value ? 1 : 0), 0));
  for (let first = 0; first < mask.length; first++) {
    if (!mask[first] || seen[first]) continue;
    let filled = 1;
    queue[0] = first;
    seen[first] = 1;
    for (let next = 0; next < filled; next++) {
      const place = queue[next];
      const x = place % width, y = ((place - x) / width) % height;
      const z = (place - x - y * width) / (width * height);
      for (const [dz, dy, dx] of steps) {
        const [k, j, i] = [z + dz, y + dy, x + dx];
        if (k < 0 || k >= depth || j < 0 || j >= height || i < 0 || i >= width) continue;
        const other = i + width * (j + height * k);
        if (!mask[other] || seen[other]) continue;
        seen[other] = 1;
        queue[filled++] = other;
      }
    }
    visit(queue.subarray(0, filled));
  }
}

// The largest of the components whose voxels share faces; of equal ones the first.
export function largestComponent(mask, shape) {
  let largest = new Int32Array(0);
  eachComponent(mask, shape, FACES, (places) => {
    if (places.length > largest.length) largest = places.slice();
  });
  const kept = new Uint8Array(mask.length);
  for (const place of largest) kept[place] = 1;
  return kept;
}

// Without the components, of voxels that touch by a corner, below `share` of the largest.
export function withoutMinor(mask, shape, share) {
  if (!(share > 0)) return mask;
  const components = [];
  eachComponent(mask, shape, TOUCHING, (places) => components.push(places.slice()));
  const largest = components.reduce((most, places) => Math.max(most, places.length), 0);
  const kept = new Uint8Array(mask.length);
  for (const places of components) {
    if (places.length < share * largest) continue;
    for (const place of places) kept[place] = 1;
  }
  return kept;
}

// Fills what is enclosed within its slice, in place: what no path of shared edges leads out of.
export function fillHoles(mask, [depth, height, width]) {
  const outside = new Uint8Array(height * width), queue = new Int32Array(height * width);
  for (let z = 0; z < depth; z++) {
    const slice = mask.subarray(z * height * width, (z + 1) * height * width);
    outside.fill(0);
    let filled = 0;
    const reach = (place) => {
      if (slice[place] || outside[place]) return;
      outside[place] = 1;
      queue[filled++] = place;
    };
    for (let x = 0; x < width; x++) [x, x + width * (height - 1)].forEach(reach);
    for (let y = 0; y < height; y++) [width * y, width * y + width - 1].forEach(reach);
    for (let next = 0; next < filled; next++) {
      const place = queue[next], x = place % width;
      if (x > 0) reach(place - 1);
      if (x < width - 1) reach(place + 1);
      if (place >= width) reach(place - width);
      if (place < width * (height - 1)) reach(place + width);
    }
    for (let place = 0; place < slice.length; place++) slice[place] = outside[place] ? 0 : 1;
  }
}

// --- opening -------------------------------------------------------------------------------------

// Whether all (`every`) or any of the voxels within 2 of each, along one axis, are inside; beyond the
// volume nothing is.
function within2(mask, [depth, height, width], axis, every) {
  const out = new Uint8Array(mask.length);
  const stride = axis === 2 ? 1 : width, size = axis === 2 ? width : height;
  const lines = mask.length / size;
  for (let line = 0; line < lines; line++) {
    const start = axis === 2 ? line * width : (line % width) + Math.floor(line / width) * width * height;
    for (let k = 0; k < size; k++) {
      let count = 0;
      for (let near = Math.max(0, k - 2); near <= Math.min(size - 1, k + 2); near++) {
        if (mask[start + near * stride]) count += 1;
      }
      out[start + k * stride] = every ? Number(count === 5) : Number(count > 0);
    }
  }
  return out;
}

// Two erosions and two dilations by 3 x 3 pixels, slice by slice.
export function opened(mask, shape) {
  let out = mask;
  for (const every of [true, false]) for (const axis of [2, 1]) out = within2(out, shape, axis, every);
  return out;
}
