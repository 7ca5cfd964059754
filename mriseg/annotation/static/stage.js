// The scan in NiiVue: images, probabilities, the mask (NiiVue's drawing), planes, zoom and window.
// NiiVue draws, and hears of no pointer and no key: `hand.js` has those.
import { AXES, AXIAL, History, fullest, place } from "./voxels.js";

const MULTIPLANAR = 3;
// Parts of the stage, from the left and the top: one plane large, the others beside or below it.
const WIDE = [[0.01, 0.02, 0.6, 0.96], [0.63, 0.02, 0.36, 0.47], [0.63, 0.51, 0.36, 0.47]];
const ONE = [[0.02, 0.02, 0.96, 0.96]];
const TALL = [[0.02, 0.01, 0.96, 0.62], [0.02, 0.65, 0.47, 0.34], [0.51, 0.65, 0.47, 0.34]];
const PLANE_NAMES = ["axial", "coronal", "sagittal"];

export class Stage {
  // hooks: changed(what), moved(), failed(sentence).
  constructor(canvas, hooks) {
    this.canvas = canvas;
    this.hooks = hooks;
    this.plane = AXIAL;
    this.look = { outline: false, opacity: 0.5, hidden: false, probability: null, shade: 0.6 };
    this.volumes = new Map();
    this.waiting = new Map();
    this.regions = [];
    this.readOnly = false;
    this.history = null;
    this.image = null;
    this.frame = null;
  }

  async start() {
    const { Niivue, NVImage } = window.niivue;
    this.NVImage = NVImage;
    this.nv = new Niivue({
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      showAllOrientationMarkers: true,
      crosshairColor: [0.34, 0.71, 0.91, 0.7],
      crosshairWidth: 0.5,
      crosshairGap: 6,
      fontColor: [1, 1, 1, 1],
      multiplanarForceRender: false,
      multiplanarShowRender: 0,
      dragAndDropEnabled: false,
      interactive: false,
      loadingText: "",
      logLevel: "silent",
    });
    this.nv.onLocationChange = () => this.hooks.moved();
    // `History` undoes and redoes; NiiVue's own steps would cost time with every stroke.
    this.nv.drawAddUndoBitmap = () => {};
    await this.nv.attachToCanvas(this.canvas);
    // NiiVue draws after every change; several changes at once need one drawing.
    this.draw = this.nv.drawScene.bind(this.nv);
    this.nv.drawScene = () => this.soon("scene", this.draw);
  }

  // --- what is shown -----------------------------------------------------------------------------

  async read(key, bytes, options = {}) {
    if (!this.volumes.has(key)) {
      const file = new File([bytes], `${key}.nii.gz`);
      const volume = await this.NVImage.loadFromFile({ file, name: `${key}.nii.gz`, ...options });
      this.volumes.set(key, volume);
    }
    return this.volumes.get(key);
  }

  has(key) {
    return this.volumes.has(key);
  }

  // A case: its first image and its mask, as bytes of NIfTI files. regions have colours [r, g, b].
  async open(name, window, image, mask, regions) {
    this.volumes.clear();
    this.nv.closeDrawing();
    this.look.probability = null;
    this.readOnly = false;
    this.regions = regions;
    this.colours();
    await this.showImage(name, window, image);
    await this.setMask(mask);
    this.begin();
    this.resetView();
    this.toFullest();
  }

  async showImage(name, window, bytes) {
    const [low, high] = window;
    const image = await this.read(`image ${name}`, bytes, {
      colormap: "gray", cal_min: low, cal_max: high,
    });
    image.window ??= { low, high };
    this.image = image;
    this.show();
  }

  async setMask(bytes) {
    this.volumes.delete("mask");
    const volume = await this.read("mask", bytes);
    this.volumes.delete("mask");
    if (!this.nv.loadDrawing(volume)) {
      throw new Error("the mask is not on the grid of the image");
    }
    this.drawLook();
  }

  showProbability(index, map) {
    this.look.probability = index;
    this.map = map;
    this.show();
  }

