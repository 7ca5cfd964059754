// NIfTI-1 and NIfTI-2 in one file, gzipped or not: what mriseg.io.nifti reads, by the same rules.
// Errors are sentences that begin with the name of the file.
import { cross, length } from "./numbers.js";
import { affineFault, geometryOf, sides } from "./place.js";

const LARGEST_OFFSET = 2 ** 26;
// Voxels of one file, beyond which a browser's memory is not enough.
const MOST_VOXELS = 2 ** 28;
// With more of its voxels not finite, no brain is left.
const MOST_NOT_FINITE = 0.995;

const KINDS = {
  2: ["Uint8", 1], 4: ["Int16", 2], 8: ["Int32", 4], 16: ["Float32", 4], 64: ["Float64", 8],
  256: ["Int8", 1], 512: ["Uint16", 2], 768: ["Uint32", 4], 1024: ["BigInt64", 8],
  1280: ["BigUint64", 8],
};
const COMPLEX = [32, 1792, 2048], COLOURS = [1, 128, 2304];

// --- bytes ---------------------------------------------------------------------------------------

function isPacked(bytes) {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

// The unpacked bytes of a file, until `enough(bytes, count)` says how many are wanted. A gzip file is
// read to its end all the same, where its checksum is compared.
async function unpacked(file, wanted) {
  const packed = isPacked(new Uint8Array(await file.slice(0, 2).arrayBuffer()));
  if (!packed) {
    const head = new Uint8Array(await file.slice(0, 540).arrayBuffer());
    return new Uint8Array(await file.slice(0, wanted(head)).arrayBuffer());
  }
  const reader = file.stream().pipeThrough(new DecompressionStream("gzip")).getReader();
  let bytes = new Uint8Array(2 ** 16), count = 0, size = null, beyond = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const all = count + value.length;
      if (size === null && all > bytes.length) bytes = grown(bytes, all);
      const kept = size === null ? value : value.subarray(0, Math.max(0, size - count));
      bytes.set(kept, count);
      count += kept.length;
      beyond += value.length - kept.length;
      if (size === null && count >= 540) {
        size = wanted(bytes.subarray(0, 540));
        const first = bytes.subarray(0, Math.min(count, size));
        bytes = new Uint8Array(size);
        bytes.set(first);
        count = first.length;
      }
      if (beyond > LARGEST_OFFSET) break;
    }
  } catch (error) {
    if (error.isSentence) throw error;
    throw sentence(
      `${file.name} is a damaged or truncated gzip file, or has several parts, which browsers do ` +
      `not unpack: unpack it first.`,
    );
  }
  if (size === null) wanted(bytes.subarray(0, count));
  return bytes.subarray(0, count);
}

function grown(bytes, least) {
  const larger = new Uint8Array(Math.max(least, 2 * bytes.length));
  larger.set(bytes);
  return larger;
}

export function sentence(text) {
  const error = new Error(text);
  error.isSentence = true;
  return error;
}

// --- the header ----------------------------------------------------------------------------------

function fieldsOf(view, two, little) {
  const real = (at) => (two ? view.getFloat64(at, little) : view.getFloat32(at, little));
  const many = (at, count, read, size) => Array.from({ length: count }, (_, k) => read(at + k * size));
  const step = two ? 8 : 4;
  const short = (at) => view.getInt16(at, little);
  const wide = (at) => Number(view.getBigInt64(at, little));
  const code = (at) => (two ? view.getInt32(at, little) : short(at));
  return {
    version: two ? 2 : 1,
    dim: two ? many(16, 8, wide, 8) : many(40, 8, short, 2),
    datatype: short(two ? 12 : 70),
    pixdim: many(two ? 104 : 76, 8, real, step),
    offset: two ? wide(168) : real(108),
    slope: real(two ? 176 : 112),
    inter: real(two ? 184 : 116),
    unit: two ? code(500) : view.getUint8(123),
    qformCode: code(two ? 344 : 252),
    sformCode: code(two ? 348 : 254),
    quaternion: many(two ? 352 : 256, 3, real, step),
    shift: many(two ? 376 : 268, 3, real, step),
    sform: [0, 1, 2].map((i) => many((two ? 400 : 280) + i * 4 * step, 4, real, step)),
  };
}

