"use strict";
// The parts of the hatchery that compute: genomes, the network, pictures. Each is the twin
// of something in Python (genome.py, portable.py, images.py), and the tests hold the two
// together.

// ---------------------------------------------------------------- genomes

const STEP = 0.35, LONGEST = 300, NAME = "(?:[^()*~\\n]+|\\n)";
const CONSONANTS = "bdfgklmnprstvz", VOWELS = "aeiou";

function words(text, count) {
  let value = 2166136261;
  for (const byte of new TextEncoder().encode(text)) {
    value = Math.imul(value ^ byte, 16777619) >>> 0;
  }
  return Array.from({ length: count }, (_, i) => {
    let word = (value + Math.imul(i, 0x9E3779B9)) >>> 0;
    word = Math.imul(word ^ word >>> 16, 0x85EBCA6B);
    word = Math.imul(word ^ word >>> 13, 0xC2B2AE35);
    return (word ^ word >>> 16) >>> 0;
  });
}

function normals(text, count) {
  const uniform = words(text, count + count % 2).map((word) => (word + 0.5) / 2 ** 32);
  const result = [];
  for (let i = 0; i < uniform.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(uniform[i]));
    const angle = 2 * Math.PI * uniform[i + 1];
    result.push(radius * Math.cos(angle), radius * Math.sin(angle));
  }
  return Float32Array.from(result.slice(0, count));
}

function isGenome(text) {
  const crossing = new RegExp(`\\(${NAME}\\*${NAME}\\*[0-9]{1,3}\\)`, "g");
  for (;;) {
    const shorter = text.replace(/([^()*~])~[0-9]{1,3}(?=[~*)]|$)/g, "$1")
      .replace(crossing, "\n");
    if (shorter === text) return new RegExp(`^${NAME}$`).test(text);
    text = shorter;
  }
}

function clean(text) {
  text = [...String(text).normalize("NFKC").toLowerCase().trim().replace(/\s+/g, " ")]
    .slice(0, LONGEST).join("").trim();
  return isGenome(text) ? text : text.replace(/[()*~]/g, "").trim() || "egg";
}

function nest(text, count = 9) {
  const letters = words(clean(text) + "/nest", 6 * (count - 1)), names = [clean(text)];
  for (let i = 0; i < letters.length; i += 6) {
    names.push(letters.slice(i, i + 6).map((word, place) =>
      place % 2 ? VOWELS[word % 5] : CONSONANTS[word % 14]).join(""));
  }
  return names;
}

function brood(text, count = 9) {
  const own = clean(text);
  return [own, ...Array.from({ length: count - 1 }, (_, i) => `${own}~${i + 1}`)];
}

// The two genomes that are crossed, and the share of the second: what lies between the
// stars that are in no bracket.
function crossing(text) {
  const parts = [""];
  let depth = 0;
  for (const letter of text.slice(1, -1)) {
    depth += (letter === "(") - (letter === ")");
    if (letter === "*" && depth === 0) parts.push("");
    else parts[parts.length - 1] += letter;
  }
  return parts;
}

function slerp(start, end, share) {
  const length = (v) => Math.hypot(...v);
  const sizes = length(start) * length(end);
  let cosine = 0;
  start.forEach((x, i) => { cosine += x * end[i] / sizes; });
  const angle = Math.acos(Math.min(1, Math.max(-1, cosine))), sine = Math.sin(angle);
  const first = sine < 1e-6 ? 1 - share : Math.sin((1 - share) * angle) / sine;
  const second = sine < 1e-6 ? share : Math.sin(share * angle) / sine;
  return start.map((x, i) => first * x + second * end[i]);
}

function latent(genome, dimensions) {
  const changed = /^(.+)~[0-9]{1,3}$/.exec(genome);
  if (changed) {
    const fresh = normals(genome, dimensions);
    return latent(changed[1], dimensions)
      .map((x, i) => Math.sqrt(1 - STEP * STEP) * x + STEP * fresh[i]);
  }
  if (!genome.startsWith("(")) return normals(genome, dimensions);
  const [first, second, share] = crossing(genome);
  return slerp(latent(first, dimensions), latent(second, dimensions),
    Math.min(Number(share), 100) / 100);
}

