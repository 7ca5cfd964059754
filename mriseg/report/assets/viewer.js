// Starts NiiVue in each section of a report that mriseg.report.viewer wrote, once it is opened.
//
// The section's JSON holds: title; mm (whether the world is in mm); slice (a single slice: its plane
// is not known to be axial); flat (few slices); first and shape, of the box (z, y, x) that is shown,
// in the whole scan; focus, the place to look at first, in the world; images {name, nifti, window,
// background}; layers {kind, nifti, regions}, where bit n of a voxel is regions[n] {index, colour,
// size}; probabilities {index, nifti, colour}. A nifti is a gzipped file in base64.
(() => {
  "use strict";

  const { Niivue, NVImage } = window.niivue;
  // Browsers allow some 16 WebGL contexts; the viewer opened first ends where more are asked for.
  const MOST = 8;
  const running = [];
  const AXIAL = 0, CORONAL = 1, SAGITTAL = 2, THREE_PLANES = 3, RENDERING = 4;

  class Viewer {
    constructor(root) {
      this.root = root;
      this.case = JSON.parse(root.querySelector("script").textContent);
      this.form = root.querySelector("form");
      this.place = root.querySelector("output");
      this.stage = root.querySelector(".viewer-stage");
      this.loaded = new Map();
      this.pending = false;
      this.colourSwatches();
      this.listen();
    }

    // --- starting and ending ---------------------------------------------------------------------

    async start() {
      const canvas = this.stage.querySelector("canvas");
      this.nv = this.root.niivue = new Niivue({
        isRadiologicalConvention: true,
        sagittalNoseLeft: true,
        showAllOrientationMarkers: true,
        isNearestInterpolation: false,
        crosshairColor: [0.34, 0.71, 0.91, 0.8],
        crosshairWidth: 0.5,
        fontColor: [1, 1, 1, 1],
        show3Dcrosshair: true,
        multiplanarForceRender: true,
        multiplanarShowRender: 1,
        multiplanarLayout: 2,
        multiplanarPadPixels: 8,
        dragAndDropEnabled: false,
        scrollRequiresFocus: true,
        loadingText: "",
        logLevel: "silent",
      });
      this.nv.onLocationChange = (location) => this.say(location);
      // NiiVue has one opacity for the outlines of all labels; here each layer has its own.
      this.nv.refreshLayers = (volume, layer) => {
        this.nv.opts.atlasOutline = volume.outline ?? 0;
        Niivue.prototype.refreshLayers.call(this.nv, volume, layer);
      };
      await this.nv.attachToCanvas(canvas);
      if (this.case.flat) this.outlineWithinSlices();
      const image = await this.image(this.control("image").value);
      const layers = await Promise.all(this.case.layers.map((layer) => this.layer(layer)));
      this.layers = layers;
      this.show([image, ...layers.map((layer) => layer.volume)]);
      this.control("planes").value = this.plane();
      this.setPlanes();
      this.setSliders();
      this.redraw();
      this.moveToFocus();
      this.root.dataset.ready = "yes";
    }

    // NiiVue counts a voxel of another slice as a neighbour. Where slices are few and thick, most of
    // a lesion would then be outline; without a step along z, its shader sees the slice alone.
    outlineWithinSlices() {
      const { gl } = this.nv;
      const set = gl.uniform4fv.bind(gl);
      gl.uniform4fv = (place, values) => {
        const steps = place === this.nv.orientShaderAtlasU.uniforms.xyzaFrac;
        set(place, steps ? [values[0], values[1], 0, values[3]] : values);
      };
    }

    end() {
      // A new canvas, as this one's context is gone.
      const canvas = this.stage.querySelector("canvas");
      const context = this.nv && this.nv.gl;
      canvas.replaceWith(canvas.cloneNode());
      if (context) context.getExtension("WEBGL_lose_context")?.loseContext();
      this.nv = this.root.niivue = null;
      this.loaded.clear();
      delete this.root.dataset.ready;
    }

    // --- volumes ---------------------------------------------------------------------------------

    load(key, nifti, options) {
      if (!this.loaded.has(key)) {
        const name = `${key}.nii.gz`;
        this.loaded.set(key, NVImage.loadFromBase64({ base64: nifti, name, ...options }));
      }
      return this.loaded.get(key);
    }

    async image(index) {
      const { nifti, window: [low, high] } = this.case.images[index];
      const image = await this.load(`image ${index}`, nifti, {
        colormap: "gray", cal_min: low, cal_max: high,
      });
      this.window(image, index);
      return image;
    }

    window(image, index) {
      const [low, high] = this.case.images[index].window;
      const width = (high - low) * 2 ** (-this.number("contrast") / 50);
      const middle = (low + high) / 2 - ((high - low) * this.number("brightness")) / 100;
      image.cal_min = middle - width / 2;
      image.cal_max = middle + width / 2;
    }

    async layer(layer) {
      const key = `${layer.kind} ${layer.regions[0].index}`;
      const volume = await this.load(key, layer.nifti, { colormap: "gray", opacity: 0 });
      // Of regions in one another, the smallest is on top; a voxel's colour is that of its top one.
      const order = layer.regions.map((region, bit) => ({ ...region, bit }));
      order.sort((a, b) => b.size - a.size);
      const colours = { R: [], G: [], B: [], A: [], I: [], labels: [] };
      for (let bits = 0; bits < 256; bits++) {
        const top = order.filter((region) => bits & (1 << region.bit)).pop();
        const [red, green, blue] = top ? top.colour : [0, 0, 0];
        colours.R.push(red);
        colours.G.push(green);
        colours.B.push(blue);
        colours.A.push(top ? 255 : 0);
        colours.I.push(bits);
        colours.labels.push("");
      }
      volume.setColormapLabel(colours);
      return { ...layer, volume, bits: volume.img.slice() };
    }

    async probability() {
      const chosen = this.control("probability")?.value;
      if (!chosen) return null;
      const { nifti, colour: [red, green, blue] } = this.case.probabilities[chosen];
      const ramp = `probability ${chosen}`;
      this.nv.addColormap(ramp, {
        R: [red, red, 255], G: [green, green, 255], B: [blue, blue, 255], A: [0, 160, 255],
        I: [0, 128, 255],
      });
      return this.load(ramp, nifti, { colormap: ramp, cal_min: 0, cal_max: 1 });
    }

    show(volumes) {
      this.nv.volumes = volumes;
      this.nv.back = volumes[0];
      this.nv.overlays = volumes.slice(1);
      this.nv.updateGLVolume();
    }

    // --- what the controls ask for ---------------------------------------------------------------

    control(name) {
      return this.form.elements.namedItem(name);
    }

    number(name) {
      const control = this.control(name);
      return control ? Number(control.value) : 0;
    }

    regionsShown() {
      const boxes = [...this.form.querySelectorAll("[name=region]")];
      return new Set(boxes.filter((box) => box.checked).map((box) => Number(box.value)));
    }

    // At most once per frame: a slider says more.
    redraw() {
      if (this.pending) return;
      this.pending = true;
      requestAnimationFrame(async () => {
        this.pending = false;
        if (this.nv) await this.draw();
      });
    }

    async draw() {
      const image = await this.image(this.control("image").value);
      const map = await this.probability();
      if (!this.nv) return;
      const shown = this.regionsShown();
      for (const layer of this.layers) {
        const on = this.control(layer.kind).checked;
        let visible = 0;
        layer.regions.forEach((region, bit) => {
          if (on && shown.has(region.index)) visible |= 1 << bit;
        });
        const { img } = layer.volume;
        layer.bits.forEach((bits, voxel) => { img[voxel] = bits & visible; });
        const opacity = this.number(`${layer.kind}-opacity`) / 100;
        // NiiVue gives an outline an opacity of its own; what is within it is left clear.
        layer.volume.opacity = layer.kind === "truth" ? 0.01 : opacity;
        layer.volume.outline = layer.kind === "truth" ? opacity : 0;
      }
      if (map) map.opacity = this.number("probability-opacity") / 100;
      const layers = this.layers.map((layer) => layer.volume);
      this.show([image, ...(map ? [map] : []), ...layers]);
      this.nv.createOnLocationChange();
      this.root.dataset.drawn = Number(this.root.dataset.drawn || 0) + 1;
    }

    setPlanes() {
      this.nv.setSliceType(Number(this.control("planes").value));
    }

    // The plane of a single slice is where it is one voxel thick.
    plane() {
      const thin = this.case.slice ? this.size.indexOf(1) : -1;
      if (thin >= 0) return [SAGITTAL, CORONAL, AXIAL][thin];
      return this.case.flat ? AXIAL : THREE_PLANES;
    }

    // --- the cross -------------------------------------------------------------------------------

    get size() {
      return this.nv.volumes[0].dimsRAS.slice(1, 4);
    }

    get voxel() {
      return Array.from(this.nv.frac2vox(this.nv.scene.crosshairPos), Math.round);
    }

    // Number of a voxel along each axis, in the whole scan as mriseg's pictures count: x from the
    // patient's right, y from the front, z from below.
    numbers([x, y, z]) {
      if (this.case.slice) return [x, y, z];
      const { first, shape } = this.case;
      return [first[2] + shape[2] - 1 - x, first[1] + shape[1] - 1 - y, first[0] + z];
    }

    moveTo(voxel) {
      const size = this.size;
      const inside = voxel.map((place, axis) => Math.min(Math.max(place, 0), size[axis] - 1));
      this.nv.scene.crosshairPos = this.nv.vox2frac(inside);
      this.nv.createOnLocationChange();
      this.nv.drawScene();
    }

    moveToFocus() {
      const place = this.nv.mm2frac(this.case.focus, 0, true);
      this.moveTo(Array.from(this.nv.frac2vox(place), Math.round));
    }

    setSliders() {
      const last = this.numbers(this.size.map((length) => length - 1));
      const first = this.numbers([0, 0, 0]);
      ["sagittal", "coronal", "axial"].forEach((name, axis) => {
        const slider = this.control(name);
        slider.min = Math.min(first[axis], last[axis]);
        slider.max = Math.max(first[axis], last[axis]);
        slider.disabled = first[axis] === last[axis];
      });
    }

    slide(name, axis) {
      const voxel = this.voxel;
      const number = this.number(name);
      const zero = this.numbers([0, 0, 0])[axis];
      const rises = this.numbers([1, 1, 1])[axis] > zero;
      voxel[axis] = rises ? number - zero : zero - number;
      this.moveTo(voxel);
    }

    say(location) {
      const voxel = this.voxel;
      const numbers = this.numbers(voxel);
      const words = ["sagittal", "coronal", "axial"].map((name, axis) => {
        this.control(name).value = numbers[axis];
        this.control(name).setAttribute("aria-valuetext", `slice ${numbers[axis]}`);
        return `${name} ${numbers[axis]}`;
      }).reverse();
      const said = [words.join(", ")];
      if (this.case.mm) said.push(this.millimetres(location.mm));
      const [x, y, z] = voxel;
      const { name, background } = this.case.images[this.control("image").value];
      const value = this.nv.volumes[0].getValue(x, y, z);
      const outside = Math.abs(value - background) < 1e-6 * Math.max(1, Math.abs(background));
      said.push(`${name} ${outside ? "outside" : Number(value.toPrecision(4))}`);
      for (const layer of this.layers || []) {
        const bits = layer.volume.getValue(x, y, z);
        const names = layer.regions.filter((_, bit) => bits & (1 << bit));
        if (names.length) {
          said.push(`${layer.kind}: ${names.map((region) => this.name(region)).join(", ")}`);
        }
      }
      const map = this.nv.volumes.find((volume) => volume.name.startsWith("probability"));
      if (map) said.push(`probability ${map.getValue(x, y, z).toFixed(2)}`);
      this.place.textContent = said.join(" \u00b7 ");
    }

    name(region) {
      const box = this.form.querySelector(`[name=region][value="${region.index}"]`);
      return box.closest("label").textContent.trim();
    }

    // Signed, not "12 mm left": many files have their origin in a corner, not in the head's middle.
    millimetres(mm) {
      return `RAS ${[0, 1, 2].map((axis) => mm[axis].toFixed(1)).join(", ")} mm`;
    }

    // --- people ----------------------------------------------------------------------------------

    colourSwatches() {
      for (const swatch of this.root.querySelectorAll(".viewer-swatch")) {
        const regions = this.case.layers.flatMap((layer) => layer.regions);
        const region = regions.find(({ index }) => index === Number(swatch.dataset.region));
        if (region) swatch.style.background = `rgb(${region.colour})`;
      }
    }

    listen() {
      this.form.addEventListener("submit", (event) => event.preventDefault());
      this.form.addEventListener("input", ({ target }) => {
        if (!this.nv || !this.layers) return;
        const axis = ["sagittal", "coronal", "axial"].indexOf(target.name);
        if (axis >= 0) this.slide(target.name, axis);
        else if (target.name === "planes") this.setPlanes();
        else this.redraw();
      });
      this.control("focus").addEventListener("click", () => {
        if (this.nv) this.moveToFocus();
      });
      // Before NiiVue hears of them: its own keys do what no help here states.
      this.stage.addEventListener("keydown", (event) => this.press(event), true);
      this.stage.addEventListener("keyup", (event) => event.stopPropagation(), true);
      // A page must scroll past a picture that nobody has clicked.
      this.stage.addEventListener("wheel", (event) => {
        if (document.activeElement !== this.stage.firstElementChild) event.stopPropagation();
      }, true);
      this.stage.addEventListener("pointerdown", () => {
        this.stage.firstElementChild.focus({ preventScroll: true });
      }, true);
    }

    press(event) {
      event.stopPropagation();
      // The patient's right is on the left of the picture, and x grows to the right of the patient.
      const steps = {
        ArrowLeft: [1, 0, 0], ArrowRight: [-1, 0, 0], ArrowUp: [0, 1, 0], ArrowDown: [0, -1, 0],
        PageUp: [0, 0, 1], PageDown: [0, 0, -1],
      };
      const step = steps[event.key];
      if (!step || !this.nv || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      const size = event.shiftKey ? 10 : 1;
      if (Number(this.control("planes").value) === RENDERING && event.key.startsWith("Arrow")) {
        const { renderAzimuth, renderElevation } = this.nv.scene;
        const [x, y] = step.map((part) => part * 5 * size);
        this.nv.setRenderAzimuthElevation(renderAzimuth - x, renderElevation + y);
        return;
      }
      this.moveTo(this.voxel.map((place, axis) => place + size * step[axis]));
    }
  }

  async function open(root) {
    const viewer = (root.viewer ??= new Viewer(root));
    if (viewer.nv || !root.open) return;
    const problem = root.querySelector(".viewer-error");
    running.push(viewer);
    if (running.length > MOST) {
      const first = running.shift();
      first.root.open = false;
      first.end();
    }
    try {
      problem.hidden = true;
      await viewer.start();
    } catch (error) {
      problem.textContent = `The viewer did not start: ${error.message}. It needs WebGL 2.`;
      problem.hidden = false;
    }
  }

  function attach(root) {
    root.addEventListener("toggle", () => open(root));
    open(root);
  }

  document.querySelectorAll("details.viewer").forEach(attach);
  // A page that makes its sections later says so at each.
  document.addEventListener("viewer", ({ target }) => attach(target));
})();
