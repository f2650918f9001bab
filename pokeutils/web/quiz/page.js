"use strict";
// The quiz page: what is asked, kept, counted and saved.

const quiz = JSON.parse(document.getElementById("quiz").textContent);
const $ = (id) => document.getElementById(id);
const tiles = [...document.querySelectorAll(".panel button")];
const panels = [...document.querySelectorAll(".panel")];
const main = document.querySelector("main");
const STORE = "pokeutils-quiz-" + quiz.id;
let state = fresh();

// ---------------------------------------------------------------- state, and its keeping

function fresh() {
  const random = crypto.getRandomValues(new Uint8Array(16));
  const response = Array.from(random, (b) => b.toString(16).padStart(2, "0")).join("");
  return { response, name: "", knowledge: "", judged: tiles.map(() => null), at: 0,
    started: 0, seconds: 0, finished: "", saved: false };
}

function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify(state));
  } catch {
    $("storage").textContent = "This browser keeps nothing for this page, so a reload " +
      "begins anew.";
  }
}

function restore() {
  try {
    const old = JSON.parse(localStorage.getItem(STORE));
    const sound = old && /^[0-9a-f]{32}$/.test(old.response) &&
      Array.isArray(old.judged) && old.judged.length === tiles.length &&
      old.judged.every((answer) => answer === null || typeof answer === "boolean") &&
      old.at >= 0 && old.at < tiles.length && typeof old.name === "string" &&
      ["", "few", "some", "most"].includes(old.knowledge) &&
      Number.isFinite(old.seconds) && Number.isFinite(old.started);
    if (sound) state = Object.assign(fresh(), old);
  } catch { /* nothing kept, or nothing that can be read: begin anew */ }
}

// ---------------------------------------------------------------- the three stages

function stage() {
  return state.finished ? "end" : state.started ? "play" : "start";
}

function show(focus) {
  const now = stage();
  for (const id of ["start", "play", "end"]) $(id).hidden = id !== now;
  main.className = { play: "playing", end: "wide" }[now] || "";
  $("progress").hidden = now !== "play";
  if (now === "start") {
    $("heading").textContent = "Real or not?";
    $("name").value = state.name;
  } else if (now === "play") {
    draw();
  } else {
    end();
  }
  if (focus) {
    $("heading").focus();
    scrollTo(0, 0);
  }
}

const panelOf = (at) => Math.floor(at / quiz.panel);
const inPanel = (panel) => tiles.map((_, i) => i).filter((i) => panelOf(i) === panel);
const openIn = (panel) => inPanel(panel).filter((i) => state.judged[i] === null);

function draw() {
  const panel = panelOf(state.at), open = openIn(panel), last = panels.length - 1;
  panels.forEach((element, i) => { element.hidden = i !== panel; });
  tiles.forEach((tile, i) => {
    const judged = state.judged[i];
    const answer = judged === null ? "" : judged ? "real" : "not real";
    tile.className = judged === null ? "" : judged ? "real" : "fake";
    tile.querySelector(".mark").textContent = answer;
    const words = answer ? "judged " + answer : "not judged yet";
    tile.setAttribute("aria-label", `Picture ${i + 1} of ${tiles.length}, ${words}`);
    if (i === state.at) tile.setAttribute("aria-current", "true");
    else tile.removeAttribute("aria-current");
  });
  $("heading").textContent = `Panel ${panel + 1} of ${panels.length}`;
  const done = inPanel(panel).length - open.length;
  $("progress").textContent = `${done} of ${inPanel(panel).length} judged`;
  $("back").disabled = panel === 0;
  $("next").disabled = open.length > 0;
  $("next").textContent = panel === last ? "Finish" : "Next panel";
  $("next").classList.toggle("main", !open.length);
}

function judge(real) {
  const panel = panelOf(state.at), wasOpen = openIn(panel).length;
  state.judged[state.at] = real;
  const open = openIn(panel);
  // On to the next unjudged one; from the last of the panel, back to the first.
  if (open.length) state.at = open.find((i) => i > state.at) ?? open[0];
  keep();
  draw();
  if (wasOpen && !open.length) $("next").focus();
}

function move(steps) {
  const own = inPanel(panelOf(state.at)), to = state.at + steps;
  if (!own.includes(to)) return;
  state.at = to;
  keep();
  draw();
  if (tiles.includes(document.activeElement)) tiles[to].focus();
}

function turn(by) {
  const panel = panelOf(state.at);
  if (by > 0 && openIn(panel).length) return;
  if (panel + by >= panels.length) {
    state.seconds = Math.round((Date.now() - state.started) / 1000);
    state.finished = new Date().toISOString();
  } else if (panel + by >= 0) {
    const own = inPanel(panel + by);
    state.at = openIn(panel + by)[0] ?? own[0];
  }
  keep();
  show(true);
}

// ---------------------------------------------------------------- the end