// ---------------------------------------------------------------- the network

const bytes = (text) =>
  fetch("data:application/octet-stream;base64," + text).then((r) => r.arrayBuffer());

// Halves as floats: 65,536 of them exist, so a table says what each means.
function floats(halves) {
  const table = new Float32Array(65536);
  for (let half = 0; half < 65536; half++) {
    const sign = half >> 15 ? -1 : 1, power = half >> 10 & 31, rest = half & 1023;
    table[half] = sign * (power ? 2 ** (power - 15) * (1 + rest / 1024)
      : 2 ** -24 * rest);
  }
  return Float32Array.from(halves, (half) => table[half]);
}

const product = (shape) => shape.reduce((a, b) => a * b, 1);

const STEPS = {
  unit: (s, [z]) => tf.mul(z, tf.rsqrt(tf.add(tf.mean(tf.square(z), -1, true), 1e-8))),
  sum: (s, values) => tf.addN(values),
  dense: (s, [x], w) => tf.add(tf.matMul(x, w[s.kernel]), w[s.bias]),
  conv: (s, [x], w) =>
    tf.add(tf.conv2d(x, w[s.kernel], s.stride, s.pad), w[s.bias]),
  transposed: (s, [x], w) => {
    const shape = [x.shape[0], ...s.size, w[s.bias].shape[0]];
    return tf.add(tf.conv2dTranspose(x, w[s.kernel], shape, s.stride, s.pad), w[s.bias]);
  },
  affine: (s, [x], w) => tf.add(tf.mul(x, w[s.scale]), w[s.shift]),
  modulate: (s, [x, both]) => {
    const [scale, shift] = tf.split(both, 2, 1)
      .map((half) => tf.reshape(half, [x.shape[0], 1, 1, x.shape[3]]));
    return tf.add(tf.mul(x, scale), shift);
  },
  palette: (s, [scores, colours]) => {
    // The first colour is transparency, the others are opaque.
    const [n, height, width, count] = scores.shape;
    const opaque = tf.concat([tf.reshape(colours, [n, count - 1, 3]),
      tf.ones([n, count - 1, 1])], 2);
    const table = tf.concat([tf.fill([n, 1, 4], -1), opaque], 1);
    const chosen = tf.oneHot(tf.reshape(tf.argMax(scores, -1), [n, height * width]),
      count);
    return tf.reshape(tf.matMul(tf.cast(chosen, "float32"), table),
      [n, height, width, 4]);
  },
  reshape: (s, [x]) => tf.reshape(x, [x.shape[0], ...s.shape]),
  relu: (s, [x]) => tf.relu(x),
  tanh: (s, [x]) => tf.tanh(x),
  leaky: (s, [x]) => tf.leakyRelu(x, s.slope),
  add: (s, all) => tf.addN(all),
  multiply: (s, all) => all.reduce((a, b) => tf.mul(a, b)),
  join: (s, all) => tf.concat(all, -1),
  bilinear: (s, [x]) => tf.image.resizeBilinear(x, s.size, false, true),
};

class Network {
  constructor(graph, buffer) {
    const fine = floats(new Uint16Array(buffer, 0, graph.halves));
    const coarse = new Int8Array(buffer, 2 * graph.halves);  // 127: a column's largest
    this.graph = graph;
    this.weights = graph.weights.map(([start, ...shape], number) => {
      const end = start + product(shape), column = graph.coarse[number];
      if (column === undefined) return tf.tensor(fine.subarray(start, end), shape);
      const [first, columns] = graph.weights[column];
      return tf.tensor(Float32Array.from(coarse.subarray(start, end),
        (level, place) => level / 127 * fine[first + place % columns]), shape);
    });
  }

  // Latents or pictures, one after another -> pictures in [-1, 1] as one Float32Array.
  run(inputs, count) {
    return tf.tidy(() => {
      const values = [tf.tensor(inputs, [count, ...this.graph.input])];
      for (const step of this.graph.steps) {
        values.push(STEPS[step.op](step, step.of.map((i) => values[i]), this.weights));
      }
      return values[this.graph.output].dataSync();
    });
  }
}

