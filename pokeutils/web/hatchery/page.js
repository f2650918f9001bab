"use strict";
// The hatchery's page: what is shown, chosen, kept and shared.

const $ = (id) => document.getElementById(id);
const facts = JSON.parse($("facts").textContent);
const { size, channels, dimensions } = facts;
const STORE = "pokeutils-hatchery", FRAMES = 20;  // steps of a walk
let network, redrawer;
let shown = [], chosen = "", picking = false, walk = null, turn = 0;
const cells = Array.from({ length: 9 }, () => $("nest").appendChild(newCell()));
const still = matchMedia("(prefers-reduced-motion)").matches;

// ---------------------------------------------------------------- creatures

const hatched = new Map();  // genome -> straight RGBA bytes

function hatch(genome) {
  if (!hatched.has(genome)) {
    if (hatched.size > 400) hatched.delete(hatched.keys().next().value);
    const values = network.run(latent(genome, dimensions), 1);
    hatched.set(genome, toRgba(values, channels));
  }
  return hatched.get(genome);
}

function paint(canvas, genome) {
  const image = new ImageData(new Uint8ClampedArray(hatch(genome)), size, size);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// What a genome is called: its name, a number for each change, two halves crossed.
function called(genome) {
  const changed = /^(.+)~([0-9]{1,3})$/.exec(genome);
  if (changed) return `${called(changed[1])} ${changed[2]}`;
  if (genome.startsWith("(")) {
    const [from, to, share] = crossing(genome);
    if (Number(share) <= 0) return called(from);
    if (Number(share) >= 100) return called(to);
    const [first, last] = [from, to].map((part) => called(part).replace(/ \d+/g, ""));
    const name = first.slice(0, Math.ceil(first.length / 2)) +
      last.slice(Math.floor(last.length / 2)).toLowerCase();
    return `${name.slice(0, 18)} ${Number(share)}`;
  }
  return genome.replace(/(^|[\s-])\p{L}/gu, (letter) => letter.toUpperCase());
}

// ---------------------------------------------------------------- the nest

function newCell() {
  const cell = document.createElement("button");
  cell.type = "button";
  cell.className = "cell";
  const pad = cell.appendChild(document.createElement("span"));
  const canvas = cell.canvas = pad.appendChild(document.createElement("canvas"));
  pad.className = "pad";
  canvas.width = canvas.height = size;
  canvas.setAttribute("aria-hidden", "true");
  cell.appendChild(document.createElement("span"));
  cell.addEventListener("click", () => {
    if (!cell.genome) return;
    choose(cell.genome);
    $("card").scrollIntoView({ block: "nearest" });  // on a phone it is further down
  });
  return cell;
}

function label(cell, genome) {
  const kept = favourites.includes(genome);
  cell.genome = genome;
  cell.lastChild.textContent = called(genome);
  cell.setAttribute("aria-label", called(genome) + (kept ? ", kept" : ""));
  cell.classList.toggle("kept", kept);
  if (genome === chosen) cell.setAttribute("aria-current", "true");
  else cell.removeAttribute("aria-current");
}

const pause = () => new Promise((done) => {
  // A hidden page has no frames.
  const timer = setTimeout(done, 60);
  requestAnimationFrame(() => { clearTimeout(timer); setTimeout(done); });
});

async function fill(genomes) {
  const mine = ++turn;
  shown = genomes;
  chosen = genomes[0];
  cells.forEach((cell, i) => {
    cell.classList.toggle("hatched", hatched.has(genomes[i]));
    label(cell, genomes[i]);
  });
  endWalk();
  for (const [i, cell] of cells.entries()) {
    if (mine !== turn) return;
    paint(cell.canvas, genomes[i]);
    cell.classList.add("hatched");
    if (i === 0) {
      show();
      document.documentElement.dataset.first = Math.round(performance.now());
    }
    await pause();
  }
  if (mine === turn) document.documentElement.dataset.ready = genomes[0];
}

// The address says what is in the nest: #seed=mubako, or #brood=mubako.
function read() {
  const [, kind, text] = /^#(seed|brood)=(.*)$/.exec(location.hash) || [];
  let seed = "";
  try {
    seed = decodeURIComponent(text || "");
  } catch { seed = text; }
  if (!seed.trim()) {
    history.replaceState(null, "", "#seed=" + fresh());
    return read();
  }
  $("seed").value = clean(seed);
  // The page opens at its title; later broods are shown wherever one has scrolled to.
  if ("ready" in document.documentElement.dataset)
    $("nest").scrollIntoView({ block: "nearest" });
  delete document.documentElement.dataset.ready;
  return fill(kind === "brood" ? brood(seed) : nest(seed));
}

const fresh = () =>
  nest([...crypto.getRandomValues(new Uint32Array(2))].join("."), 2)[1];
const escape = (genome) =>
  encodeURIComponent(genome).replace(/[()]/g, (c) => (c === "(" ? "%28" : "%29"));

function open(kind, genome) {
  const hash = `#${kind}=${escape(genome)}`;
  if (hash === location.hash) read();
  else location.hash = hash;  // its event reads it
}

// ---------------------------------------------------------------- the chosen one

function show(genome = chosen) {
  paint($("large"), genome);
  $("who").textContent = called(genome);
  $("large").setAttribute("aria-label", `${called(genome)}, a generated creature`);
  const kept = favourites.includes(genome);
  $("keep").textContent = kept ? "Kept \u2665" : "Keep";
  $("keep").setAttribute("aria-pressed", kept);
}

function choose(genome) {
  if (picking && genome !== chosen) return beginWalk(genome);
  endWalk();
  chosen = genome;
  refresh();
  show();
}

function refresh() {
  cells.forEach((cell, i) => shown[i] && label(cell, shown[i]));
  const kept = favourites.filter((genome) => genome.length <= LONGEST);
  $("kept").hidden = !kept.length;
  while ($("shelf").children.length > kept.length) $("shelf").lastChild.remove();
  kept.forEach((genome, i) => {
    const cell = $("shelf").children[i] || $("shelf").appendChild(newCell());
    if (cell.genome !== genome) {
      paint(cell.canvas, genome);
      cell.classList.add("hatched");
    }
    label(cell, genome);
  });
}

function say(text) {
  $("status").textContent = text;
}

// ---------------------------------------------------------------- walking

function pick() {
  if (walk || picking) {
    endWalk();
    return show();
  }
  picking = true;
  $("go").setAttribute("aria-pressed", "true");
  say(`Where to? Choose another creature, and ${called(chosen)} turns into it.`);
}

function beginWalk(to) {
  endWalk();
  walk = { from: chosen, to, playing: false, at: 0, forth: 1 };
  $("walk").hidden = false;
  $("go").setAttribute("aria-pressed", "true");
  $("go").textContent = "End the walk";
  $("from").textContent = called(walk.from);
  $("to").textContent = called(walk.to);
  say("");
  $("large").scrollIntoView({ block: "nearest" });
  step(0);
  play(!still);
}

function endWalk() {
  if (walk) walk.playing = false;
  walk = null;
  picking = false;
  $("walk").hidden = true;
  $("go").setAttribute("aria-pressed", "false");
  $("go").textContent = "Walk to \u2026";
  say("");
}

const halfway = () => clean(walk.at === 0 ? walk.from : walk.at === 100 ? walk.to :
  `(${walk.from}*${walk.to}*${walk.at})`);

function step(at) {
  walk.at = at;
  $("share").value = at;
  show(halfway());
}

function play(on) {
  const mine = walk;
  mine.playing = on;
  $("play").textContent = on ? "Pause" : "Play";
  $("play").setAttribute("aria-pressed", on);
  if (!on) return show(halfway());
  let last = 0;
  const frame = (now) => {
    if (walk !== mine || !mine.playing) return;
    const rest = mine.at === 0 || mine.at === 100 ? 700 : 70;
    if (now - last > rest) {
      last = now;
      if (mine.at >= 100) mine.forth = -1;
      if (mine.at <= 0) mine.forth = 1;
      step(mine.at + mine.forth * 100 / FRAMES);
    }
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

// ---------------------------------------------------------------- keeping and sharing

let favourites = [];

function remember() {
  try {
    favourites = JSON.parse(localStorage.getItem(STORE)) || [];
    favourites = favourites.filter((genome) => typeof genome === "string" && genome)
      .map(clean).slice(0, 60);
  } catch { favourites = []; }
}

const current = () => (walk ? halfway() : chosen);

function keep() {
  const genome = current(), kept = favourites.includes(genome);
  favourites = kept ? favourites.filter((other) => other !== genome) :
    [...favourites, genome];
  try {
    localStorage.setItem(STORE, JSON.stringify(favourites));
    say(kept ? `${called(genome)} is let go.` : `${called(genome)} is kept.`);
  } catch {
    say("This browser keeps nothing for this page: they are gone after a reload.");
  }
  refresh();
  show(genome);
}

async function link() {
  const address = location.href.replace(/#.*/, "") + "#seed=" + escape(current());
  try {
    await navigator.clipboard.writeText(address);
    say("Copied. Whoever opens it meets the same creature.");
  } catch {
    say("This browser lets no page copy. The link: " + address);
  }
}

function save() {
  const small = document.createElement("canvas");
  small.width = small.height = size;
  paint(small, current());
  saveAs(small, called(current()));
}

function saveAs(small, name) {
  const times = Math.max(1, Math.round(512 / small.width));
  const large = document.createElement("canvas");
  large.width = large.height = small.width * times;
  const context = large.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(small, 0, 0, large.width, large.height);
  large.toBlob((blob) => {
    const anchor = document.createElement("a");
    anchor.href = URL.createObjectURL(blob);
    anchor.download = name.replace(/[^\p{L}\p{N}]+/gu, "-").slice(0, 60) + ".png";
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(anchor.href), 10000);
    say(`Saved as ${anchor.download}, ${large.width} pixels wide.`);
  });
}

// ---------------------------------------------------------------- pictures to sprites

// Cuts out what is on a canvas, and centres it on one of `side` pixels: RGBA bytes.
function fitted(canvas, side) {
  const { width, height } = canvas, context = canvas.getContext("2d");
  const image = context.getImageData(0, 0, width, height), rgba = image.data;
  if (rgba.every((level, i) => i % 4 < 3 || level === 255)) cutGround(rgba, width);
  context.putImageData(image, 0, 0);
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let i = 0; i < width * height; i++) {
    if (rgba[4 * i + 3] <= 16) continue;
    const x = i % width, y = Math.floor(i / width);
    [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
    [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
  }
  if (right <= left) throw new Error("It is empty.");
  const [w, h] = [right - left, bottom - top];
  const scale = Math.round(0.92 * side) / Math.max(w, h);
  const to = document.createElement("canvas").getContext("2d");
  to.canvas.width = to.canvas.height = side;
  to.imageSmoothingQuality = "high";
  to.drawImage(canvas, left, top, w, h, Math.floor((side - w * scale) / 2),
    Math.floor((side - h * scale) / 2), w * scale, h * scale);
  return to.getImageData(0, 0, side, side).data;
}

async function redraw(canvas, name) {
  const side = facts.redraw.input[0];
  const given = fitted(canvas, side);
  redrawer ||= new Network(facts.redraw, await bytes($("redraw-model").textContent));
  const sprite = toRgba(redrawer.run(fromRgba(given), 1), 4);
  pixelArt(sprite);
  for (const [id, rgba] of Object.entries({ given, sprite })) {
    $(id).width = $(id).height = side;
    const context = $(id).getContext("2d", { willReadFrequently: true });
    context.putImageData(new ImageData(rgba, side, side), 0, 0);
  }
  $("redrawn").hidden = false;
  $("redrawn").scrollIntoView({ block: "nearest" });
  $("redraw-status").textContent = `${name}, and what became of it.`;
}

async function redrawFile(file) {
  if (!file) return;
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, 256 / Math.max(picture.width, picture.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(picture.width * scale));
    canvas.height = Math.max(1, Math.round(picture.height * scale));
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(picture, 0, 0, canvas.width, canvas.height);
    await redraw(canvas, file.name);
  } catch (error) {
    $("redraw-status").textContent =
      `${file.name} cannot be redrawn: ${error.message} Try a PNG or a JPEG.`;
  }
}

function redrawChosen() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size;
  paint(canvas, current());
  return redraw(canvas, called(current()));
}

function listenForPictures() {
  $("browse").addEventListener("click", () => $("picture").click());
  $("picture").addEventListener("change", () => redrawFile($("picture").files[0]));
  $("redraw").addEventListener("click", redrawChosen);
  $("save-sprite").addEventListener("click", () => saveAs($("sprite"), "sprite"));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    event.preventDefault();
    redrawFile(event.dataTransfer.files[0]);
  });
}