function record() {
  return { format: quiz.format, quiz: quiz.id, response: state.response,
    name: state.name, knowledge: state.knowledge, judged_real: state.judged,
    seconds: state.seconds, finished: state.finished };
}

function wilson(judged, total, z = 1.959964) {
  const share = judged / total, grown = 1 + z * z / total;
  const middle = (share + z * z / (2 * total)) / grown;
  const half = z / grown *
    Math.sqrt(share * (1 - share) / total + z * z / (4 * total * total));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

function make(tag, parent, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return parent.appendChild(element);
}

function end() {
  const written = JSON.stringify(record(), null, 2);
  $("text").value = written;
  $("shares").replaceChildren();
  $("truth").replaceChildren();
  $("heading").textContent = "Thank you";
  const { groups, labels } = JSON.parse(atob(quiz.sealed));
  const names = ["real", "in other colours", "drawn by a network"];
  const kinds = ["real", "fake", "generated"];
  const of = (group) => groups.map((g, i) => i).filter((i) => groups[i] === group);
  const taken = (group) => of(group).filter((i) => state.judged[i]).length;
  const each = of(0).length;
  $("verdict").textContent = `Of the ${each} that a network drew, you took ` +
    `${taken(2)} for real; of the ${each} in other colours, ${taken(1)}; of the ` +
    `${each} real ones, ${taken(0)}.`;

  make("h2", $("shares"), "What you took for real");
  const bars = make("div", $("shares"), undefined, "bars");
  names.forEach((name, group) => {
    const [low, high] = wilson(taken(group), each);
    make("span", bars, name);
    make("b", bars, `${taken(group)} of ${each}`);
    const track = make("span", bars, undefined, "track " + kinds[group]);
    make("i", track).style.width = 100 * taken(group) / each + "%";
    const whisker = make("u", track);
    whisker.style.left = 100 * low + "%";
    whisker.style.right = 100 * (1 - high) + "%";
  });
  make("p", $("shares"), `${each} pictures of a kind are few: the thin lines are 95\u00a0% ` +
    "intervals (Wilson), where the share could lie if you were asked about many more.",
    "hint");

  make("h2", $("truth"), "Which was which");
  make("p", $("truth"), "In bold what you said, underlined where you were wrong.", "hint");
  names.forEach((name, group) => {
    make("h3", $("truth"), name[0].toUpperCase() + name.slice(1));
    const list = make("ul", $("truth"), undefined, "truth");
    for (const i of of(group)) {
      const right = state.judged[i] === (group === 0);
      const item = make("li", list, undefined, right ? "right" : "wrong");
      const picture = tiles[i].querySelector("img").cloneNode();
      picture.alt = labels[i] || name;
      item.append(picture);
      const words = make("p", item);
      make("strong", words, state.judged[i] ? "real" : "not real");
      if (labels[i]) {
        make("br", words);
        words.append(labels[i]);
      }
    }
  });
}

function save() {
  const name = `answers-${quiz.id}-${state.response.slice(0, 8)}.json`;
  const link = document.createElement("a");
  const written = JSON.stringify(record(), null, 2) + "\n";
  link.href = URL.createObjectURL(new Blob([written], { type: "application/json" }));
  link.download = name;
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  state.saved = true;
  keep();
  $("saved").textContent = `Look for ${name} among your downloads.`;
}

function clear() {
  if (!state.saved && $("clear").dataset.asked !== "yes") {
    $("clear").dataset.asked = "yes";
    $("clear").textContent = "Clear without saving";
    $("saved").textContent = "Your answers have not been saved yet.";
    return;
  }
  try { localStorage.removeItem(STORE); } catch { /* nothing was kept */ }
  state = fresh();
  $("about").reset();
  $("clear").dataset.asked = "";
  $("clear").textContent = "Clear, for the next person";
  $("saved").textContent = "";
  show(true);
}

// ---------------------------------------------------------------- what people do

$("about").addEventListener("submit", (event) => {
  event.preventDefault();
  state.name = $("name").value.trim().slice(0, 80);
  state.knowledge = new FormData($("about")).get("knowledge") || "";
  state.started = Date.now();
  keep();
  show(true);
});
tiles.forEach((tile, i) => tile.addEventListener("click", () => {
  state.at = i;
  keep();
  draw();
}));
$("yes").addEventListener("click", () => judge(true));
$("no").addEventListener("click", () => judge(false));
$("back").addEventListener("click", () => turn(-1));
$("next").addEventListener("click", () => turn(1));
$("save").addEventListener("click", save);
$("clear").addEventListener("click", clear);
document.addEventListener("keydown", (event) => {
  if (stage() !== "play" || event.ctrlKey || event.metaKey || event.altKey) return;
  const moves = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -3, ArrowDown: 3 };
  const key = event.key.toLowerCase();
  if (key === "r" || key === "f") {
    if (!event.repeat) judge(key === "r");
  } else if (event.key in moves) {
    move(moves[event.key]);
  } else {
    return;
  }
  event.preventDefault();
});

restore();
show(false);
