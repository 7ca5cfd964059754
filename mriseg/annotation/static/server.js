// What the page asks of mriseg. Addresses are relative: the page's own begins with the session's token.

// A server that answers, and refuses: its own sentence is the message.
export class Refusal extends Error {
  constructor(status, answer) {
    super(answer?.error || `mriseg annotate answered with the status ${status}.`);
    this.status = status;
    this.answer = answer || {};
  }
}

// A server that does not answer.
export class Gone extends Error {
  constructor() {
    super("mriseg annotate was stopped");
  }
}

async function ask(address, options = {}) {
  let response;
  try {
    response = await fetch(address, { cache: "no-store", redirect: "error", ...options });
  } catch {
    throw new Gone();
  }
  if (response.ok) return response;
  let answer = null;
  try {
    answer = await response.json();
  } catch {
    // Not mriseg's own words: the status says it.
  }
  throw new Refusal(response.status, answer);
}

async function json(address, options) {
  return (await ask(address, options)).json();
}

const one = (id) => `api/cases/${encodeURIComponent(id)}`;
const ifMatch = (revision) => ({ "If-Match": `"${revision}"` });

export const queue = () => json("api/queue");
export const openCase = (id) => json(one(id));

export async function volume(id, path) {
  const response = await ask(`${one(id)}/${path}`);
  const revision = (response.headers.get("ETag") || "").replace(/^W\//, "").replace(/^"|"$/g, "");
  return { bytes: await response.arrayBuffer(), revision };
}

export const image = (id, name) => volume(id, `image/${encodeURIComponent(name)}.nii.gz`);
export const mask = (id) => volume(id, "mask.nii.gz");
export const probability = (id, index) => volume(id, `probability/${index}.nii.gz`);

// With no bytes, the mask is accepted as it is.
export function saveMask(id, status, revision, bytes = null) {
  return json(`${one(id)}/mask?status=${status}`, {
    method: "PUT",
    headers: { "Content-Type": "application/octet-stream", ...ifMatch(revision) },
    body: bytes,
  });
}

export const skip = (id, revision) =>
  json(`${one(id)}/skip`, { method: "POST", headers: ifMatch(revision) });
export const reopen = (id, revision) =>
  json(`${one(id)}/reopen`, { method: "POST", headers: ifMatch(revision) });

export const improveState = () => json("api/improve");
export const startImprove = () => json("api/improve", { method: "POST" });
export const cancelImprove = () => json("api/improve", { method: "DELETE" });
