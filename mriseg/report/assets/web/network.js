// The network of the page in onnxruntime-web, whose global `ort` is in the same worker: on the
// processor, or on a graphics card where that gives the same numbers in less time.

// Of the pixels of a slice, how many may lie on the other side of a threshold; and how far a
// probability may differ beyond rounding, where two values of a pooling window were nearly equal.
const MOST_OTHERS = 1e-3, LIMIT = 1e-3;

// parts: the bytes of onnxruntime's module and program, and of the model. config: of the page.
export async function startNetwork(parts, config) {
  const { env } = ort;
  env.logLevel = "error";
  env.wasm.proxy = false;
  // Threads take memory that is shared, which browsers allow to isolated pages alone.
  const threads = self.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;
  env.wasm.numThreads = threads;
  const module = new Blob([parts.module], { type: "text/javascript" });
  env.wasm.wasmPaths = { mjs: URL.createObjectURL(module), wasm: "onnxruntime.wasm" };
  env.wasm.wasmBinary = parts.program.buffer;
  const network = new Network(parts.model, config);
  network.threads = threads;
  network.processor = await network.session("wasm");
  return network;
}

class Network {
  constructor(model, { modalities, regions }) {
    this.model = model;
    this.channels = modalities.length;
    this.levels = regions.map(({ threshold }) => threshold);
  }

  session(provider) {
    return ort.InferenceSession.create(this.model, { executionProviders: [provider] });
  }

  // Probabilities [r, h, w] of a slice of z-scores [m, h, w].
  async run(session, slice, h, w) {
    const m = this.channels;
    const tensor = (type, data, shape) => new ort.Tensor(type, data, shape);
    const given = {
      image: tensor("float32", slice, [1, m, h, w]),
      mean: tensor("float32", new Float32Array(m), [1, m]),
      std: tensor("float32", new Float32Array(m).fill(1), [1, m]),
      foreground: tensor("uint8", new Uint8Array(h * w).fill(1), [1, h, w]),
    };
    const { probabilities } = await session.run(given);
    const data = await probabilities.getData();
    const values = Float32Array.from(data);
    probabilities.dispose();
    return values;
  }

  // Decides what computes a case, by one of its slices. wish: "auto", "processor" or "card".
  // Returns a notice, or nothing.
  async choose(wish, slice, h, w) {
    this.card = null;
    if (wish === "processor") return "";
    const why = await this.whyNoCard(wish, slice, h, w);
    if (why && this.card) {
      await this.card.release();
      this.card = null;
    }
    return why && wish === "card" ? `Computed on the processor: ${why}.` : "";
  }

  async whyNoCard(wish, slice, h, w) {
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    if (!adapter) return "this browser offers no graphics card (WebGPU)";
    const isSoftware = adapter.info?.isFallbackAdapter || adapter.info?.architecture === "swiftshader";
    if (isSoftware && wish === "auto") return "this browser computes graphics on the processor";
    try {
      this.card = await this.session("webgpu");
      const [expected, slow] = await timed(() => this.run(this.processor, slice, h, w));
      // The first run also compiles.
      const given = await this.run(this.card, slice, h, w);
      if (!this.agrees(given, expected, h * w)) return "the graphics card gives other numbers";
      if (wish === "card") return "";
      const [, fast] = await timed(() => this.run(this.card, slice, h, w));
      return fast < slow ? "" : "the graphics card is slower";
    } catch (error) {
      return `the graphics card does not run the network (${error.message})`;
    }
  }

  agrees(given, expected, size) {
    let others = 0, far = 0;
    for (let k = 0; k < expected.length; k++) {
      const level = Math.fround(this.levels[Math.floor(k / size)]);
      if ((given[k] > level) !== (expected[k] > level)) others += 1;
      // Not ">": NaN is far, too.
      if (!(Math.abs(given[k] - expected[k]) <= LIMIT)) far += 1;
    }
    return others <= MOST_OTHERS * expected.length && far <= MOST_OTHERS * expected.length;
  }

  get name() {
    if (this.card) return "graphics card (WebGPU)";
    return this.threads > 1 ? `processor, ${this.threads} threads` : "processor, one thread";
  }

  async probabilities(slice, h, w) {
    if (this.card) {
      try {
        return await this.run(this.card, slice, h, w);
      } catch {
        // The system may take a card away at any time.
        this.card = null;
        this.lost = true;
      }
    }
    return this.run(this.processor, slice, h, w);
  }
}

async function timed(work) {
  const start = performance.now();
  const result = await work();
  return [result, performance.now() - start];
}