  async readProbability(index, bytes) {
    const [red, green, blue] = this.regions[index].colour;
    const ramp = `probability${index}`;
    this.nv.addColormap(ramp, {
      R: [red, red, 255], G: [green, green, 255], B: [blue, blue, 255], A: [0, 160, 255],
      I: [0, 128, 255],
    });
    const options = { colormap: ramp, cal_min: 0, cal_max: 1 };
    return this.read(`probability ${index}`, bytes, options);
  }

  show() {
    const map = this.look.probability === null ? null : this.map;
    if (map) map.opacity = this.look.hidden ? 0 : this.look.shade;
    this.nv.volumes = map ? [this.image, map] : [this.image];
    this.nv.back = this.image;
    this.nv.overlays = map ? [map] : [];
    this.nv.updateGLVolume();
    this.hooks.moved();
  }

  colours() {
    const columns = [0, 1, 2].map((part) => [0, ...this.regions.map(({ colour }) => colour[part])]);
    const labels = ["", ...this.regions.map(({ name }) => name)];
    const [R, G, B] = columns;
    this.nv.setDrawColormap({
      R, G, B, A: [0, ...this.regions.map(() => 255)], I: labels.map((_, n) => n), labels,
    });
  }

  drawLook() {
    const { outline, opacity, hidden } = this.look;
    // The inside of an outline must not be quite clear: NiiVue leaves out what is.
    this.nv.drawRimOpacity = outline && !hidden ? 1 : -1;
    this.nv.drawOpacity = hidden ? 0 : outline ? 0.004 : opacity;
    if (this.look.probability !== null) this.show();
    else this.nv.drawScene();
  }

  // --- the mask ----------------------------------------------------------------------------------

  get bitmap() {
    return this.nv.drawBitmap;
  }

  get dims() {
    return Array.from(this.image.dimsRAS.slice(1, 4));
  }

  get spacing() {
    return Array.from(this.image.pixDimsRAS.slice(1, 4));
  }

  // The mask as it is now is the one that was saved.
  begin() {
    this.history = new History(this.bitmap);
  }

  // What was drawn becomes one step that can be undone.
  commit(what) {
    const count = this.history.commit(this.bitmap, what);
    this.nv.refreshDrawing(true);
    if (count) this.hooks.changed(what);
    return count;
  }

  undo() {
    return this.step(this.history.undo(this.bitmap));
  }

  redo() {
    return this.step(this.history.redo(this.bitmap));
  }

  // An unfinished stroke is taken back.
  restore() {
    this.history.restore(this.bitmap);
    this.nv.refreshDrawing(true);
  }

  step(what) {
    this.nv.refreshDrawing(true);
    if (what) this.hooks.changed(what);
    return what;
  }

  // The mask as a NIfTI file, gzipped where the browser can.
  async bytes() {
    const bytes = await this.nv.saveImage({ isSaveDrawing: true, filename: "" });
    if (!(bytes instanceof Uint8Array)) throw new Error("the viewer could not write the mask");
    if (!window.CompressionStream) return bytes;
    const packed = new Blob([bytes]).stream().pipeThrough(new CompressionStream("gzip"));
    return new Uint8Array(await new Response(packed).arrayBuffer());
  }

  // --- places ------------------------------------------------------------------------------------

  get voxel() {
    return Array.from(this.nv.frac2vox(this.nv.scene.crosshairPos), Math.round);
  }

  moveTo(voxel) {
    const { dims } = this;
    const within = voxel.map((part, axis) => Math.min(Math.max(part, 0), dims[axis] - 1));
    this.nv.scene.crosshairPos = this.nv.vox2frac(within);
    this.nv.drawScene();
    this.hooks.moved();
  }

  toFullest() {
    this.moveTo(fullest(this.bitmap, this.dims));
  }

  slices(step, plane = this.plane) {
    const voxel = this.voxel;
    voxel[AXES[plane][2]] += step;
    this.moveTo(voxel);
  }

  // A step as seen: to the right of the picture and up. The patient's right is on its left.
  shift(right, up) {
    const [side, above] = AXES[this.plane];
    const voxel = this.voxel;
    voxel[side] -= right;
    voxel[above] += up;
    this.moveTo(voxel);
  }

