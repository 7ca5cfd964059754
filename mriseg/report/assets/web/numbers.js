// Numbers as NumPy and Python have them, and the little algebra of 3x3 matrices that places take.
// A matrix is an array of rows.

// The nearest whole number, and of two equally near ones the even one.
export function roundedEven(value) {
  const far = 1.5 * 2 ** 52;
  return Math.abs(value) < 2 ** 51 ? value + far - far : value;
}

const word = new Uint32Array(1);
const real = new Float32Array(word.buffer);

// The nearest number of 16 bits to one of 32, as a store keeps it.
export function half(value) {
  if (Math.abs(value) < 2 ** -14) return roundedEven(value * 2 ** 24) * 2 ** -24;
  real[0] = value;
  const bits = word[0];
  word[0] = ((bits + 0xfff + ((bits >>> 13) & 1)) & ~0x1fff) >>> 0;
  return Math.abs(real[0]) > 65504 ? Math.sign(value) * Infinity : real[0];
}

// The sum of what `each(add)` adds, to the last bits: the order of the numbers has no say.
export function exactSum(each) {
  let sum = 0, lost = 0;
  each((value) => {
    const next = sum + value;
    lost += Math.abs(sum) >= Math.abs(value) ? sum - next + value : value - next + sum;
    sum = next;
  });
  return sum + lost;
}

// NumPy's percentile: between two values of the sorted `values`, in proportion.
export function percentile(sorted, percent) {
  const place = ((sorted.length - 1) * percent) / 100;
  const below = Math.floor(place), above = Math.min(below + 1, sorted.length - 1);
  return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
}

// --- matrices ------------------------------------------------------------------------------------

export function column(matrix, j) {
  return [matrix[0][j], matrix[1][j], matrix[2][j]];
}

export function length(vector) {
  return Math.hypot(...vector);
}

export function cross([a, b, c], [x, y, z]) {
  return [b * z - c * y, c * x - a * z, a * y - b * x];
}

export function determinant(m) {
  const [x, y, z] = cross(column(m, 1), column(m, 2));
  return m[0][0] * x + m[1][0] * y + m[2][0] * z;
}

function transposedInverse(m) {
  const [a, b, c] = [0, 1, 2].map((j) => column(m, j));
  const columns = [cross(b, c), cross(c, a), cross(a, b)];
  const d = determinant(m);
  return [0, 1, 2].map((i) => columns.map((vector) => vector[i] / d));
}

// The rotation or reflection nearest to a matrix that is not singular (its polar factor).
export function nearestRotation(matrix) {
  let m = matrix;
  for (let step = 0; step < 100; step++) {
    const other = transposedInverse(m);
    const next = m.map((row, i) => row.map((value, j) => (value + other[i][j]) / 2));
    const moved = Math.max(...next.flat().map((value, k) => Math.abs(value - m.flat()[k])));
    m = next;
    if (moved < 1e-15) break;
  }
  return m;
}

// Where an affine, 3 or 4 rows of 4, leads a voxel.
export function moved(affine, voxel) {
  return [0, 1, 2].map(
    (i) => affine[i][0] * voxel[0] + affine[i][1] * voxel[1] + affine[i][2] * voxel[2] + affine[i][3],
  );
}
