// The NIfTI file of a mask, as mriseg.io.nifti writes it.
import { length } from "./numbers.js";

// The bytes of a mask on its scan's grid, whose header says of its place what the scan's says.
export function maskFile(labels, geometry, source) {
  const { shape, ndim } = geometry;
  const two = source.version === 2 || Math.max(...shape) > 2 ** 15 - 1;
  const first = two ? 544 : 352;
  const bytes = new Uint8Array(first + labels.length);
  bytes.set(labels, first);
  const write = writer(new DataView(bytes.buffer), two);
  const place = placed(source);
  write.sizes(ndim === 2 ? shape.slice(0, 2) : shape);
  write.reals(two ? 104 : 76, [...place.pixdim, 1, 1, 1, 1]);
  write.code(two ? 344 : 252, place.qformCode);
  write.code(two ? 348 : 254, place.sformCode);
  write.reals(two ? 352 : 256, [...place.quaternion, ...place.shift]);
  write.reals(two ? 400 : 280, place.sform.flat());
  write.unit(source.unit & 7);
  return bytes;
}

function writer(view, two) {
  const size = two ? 8 : 4;
  const real = (at, value) => (two ? view.setFloat64(at, value, true) : view.setFloat32(at, value, true));
  const reals = (at, values) => values.forEach((value, k) => real(at + k * size, value));
  const whole = (at, value) => {
    if (two) view.setBigInt64(at, BigInt(value), true);
    else view.setInt16(at, value, true);
  };
  view.setInt32(0, two ? 540 : 348, true);
  const magic = two ? "n+2\0\r\n\x1a\n" : "n+1\0";
  [...magic].forEach((sign, k) => view.setUint8((two ? 4 : 344) + k, sign.charCodeAt(0)));
  view.setInt16(two ? 12 : 70, 2, true);
  view.setInt16(two ? 14 : 72, 8, true);
  if (two) view.setBigInt64(168, 544n, true);
  else view.setFloat32(108, 352, true);
  reals(two ? 176 : 112, [1, 0]);
  return {
    reals,
    sizes: (shape) => [shape.length, ...shape, 1, 1, 1, 1, 1].slice(0, 8).forEach(
      (value, k) => whole((two ? 16 : 40) + k * (two ? 8 : 2), value),
    ),
    code: (at, value) => {
      const kept = Math.max(-(2 ** 15), Math.min(value, 2 ** 15 - 1));
      if (two) view.setInt32(at, kept, true);
      else view.setInt16(at, kept, true);
    },
    unit: (value) => (two ? view.setInt32(500, value, true) : view.setUint8(123, value)),
  };
}

// What a header says of its place; a form that holds what is no number says nothing.
function placed(source) {
  const isNumber = (values) => values.flat().every(Number.isFinite);
  let { sform, sformCode, quaternion, shift, qformCode } = source;
  let pixdim = source.pixdim.slice(0, 4);
  if (!isNumber(sform)) [sform, sformCode] = [[[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], 0];
  if (!isNumber([...quaternion, ...shift, ...pixdim])) {
    [quaternion, shift, qformCode] = [[0, 0, 0], [0, 0, 0], 0];
    const sizes = [1, ...[0, 1, 2].map((j) => length(sform.map((row) => row[j])))];
    pixdim = pixdim.map((value, k) => (Number.isFinite(value) ? value : sizes[k]));
  }
  return { sform, sformCode, quaternion, shift, qformCode, pixdim };
}
