// What the name of a file says of its image, by the words of mriseg.core.filenames. It says less than
// that module: where it is not sure, the user is asked.

const JOINERS = new Set([
  "to", "2", "in", "into", "on", "onto", "reg", "regto", "registered", "coreg", "aligned", "space",
]);

export function stem(name) {
  return name.replace(/\.nii(\.gz)?$/i, "");
}

// `words`: word -> [kind, modality], see mriseg.core.filenames.word_meanings; `reads`: the model's
// modalities. Returns { modality, why }: no modality where the name does not say for sure.
export function readName(name, words, reads) {
  const parts = stem(name).toLowerCase().split(/[\s_.\-]+/).filter(Boolean);
  const own = new Map(reads.map((modality) => [modality.toLowerCase(), ["modality", modality]]));
  const meanings = parts.map((part) => words[part] ?? own.get(part) ?? ["", ""]);
  const kinds = new Set(meanings.map(([kind]) => kind));
  if (kinds.has("mask") || kinds.has("lesion")) {
    return { modality: null, why: "its name is that of a mask", isMask: true };
  }
  if (kinds.has("other")) {
    return { modality: null, why: "its name is that of another sequence or map" };
  }
  const named = meanings.filter(([kind]) => kind === "modality");
  const stated = new Set(named.map(([, value]) => value));
  if (!stated.size) return { modality: null, why: "its name states no modality" };
  if (parts.some((part) => JOINERS.has(part)) || kinds.has("post")) {
    return { modality: null, why: "its name can be read in several ways" };
  }
  if (stated.size === 2 && stated.has("T2") && stated.has("FLAIR")) stated.delete("T2");
  if (stated.size > 1) {
    return { modality: null, why: `its name holds ${[...stated].sort().join(" and ")}` };
  }
  const [modality] = stated;
  if (kinds.has("contrast") && modality === "T1") {
    return { modality: null, why: "its name may be that of a T1 with or without contrast" };
  }
  return { modality, why: "" };
}