function kindOf(name, bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = (at) => String.fromCharCode(...bytes.subarray(at, at + 3));
  const two = bytes.length >= 540 && [true, false].some((little) => view.getInt32(0, little) === 540);
  const is = two ? magic(4) : bytes.length >= 348 ? magic(344) : "";
  if (is === "ni1" || is === "ni2") {
    throw sentence(`${name} is half of a .hdr/.img pair; save the image as one .nii file.`);
  }
  if (!two && is !== "n+1") throw sentence(`${name} is not a NIfTI file${hint(bytes)}.`);
  const first = (little) => (two ? Number(view.getBigInt64(16, little)) : view.getInt16(40, little));
  const counts = (little) => first(little) >= 1 && first(little) <= 7;
  return fieldsOf(view, two, counts(true) || !counts(false));
}

function hint(bytes) {
  if (!bytes.length) return " (it is empty)";
  if (isPacked(bytes)) return " (it is a gzip file inside a gzip file: unpack it once)";
  const start = new TextDecoder("latin1").decode(bytes.subarray(0, 9)).replace(/[^\x20-\x7e]/g, "?");
  const page = /^\s*(<!doctype|<html)/i.test(new TextDecoder().decode(bytes.subarray(0, 40)));
  return ` (it starts with "${start}"${page ? ": a web page?" : ""})`;
}

function fromQuaternion(name, { pixdim, quaternion: [x, y, z], shift }) {
  const sizes = pixdim.slice(1, 4), factor = pixdim[0];
  if (sizes.some((size) => size < 0)) throw damaged(name, "a voxel size is negative");
  if (factor !== 1 && factor !== -1) throw damaged(name, `qfac is ${factor}`);
  const rest = 1 - (x * x + y * y + z * z);
  // As nibabel takes it: three times the rounding of its numbers.
  const tolerance = 3 * 2 ** -23;
  if (Math.abs(rest) >= tolerance && rest < 0) throw damaged(name, "its quaternion is too long");
  const w = Math.abs(rest) < tolerance ? 0 : Math.sqrt(rest);
  const s = 2 / (w * w + x * x + y * y + z * z);
  const rows = [
    [1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y)],
    [s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x)],
    [s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)],
  ];
  const scale = [sizes[0], sizes[1], sizes[2] * factor];
  return rows.map((row, i) => [...row.map((value, j) => value * scale[j]), shift[i]]);
}

function damaged(name, why) {
  return sentence(`${name} has a damaged NIfTI header (${why}).`);
}

// The sform where it counts, else the qform, else voxel sizes around the middle: nibabel's rule.
function affineOf(name, header, shape) {
  let rows;
  if (header.sformCode !== 0) rows = header.sform;
  else if (header.qformCode !== 0) rows = fromQuaternion(name, header);
  else {
    const size = header.pixdim.slice(1, 4);
    size[0] *= -1;
    rows = size.map((value, i) => {
      const row = [0, 0, 0, (-value * ((shape[i] ?? 1) - 1)) / 2];
      row[i] = value;
      return row;
    });
  }
  const factor = { 1: 1e3, 3: 1e-3 }[header.unit & 7] ?? 1;
  rows = rows.map((row) => row.map((value) => value * factor));
  return shape.length === 2 ? withNormal(rows) : rows;
}

// A 2-D file often has no size along its third axis.
function withNormal(rows) {
  if (rows.some((row) => row[2] !== 0)) return rows;
  const normal = cross(rows.map((row) => row[0]), rows.map((row) => row[1]));
  const size = length(normal);
  return rows.map((row, i) => [row[0], row[1], size > 0 ? normal[i] / size : 0, row[3]]);
}

function shapeOf(name, { dim }) {
  const shape = dim.slice(1, dim[0] + 1);
  if (!(dim[0] >= 2 && dim[0] <= 7)) throw sentence(`${name} claims ${dim[0]} axes; expected 2 to 4.`);
  if (Math.min(...shape) < 1) {
    throw sentence(`${name} has no voxels: its header states ${sides(shape)}.`);
  }
  return shape;
}

