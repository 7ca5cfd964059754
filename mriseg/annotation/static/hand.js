// The hand on the stage: what a pointer does with each tool, and what a key does at the cross.
import { AXES, disc, fillOutline, flood, smooth, stroke } from "./voxels.js";

const PLANE_NAMES = ["axial", "coronal", "sagittal"];
const DRAWING = ["pen", "eraser", "outline", "fill"];
// Pixels of a drag over which the window becomes as wide again.
const DRAG = 300;
// A wheel's step in pixels, where a trackpad says many small ones.
const NOTCH = 40;

export class Hand {
  constructor(stage, failed) {
    this.stage = stage;
    this.failed = failed;
    this.canvas = stage.canvas;
    this.ring = this.canvas.parentElement.querySelector(".pen-ring");
    this.tool = "move";
    this.size = 5;
    this.region = 0;
    this.gesture = null;
    this.turned = 0;
    this.listen();
  }

  get draws() {
    return !this.stage.readOnly && DRAWING.includes(this.tool);
  }

  get value() {
    return this.tool === "eraser" ? 0 : this.region + 1;
  }

  get regionName() {
    return this.stage.regions[this.region].name;
  }

  // --- at the cross, for those who draw with keys ------------------------------------------------

  applyAtCross() {
    const { stage } = this;
    if (!this.draws || !stage.image) return;
    if (this.tool === "fill") this.fill(stage.voxel, stage.plane);
    else {
      const at = stage.voxel;
      const offsets = disc(stage.spacing, stage.plane, this.diameter);
      stroke(stage.bitmap, stage.dims, at, at, stage.plane, offsets, this.value);
      stage.commit(this.tool);
    }
  }

  smoothSlice() {
    const { stage } = this;
    if (stage.readOnly || !stage.image) return;
    const slice = stage.voxel[AXES[stage.plane][2]];
    smooth(stage.bitmap, stage.dims, slice, stage.plane, this.region + 1);
    if (!stage.commit("smoothing")) {
      this.failed(`${this.regionName} is smooth already in this ${PLANE_NAMES[stage.plane]} slice.`);
    }
  }

  fill(voxel, plane) {
    const { stage } = this;
    const count = flood(stage.bitmap, stage.dims, voxel, plane, this.region + 1);
    if (count < 0) this.failed("No outline closes this place: nothing was filled.");
    else if (count) stage.commit("fill");
    else this.failed(`This is ${this.regionName} already.`);
  }

  // --- pointer -----------------------------------------------------------------------------------

  get diameter() {
    return this.tool === "outline" ? 1 : this.size;
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.drag(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.release(event));
    canvas.addEventListener("pointerleave", () => { this.ring.hidden = true; });
    canvas.addEventListener("contextmenu", (event) => event.preventDefault());
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  kind(event) {
    if (event.button === 2 || this.tool === "window") return "window";
    if (event.button === 1 || event.shiftKey) return "pan";
    if (!this.draws) return "move";
    return this.tool === "eraser" ? "pen" : this.tool;
  }

  press(event) {
    const { stage } = this;
    this.canvas.focus({ preventScroll: true });
    if (!stage.image || this.gesture) return;
    const at = stage.locate(event);
    if (!at) return;
    event.preventDefault();
    this.canvas.setPointerCapture(event.pointerId);
    stage.plane = at.plane;
    const kind = this.kind(event);
    this.gesture = { kind, plane: at.plane, x: event.clientX, y: event.clientY };
    if (kind === "move") stage.moveTo(at.voxel);
    else if (kind === "fill") this.gesture.seed = at.voxel;
    else if (kind === "pen" || kind === "outline") {
      this.gesture.points = [at.voxel];
      this.gesture.offsets = disc(stage.spacing, at.plane, this.diameter);
      this.draw(at.voxel, at.voxel);
    }
  }

  drag(event) {
    const { gesture } = this;
    this.showRing(event);
    if (!gesture) return;
    if (gesture.kind === "window") {
      this.stage.window((event.clientX - gesture.x) / DRAG, (gesture.y - event.clientY) / DRAG);
      gesture.x = event.clientX;
      gesture.y = event.clientY;
      return;
    }
    if (gesture.kind === "pan") {
      const from = this.stage.locate({ clientX: gesture.x, clientY: gesture.y }, gesture.plane);
      const to = this.stage.locate(event, gesture.plane);
      if (from && to) this.stage.pan(from.mm, to.mm);
      gesture.x = event.clientX;
      gesture.y = event.clientY;
      return;
    }
    // Fast strokes come as several places in one event.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const each of events.length ? events : [event]) this.follow(each, gesture);
  }

  follow(event, gesture) {
    const at = this.stage.locate(event, gesture.plane);
    if (!at) return;
    if (gesture.kind === "move") this.stage.moveTo(at.voxel);
    if (!gesture.points) return;
    const last = gesture.points[gesture.points.length - 1];
    if (at.voxel.every((part, axis) => part === last[axis])) return;
    gesture.points.push(at.voxel);
    this.draw(last, at.voxel);
  }

  draw(from, to) {
    const { stage, gesture: { offsets, plane } } = this;
    stroke(stage.bitmap, stage.dims, from, to, plane, offsets, this.value);
    stage.soon("drawing", () => stage.nv.refreshDrawing(true));
  }

  release(event) {
    const { gesture, stage } = this;
    if (!gesture) return;
    this.gesture = null;
    if (event.type === "pointercancel") {
      stage.restore();
      return;
    }
    if (gesture.kind === "fill") this.fill(gesture.seed, gesture.plane);
    if (!gesture.points) return;
    if (gesture.kind === "outline") {
      fillOutline(stage.bitmap, stage.dims, gesture.points, gesture.plane, this.value);
    }
    stage.commit(this.tool);
  }

  wheel(event) {
    const { stage } = this;
    if (!stage.image) return;
    event.preventDefault();
    if (event.ctrlKey || event.metaKey) {
      stage.zoom(2 ** (-event.deltaY / DRAG));
      return;
    }
    this.turned += event.deltaY / (event.deltaMode === 0 ? NOTCH : 1);
    if (Math.abs(this.turned) < 1) return;
    const step = -Math.sign(this.turned);
    this.turned = 0;
    const at = stage.locate(event);
    if (at) stage.plane = at.plane;
    stage.slices(step);
  }

  // The pen's size, around the pointer.
  showRing(event) {
    const { stage, ring } = this;
    const at = stage.image && this.draws && this.tool !== "fill" ? stage.locate(event) : null;
    ring.hidden = !at;
    if (!at) return;
    const [side, up] = AXES[at.plane];
    const size = this.diameter * Math.min(stage.spacing[side], stage.spacing[up]) * at.pixels;
    const { left, top } = this.canvas.getBoundingClientRect();
    Object.assign(ring.style, {
      width: `${size}px`, height: `${size}px`,
      left: `${event.clientX - left - size / 2}px`, top: `${event.clientY - top - size / 2}px`,
    });
  }
}
