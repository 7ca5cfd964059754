// The tools beside the scan: they show what is chosen, and hand on what is asked.
import * as server from "./server.js";
import { element, notice, question } from "./talk.js";
import { paintOrder, regionCounts, threshold } from "./voxels.js";

const LOOKS = ["filled", "outline"];

export class Panel {
  constructor(form, stage, hand, desk, failed) {
    Object.assign(this, { form, stage, hand, desk, failed });
    this.thresholds = [];
    this.byHand = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => this.input(event.target));
    form.addEventListener("change", (event) => this.change(event.target));
  }

  control(name) {
    return this.form.elements.namedItem(name);
  }

  // --- a case ------------------------------------------------------------------------------------

  opened(info) {
    this.thresholds = info.thresholds.slice();
    this.maps = null;
    this.byHand = false;
    this.hand.region = Math.min(this.hand.region, info.regions.length - 1);
    this.drawRegions(info.regions);
    this.drawModalities(info);
    this.control("probability").checked = false;
    this.control("probability").disabled = !info.has_probabilities;
    this.control("planes").value = info.flat ? "0" : this.control("planes").value;
    this.stage.setPlanes(Number(this.control("planes").value));
    document.getElementById("thresholds").disabled = !info.has_probabilities;
    document.getElementById("threshold-note").textContent = info.has_probabilities
      ? "Makes the mask again from the probabilities."
      : "No probabilities of this case are kept.";
    this.showThreshold();
    this.showLook();
  }

  drawRegions(regions) {
    const box = document.getElementById("regions");
    const legend = box.querySelector("legend");
    box.replaceChildren(legend, ...regions.map((region, index) => {
      const label = element("label", "region");
      const radio = element("input");
      Object.assign(radio, { type: "radio", name: "region", value: index });
      radio.checked = index === this.hand.region;
      const swatch = element("span", "swatch");
      swatch.style.background = `rgb(${region.colour})`;
      label.append(radio, swatch, element("span", "name", region.name), element("output", "amount"));
      return label;
    }));
  }

  drawModalities(info) {
    const box = document.getElementById("modalities");
    box.replaceChildren(...info.modalities.map(({ name }, index) => {
      const label = element("label");
      const radio = element("input");
      Object.assign(radio, { type: "radio", name: "modality", value: index, checked: index === 0 });
      radio.addEventListener("change", () => this.modality(index));
      const text = element("span", "", `${name} `);
      if (index < 9) text.append(element("kbd", "", String(index + 1)));
      label.append(radio, text);
      return label;
    }));
  }

  amounts() {
    const { stage, desk } = this;
    if (!desk.case) return;
    const [x, y, z] = stage.spacing;
    regionCounts(stage.bitmap, stage.regions).forEach((count, index) => {
      const output = this.form.querySelectorAll("#regions output")[index];
      output.textContent = desk.case.mm
        ? `${((count * x * y * z) / 1000).toFixed(2)} mL` : `${count} voxels`;
    });
    this.form.querySelector("[data-do=undo]").disabled = !stage.history.past.length;
    this.form.querySelector("[data-do=redo]").disabled = !stage.history.future.length;
  }

  // --- controls ----------------------------------------------------------------------------------

  input(target) {
    const { stage, hand } = this;
    if (target.name === "size") this.resize(0);
    if (target.name === "opacity") {
      stage.look.opacity = Number(target.value) / 100;
      if (stage.image) stage.soon("look", () => stage.drawLook());
    }
    if (target.name === "tool") this.tool(target.value);
    if (target.name === "region") this.region(Number(target.value) - hand.region);
    if (target.name === "threshold") this.slide();
  }

  change(target) {
    const { stage } = this;
    if (target.name === "planes") stage.setPlanes(Number(target.value));
    if (target.name === "look") this.look(target.value);
    if (target.name === "probability") this.probability(target.checked);
    if (target.name === "threshold") this.settle();
  }

  tool(name) {
    this.hand.tool = name;
    for (const radio of this.control("tool")) radio.checked = radio.value === name;
    this.stage.canvas.parentElement.dataset.tool = name;
    this.hand.ring.hidden = true;
  }

  resize(step) {
    const slider = this.control("size");
    slider.value = Number(slider.value) + step;
    this.hand.size = Number(slider.value);
    document.getElementById("size-value").textContent = slider.value;
  }

  region(step) {
    const count = this.stage.regions.length;
    if (!count) return;
    this.hand.region = (this.hand.region + step + count) % count;
    this.form.querySelectorAll("[name=region]")[this.hand.region].checked = true;
    this.showThreshold();
    if (this.stage.look.probability !== null) this.probability(true);
  }

  fade(step) {
    const slider = this.control("opacity");
    slider.value = Number(slider.value) + step;
    this.input(slider);
  }

  look(name) {
    this.stage.look.outline = name === "outline";
    this.showLook();
  }

  turnLook() {
    this.look(LOOKS[this.stage.look.outline ? 0 : 1]);
  }

  showLook() {
    const { look } = this.stage;
    for (const radio of this.control("look")) radio.checked = (radio.value === "outline") === look.outline;
    look.opacity = Number(this.control("opacity").value) / 100;
    if (this.stage.image) this.stage.drawLook();
  }

  turnPlanes() {
    const select = this.control("planes");
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    this.stage.setPlanes(Number(select.value));
  }

  async modality(index) {
    const { desk, stage } = this;
    const chosen = desk.case?.modalities[index];
    if (!chosen) return;
    const { id } = desk.case;
    try {
      const key = `image ${chosen.name}`;
      const bytes = stage.has(key) ? null : (await server.image(id, chosen.name)).bytes;
      if (desk.case.id !== id) return;
      await stage.showImage(chosen.name, chosen.window, bytes);
      desk.case.modality = chosen.name;
      document.querySelectorAll("[name=modality]")[index].checked = true;
    } catch (error) {
      this.failed(error);
    }
  }

  // --- probabilities and threshold ---------------------------------------------------------------

  async map(index) {
    const { desk, stage } = this;
    const { id } = desk.case;
    const key = `probability ${index}`;
    const bytes = stage.has(key) ? null : (await server.probability(id, index)).bytes;
    if (desk.case.id !== id) throw new Error("another case was opened meanwhile");
    return stage.readProbability(index, bytes);
  }

  async probability(on) {
    const { desk, stage, hand } = this;
    if (!desk.case?.has_probabilities) {
      if (desk.case) notice("No probabilities of this case are kept.");
      return;
    }
    try {
      const map = on ? await this.map(hand.region) : null;
      stage.showProbability(on ? hand.region : null, map);
      this.control("probability").checked = on;
    } catch (error) {
      this.failed(error);
    }
  }

  showThreshold() {
    const value = this.thresholds[this.hand.region] ?? 0.5;
    this.control("threshold").value = value;
    document.getElementById("threshold-value").textContent = value.toFixed(2);
  }

  // While it moves, the mask follows; the whole movement is one step to undo.
  async slide() {
    const { stage, hand, desk } = this;
    const value = Number(this.control("threshold").value);
    document.getElementById("threshold-value").textContent = value.toFixed(2);
    if (stage.readOnly || !desk.case?.has_probabilities) return;
    if (this.asking) return;
    if (this.byHand) {
      if (!(await this.mayReplace())) return;
      // The question ended the movement.
      this.commits = true;
    }
    this.thresholds[hand.region] = Number(this.control("threshold").value);
    await this.remake();
  }

  async mayReplace() {
    this.asking = true;
    const answer = await question(
      "Replace your edits?",
      "A threshold makes the whole mask again from the probabilities, and what you drew is replaced. Undo (Z) brings it back.",
      [{ label: "Replace them", value: true }, { label: "Keep my edits", value: false, main: true }],
    );
    this.asking = false;
    if (answer) this.byHand = false;
    else this.showThreshold();
    return answer;
  }

  async remake() {
    const { stage, desk } = this;
    const { id } = desk.case;
    try {
      this.maps ??= await Promise.all(stage.regions.map(async (_, index) => (await this.map(index)).img));
      if (desk.case.id !== id) return;
      stage.soon("threshold", () => {
        if (desk.case.id !== id) return;
        threshold(stage.bitmap, this.maps, this.thresholds, paintOrder(stage.regions));
        stage.nv.refreshDrawing(true);
        if (this.commits) {
          this.commits = false;
          stage.commit("threshold");
        }
      });
    } catch (error) {
      this.maps = null;
      this.failed(error);
    }
  }

  async settle() {
    if (this.asking || this.stage.readOnly || !this.desk.case?.has_probabilities) return;
    this.commits = true;
    await this.slide();
  }

  async modelThreshold() {
    const { desk, hand } = this;
    if (!desk.case?.has_probabilities) return;
    this.control("threshold").value = desk.case.thresholds[hand.region];
    await this.settle();
  }

  // Edits by hand are what a threshold would replace.
  edited(what) {
    if (what !== "threshold") this.byHand = true;
    this.amounts();
  }
}