// What the voxels after a header are, and where they lie.
export function parseHeader(name, bytes) {
  const header = kindOf(name, bytes);
  const own = shapeOf(name, header);
  const shape = [...own, 1, 1].slice(0, Math.max(3, own.length));
  while (shape.length > 3 && shape[shape.length - 1] === 1) shape.pop();
  if (shape.length > 4) throw sentence(`${name} has ${shape.length} axes; expected at most 4.`);
  const kind = KINDS[header.datatype];
  if (!kind) {
    const what = COMPLEX.includes(header.datatype) ? "complex numbers"
      : COLOURS.includes(header.datatype) ? "colours or raw bytes" : "numbers of another kind";
    throw sentence(`${name} holds ${what}; expected integers or real numbers.`);
  }
  if (!(header.offset >= 0 && header.offset <= LARGEST_OFFSET)) {
    throw damaged(name, `its voxels start at ${header.offset}`);
  }
  const affine = affineOf(name, header, own);
  const fault = affineFault(affine);
  if (fault) throw sentence(`${name} has an affine that ${fault}.`);
  const count = shape.reduce((product, n) => product * n, 1);
  if (count > MOST_VOXELS) {
    throw sentence(`${name} claims ${sides(shape)} voxels; at most ${MOST_VOXELS} fit into a page.`);
  }
  const scaled = header.slope !== 0 && Number.isFinite(header.slope);
  if (scaled && !Number.isFinite(header.inter)) throw damaged(name, "its intercept is not a number");
  const first = header.version === 2 ? 544 : 352;
  return {
    name, header, shape, count,
    kind: kind[0], bytesPerVoxel: kind[1],
    little: isLittle(bytes, header),
    offset: Math.max(Math.trunc(header.offset), first),
    slope: scaled ? header.slope : 1,
    inter: scaled ? header.inter : 0,
    geometry: geometryOf(shape.slice(0, 3), affine, own.length === 2 ? 2 : 3),
  };
}

function isLittle(bytes, { version, dim }) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return (version === 2 ? Number(view.getBigInt64(16, true)) : view.getInt16(40, true)) === dim[0];
}

// --- voxels --------------------------------------------------------------------------------------

// A file's volumes in its own order. Integers that need no scaling stay what they are, all else is
// in 32 bits. Returns { name, header, geometry, volumes, notices }.
export async function readNifti(file) {
  let stated = null;
  const bytes = await unpacked(file, (head) => {
    stated = parseHeader(file.name, head);
    return stated.offset + stated.count * stated.bytesPerVoxel;
  });
  const size = stated.count * stated.bytesPerVoxel;
  if (bytes.length < stated.offset + size) {
    throw sentence(
      `${file.name} is truncated: its header promises ${size} bytes of voxels, it holds ` +
      `${Math.max(0, bytes.length - stated.offset)}.`,
    );
  }
  const start = bytes.byteOffset + stated.offset;
  const raw = bytes.buffer.slice(start, start + size);
  if (!stated.little) swap(new Uint8Array(raw), stated.bytesPerVoxel);
  const voxels = scaled(raw, stated);
  const notices = withoutNotFinite(file.name, voxels);
  const each = stated.shape.slice(0, 3).reduce((product, n) => product * n, 1);
  const volumes = [];
  for (let at = 0; at < voxels.length; at += each) volumes.push(voxels.subarray(at, at + each));
  return { name: file.name, header: stated.header, geometry: stated.geometry, volumes, notices };
}

function swap(bytes, size) {
  for (let at = 0; size > 1 && at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

function scaled(raw, { kind, slope, inter }) {
  const types = {
    Uint8: Uint8Array, Int16: Int16Array, Int32: Int32Array, Float32: Float32Array,
    Float64: Float64Array, Int8: Int8Array, Uint16: Uint16Array, Uint32: Uint32Array,
    BigInt64: BigInt64Array, BigUint64: BigUint64Array,
  };
  let voxels = new types[kind](raw);
  const plain = slope === 1 && inter === 0;
  // No intensity needs more digits than a number of 64 bits has.
  if (kind.startsWith("Big")) voxels = Float64Array.from(voxels, Number);
  if (plain) return kind === "Float64" ? Float32Array.from(voxels) : voxels;
  return Float32Array.from(voxels, (value) => value * slope + inter);
}

// Voxels that are not numbers become the background, which is said.
function withoutNotFinite(name, voxels) {
  if (!(voxels instanceof Float32Array)) return [];
  let count = 0;
  for (let k = 0; k < voxels.length; k++) {
    if (!Number.isFinite(voxels[k])) {
      voxels[k] = 0;
      count += 1;
    }
  }
  if (!count) return [];
  if (count > MOST_NOT_FINITE * voxels.length) {
    throw sentence(`${name} holds ${count} voxels that are NaN or infinite: no brain is left.`);
  }
  return [`${name} holds ${count} voxels of NaN or infinity; taken as background.`];
}