  // What is under a pointer, and how many pixels of the page a mm is; null outside of the slices.
  locate(event, plane = null) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const dpr = this.nv.uiData.dpr || 1;
    const [x, y] = [(event.clientX - left) * dpr, (event.clientY - top) * dpr];
    const tile = this.nv.tileIndex(x, y);
    const slice = this.nv.screenSlices[tile];
    if (!slice || slice.axCorSag > 2 || (plane !== null && slice.axCorSag !== plane)) return null;
    const frac = this.nv.screenXY2TextureFrac(x, y, tile, false);
    const voxel = Array.from(this.nv.frac2vox(frac), Math.round);
    const pixels = Math.abs(slice.leftTopWidthHeight[2] / slice.fovMM[0]) / dpr;
    return { voxel, mm: this.nv.frac2mm(frac), plane: slice.axCorSag, pixels };
  }

  // --- view --------------------------------------------------------------------------------------

  setPlanes(type) {
    if (type !== MULTIPLANAR) this.plane = type;
    this.planes = type;
    const { clientWidth, clientHeight } = this.canvas;
    const three = clientWidth > clientHeight ? WIDE : TALL;
    const parts = type === MULTIPLANAR ? three : ONE;
    this.nv.setCustomLayout(parts.map((position, part) => (
      { sliceType: type === MULTIPLANAR ? part : type, position })));
    this.nv.setSliceType(type);
    this.hooks.moved();
  }

  // By shares of the range that is shown at first.
  window(wider, brighter) {
    const { image } = this;
    const range = image.window.high - image.window.low;
    const width = Math.max(image.cal_max - image.cal_min + wider * range, range / 500);
    const level = (image.cal_max + image.cal_min) / 2 - brighter * range;
    this.setWindow(level - width / 2, level + width / 2);
  }

  setWindow(low, high) {
    this.image.cal_min = low;
    this.image.cal_max = high;
    this.soon("window", () => {
      this.nv.refreshLayers(this.image, 0);
      this.nv.drawScene();
      this.hooks.moved();
    });
  }

  // Moves the picture with a pointer, from one place in the world to another.
  pan(from, to) {
    const [x, y, z, zoom] = this.nv.scene.pan2Dxyzmm;
    const moved = [x, y, z].map((part, axis) => part + zoom * (to[axis] - from[axis]));
    this.nv.setPan2Dxyzmm([...moved, zoom]);
  }

  zoom(factor) {
    const pan = Array.from(this.nv.scene.pan2Dxyzmm);
    const zoom = Math.min(Math.max(pan[3] * factor, 0.5), 20);
    const change = pan[3] - zoom;
    const at = this.nv.frac2mm(this.nv.scene.crosshairPos);
    this.nv.setPan2Dxyzmm([0, 1, 2].map((axis) => pan[axis] + change * at[axis]).concat(zoom));
  }

  resetView() {
    const { low, high } = this.image.window;
    this.nv.setPan2Dxyzmm([0, 0, 0, 1]);
    this.setWindow(low, high);
  }

  // At most once per frame: a pointer says more.
  soon(what, act) {
    this.waiting.delete(what);
    this.waiting.set(what, act);
    this.frame ??= requestAnimationFrame(() => this.onFrame());
  }

  // What was asked for, and what that asked for in turn, such as the drawing of the scene.
  onFrame() {
    this.frame = null;
    for (let round = 0; round < 3 && this.waiting.size; round++) {
      const acts = [...this.waiting.values()];
      this.waiting.clear();
      acts.forEach((act) => act());
    }
  }

  // --- words -------------------------------------------------------------------------------------

  where() {
    const { dims, voxel } = this;
    const said = PLANE_NAMES.map((name, plane) => {
      const across = AXES[plane][2];
      return `${name} ${voxel[across] + 1}/${dims[across]}`;
    });
    const mm = Array.from(this.nv.frac2mm(this.nv.vox2frac(voxel))).slice(0, 3);
    return { said, voxel, mm, value: this.image.getValue(...voxel) };
  }

  labelAt(voxel) {
    return this.bitmap ? this.bitmap[place(this.dims, voxel)] : 0;
  }

  probabilityAt(voxel) {
    return this.look.probability === null ? null : this.map.getValue(...voxel);
  }
}
