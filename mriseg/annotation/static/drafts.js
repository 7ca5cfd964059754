// Edits that are not saved yet, kept in this tab over a reload. They belong to one case and one
// revision of its mask: after another save they would undo what was saved.
import { fromRuns, toRuns } from "./voxels.js";

const key = (id) => `mriseg draft ${location.pathname} ${id}`;

// False where the browser keeps none, or no more.
export function keep(id, revision, bitmap) {
  try {
    sessionStorage.setItem(key(id), JSON.stringify({ revision, runs: toRuns(bitmap) }));
    return true;
  } catch {
    return false;
  }
}

export function forget(id) {
  try {
    sessionStorage.removeItem(key(id));
  } catch {
    // Nothing was kept.
  }
}

export function has(id) {
  try {
    return sessionStorage.getItem(key(id)) !== null;
  } catch {
    return false;
  }
}

// "none", "restored" into the bitmap, or "outdated" where another revision was saved since.
export function restore(id, revision, bitmap) {
  let draft = null;
  try {
    draft = JSON.parse(sessionStorage.getItem(key(id)));
  } catch {
    return "none";
  }
  if (!draft) return "none";
  if (draft.revision !== revision) return "outdated";
  return fromRuns(draft.runs, bitmap) ? "restored" : "none";
}