// ---------------------------------------------------------------- mouse and keys

const mutate = () => open("brood", current());
const anew = () => open("seed", fresh());

function listen() {
  $("ask").addEventListener("submit", (event) => {
    event.preventDefault();
    open("seed", clean($("seed").value || fresh()));
  });
  const doing = { more: anew, keep, mutate, go: pick, link, save,
    play: () => play(!walk.playing), stop: () => open("seed", halfway()) };
  for (const [id, what] of Object.entries(doing)) $(id).addEventListener("click", what);
  $("share").addEventListener("input", () => {
    walk.playing = false;
    $("play").textContent = "Play";
    $("play").setAttribute("aria-pressed", "false");
    step(Number($("share").value));
  });
  addEventListener("hashchange", read);
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.matches?.("input")) return;
    const at = cells.indexOf(document.activeElement);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -3, ArrowDown: 3 }[event.key];
    if (steps && cells[at + steps]) {
      event.preventDefault();
      cells[at + steps].focus();
      if (!picking) choose(shown[at + steps]);
      return;
    }
    const keys = { n: anew, k: keep, m: mutate, w: pick, l: link, s: save };
    if (event.key === "Escape" && (walk || picking)) { endWalk(); show(); }
    else keys[event.key.toLowerCase()]?.();
  });
}

// ---------------------------------------------------------------- the beginning

// One creature is computed as a check: a browser may get its sums wrong.
function check() {
  const values = network.run(latent(facts.check.genome, dimensions), 1);
  const wrong = facts.check.places.filter((place, i) =>
    Math.abs(values[place] - facts.check.values[i]) > facts.check.tolerance);
  if (wrong.length > facts.check.allowed) {
    trouble("This browser computes other pictures than those the network was trained " +
      "for, so links will not show everybody the same. Another browser may do better.");
  }
}

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = false;
}

(async () => {
  try {
    const [backend, model] = await Promise.all([start($("wasm").textContent),
      bytes($("model").textContent)]);
    document.documentElement.dataset.backend = backend;
    network = new Network(facts.graph, model);
    remember();
    listen();
    if (facts.redraw) listenForPictures();
    await read();
    refresh();
    check();
  } catch (error) {
    trouble("The network does not run in this browser (" + error.message +
      "). A current Firefox, Chrome, Edge or Safari runs it.");
    throw error;
  }
})();