// WebAssembly where there is one, else plain JavaScript: slower, the same pictures.
async function start(wasm) {
  const all = {};
  for (const kind of ["", "-simd", "-threaded-simd"]) {
    all[`tfjs-backend-wasm${kind}.wasm`] = "data:application/wasm;base64," + wasm;
  }
  try {
    if (!await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT")) throw new Error("no SIMD");
    tf.wasm.setWasmPaths(all);
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
    if (await tf.setBackend("wasm")) return "wasm";
  } catch { /* switched off, or older than 2021 */ }
  await tf.setBackend("cpu");
  return "cpu";
}

// ---------------------------------------------------------------- pictures

// [-1, 1] -> straight RGBA bytes; four channels are premultiplied.
function toRgba(values, channels) {
  const count = values.length / channels, result = new Uint8ClampedArray(4 * count);
  const level = (x) => Math.min(255, Math.max(0, Math.round((x + 1) * 127.5)));
  for (let i = 0; i < count; i++) {
    const alpha = channels === 4 ? level(values[4 * i + 3]) : 255;
    for (let c = 0; c < 3; c++) {
      const colour = Math.min(level(values[channels * i + c]), alpha);
      result[4 * i + c] = alpha &&
        Math.min(255, Math.floor((colour * 255 + (alpha >> 1)) / alpha));
    }
    result[4 * i + 3] = alpha;
  }
  return result;
}

// Straight RGBA bytes -> premultiplied in [-1, 1].
const fromRgba = (rgba) => Float32Array.from(rgba, (level, i) =>
  (i % 4 === 3 ? level : level * rgba[i - i % 4 + 3] / 255) / 127.5 - 1);

// Makes the white that touches the border of an opaque picture transparent, in place.
function cutGround(rgba, width, near = 24) {
  const height = rgba.length / 4 / width, todo = [];
  const visit = (x, y) => {
    if (x < 0 || y < 0 || x >= width || y >= height) return;
    const at = 4 * (y * width + x), dark = 255 - Math.min(...rgba.subarray(at, at + 3));
    if (!rgba[at + 3] || dark > near) return;
    rgba[at + 3] = 0;
    todo.push([x, y]);
  };
  for (let x = 0; x < width; x++) { visit(x, 0); visit(x, height - 1); }
  for (let y = 0; y < height; y++) { visit(0, y); visit(width - 1, y); }
  while (todo.length) {
    const [x, y] = todo.pop();
    visit(x - 1, y); visit(x + 1, y); visit(x, y - 1); visit(x, y + 1);
  }
}

// Hard edges and at most so many colours in straight RGBA bytes, in place: k-means, which
// begins with colours that are as far from each other as can be.
function pixelArt(rgba, colours = 15) {
  const seen = [];
  for (let at = 0; at < rgba.length; at += 4) {
    if (rgba[at + 3] > 127) seen.push(at);
    else rgba.fill(0, at, at + 4);
  }
  if (!seen.length) return;
  const colour = (at) => Array.from(rgba.subarray(at, at + 3));
  const distance = (at, mean) => mean.reduce((d, x, c) => d + (x - rgba[at + c]) ** 2, 0);
  const nearest = (at) => means.reduce((best, mean, i) =>
    (distance(at, mean) < distance(at, means[best]) ? i : best), 0);
  const means = [colour(seen[0])];
  while (means.length < colours) {
    const away = seen.map((at) => distance(at, means[nearest(at)]));
    means.push(colour(seen[away.indexOf(Math.max(...away))]));
  }
  for (let round = 0; round < 5; round++) {
    const groups = means.map(() => []);
    for (const at of seen) groups[nearest(at)].push(at);
    groups.forEach((group, i) => {
      if (group.length) {
        means[i] = means[i].map((_, c) =>
          group.reduce((sum, at) => sum + rgba[at + c], 0) / group.length);
      }
    });
  }
  for (const at of seen) rgba.set([...means[nearest(at)].map(Math.round), 255], at);
}
