"use strict";
const transcripts = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const MAX_TOKENS = 4000; // Of a frame at once: more elements make a page slow.
const BLOCK = 20; // Frames that are drawn together, when they come near: a page lays out blocks faster than frames.
const CHANNELS = ["system", "developer", "user", "analysis", "commentary", "final", "tool", "markup"];
let current = transcripts[0];
let hidden = new Set();
let articles = [];
let blocks = [];
let place = -1;
let matches = [];
let match = -1;

// Texts reach the page as text nodes only.
function make(name, classes, ...children) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
function makeSvg(name, attributes, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

const CONTROL = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]|[\u{e0000}-\u{e007f}]/gu;
// Names, as few fonts have the control pictures of Unicode.
const C0 = "NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US".split(" ");
function symbol(character) {
  const code = character.codePointAt(0);
  if (code < 0x20) return C0[code];
  if (code === 0x7f) return "DEL";
  return "U+" + code.toString(16).toUpperCase().padStart(4, "0");
}
function shown(text) {
  const parts = document.createDocumentFragment();
  let start = 0;
  for (const found of text.matchAll(CONTROL)) {
    parts.append(text.slice(start, found.index), make("span", "control", symbol(found[0])));
    start = found.index + found[0].length;
  }
  parts.append(text.slice(start));
  return parts;
}
const plain = (text) => String(text).replace(CONTROL, symbol);
const number = (value) => (value === null || value === undefined ? "unknown" : value.toLocaleString("en"));
const seconds = (value) => (value === null || value === undefined ? "unknown" : value.toFixed(value < 10 ? 2 : 1) + " s");
function dollars(text) {
  if (text === null || text === undefined) return "unknown";
  const value = Number(text);
  return "$" + (value !== 0 && value < 0.01 ? value.toPrecision(3) : value.toFixed(4));
}

function channelOf(frame) {
  if (frame.role !== "assistant") return frame.role;
  return frame.channel || (frame.kind === "text" ? "final" : frame.kind === null ? "markup" : "commentary");
}
const tone = (channel) => (CHANNELS.includes(channel) ? channel : "other");

// Lengths are in code points, as Python counts them; those of JavaScript differ outside of the basic plane.
function charactersOf(frame) {
  return /[\ud800-\udfff]/.test(frame.text) ? Array.from(frame.text) : frame.text;
}
function contentOf(frame) {
  const { lengths } = frame.tokens;
  const start = sum(lengths.slice(0, frame.content_start));
  const slice = charactersOf(frame).slice(start, start + sum(lengths.slice(frame.content_start, frame.content_end)));
  return typeof slice === "string" ? slice : slice.join("");
}

// The tokens of a frame: index, ids, text and part of each.
function spansOf(frame, from, until) {
  const characters = charactersOf(frame);
  const { ids, lengths } = frame.tokens;
  const spans = [];
  let start = 0;
  let shared = [];
  for (let index = 0; index < ids.length && index < until; index++) {
    const length = lengths[index];
    shared.push(ids[index]);
    if (length === 0 && index + 1 < ids.length && lengths.slice(index + 1, index + 8).some((next) => next > 0)) continue;
    const slice = characters.slice(start, start + length);
    const text = typeof slice === "string" ? slice : slice.join("");
    if (index >= from) spans.push({ index: index - shared.length + 1, ids: shared, text });
    start += length;
    shared = [];
  }
  return spans;
}
function repairsAt(frame, span) {
  const last = span.index + span.ids.length;
  return frame.repairs.filter(({ tokens }) => tokens[0] < last && tokens[1] > span.index);
}
function tokenElement(frame, span) {
  const repairs = repairsAt(frame, span);
  const inContent = span.index >= frame.content_start && span.index < frame.content_end;
  const special = span.ids.some((id) => id >= 199998);
  const element = make("span", "token" + (special || !inContent ? " special" : "") + (repairs.length ? " repair" : ""));
  element.append(span.text === "" ? "\u25b5" : shown(span.text));
  const ids = span.ids.join(" ");
  element.dataset.tip =
    `id ${ids} · ${JSON.stringify(plain(span.text))} · at ${frame.position + span.index}` +
    repairs.map((repair) => `\n${repair.code}: ${plain(repair.message)}`).join("");
  return element;
}
// An element for each token is made when the pointer reaches the frame; before it, only what differs has one.
function joined(frame, spans) {
  const parts = [];
  let text = "";
  for (const span of spans) {
    const special = span.ids.some((id) => id >= 199998);
    if (special || repairsAt(frame, span).length) {
      parts.push(shown(text), tokenElement(frame, span));
      text = "";
    } else {
      text += span.text;
    }
  }
  return [...parts, shown(text)];
}
function refine(article) {
  if (!article || article.dataset.refined) return;
  article.dataset.refined = "1";
  for (const row of article.querySelectorAll(".row")) row.draw(true);
  highlight();
}
function tokenRow(frame, from, until) {
  const end = Math.min(until, from + MAX_TOKENS);
  const tokens = make("span", "");
  tokens.draw = (isRefined) => {
    const spans = spansOf(frame, from, end);
    tokens.replaceChildren(...(isRefined ? spans.map((span) => tokenElement(frame, span)) : joined(frame, spans)));
  };
  tokens.draw(document.body.classList.contains("show-tokens"));
  tokens.className = "row";
  const row = make("span", "", tokens);
  const next = from + MAX_TOKENS;
  if (until > next) {
    const more = make("button", "", `Show ${number(Math.min(until - next, MAX_TOKENS))} more of ${number(until - next)} tokens`);
    more.type = "button";
    more.addEventListener("click", () => more.replaceWith(tokenRow(frame, next, until)));
    row.append(" ", more);
  }
  return row;
}

function tree(value, key) {
  const label = key === undefined ? null : make("span", "key", shown(String(key)), ": ");
  if (value instanceof WrittenNumber) return make("li", "", label, make("span", "number", value.text));
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
    const list = make("ul", "");
    const details = make("details", "", make("summary", "", label, make("span", "special", size)), list);
    const fill = () => {
      if (!list.firstChild) list.append(...entries.slice(0, 500).map(([name, inner]) => tree(inner, name)));
      if (entries.length > 500 && list.children.length === 500) list.append(make("li", "special", `${number(entries.length - 500)} more`));
    };
    details.addEventListener("toggle", fill);
    if (entries.length <= 30) {
      fill();
      details.open = true;
    }
    return make("li", "", details);
  }
  const kind = typeof value === "string" ? "string" : "number";
  return make("li", "", label, make("span", kind, shown(typeof value === "string" ? JSON.stringify(value) : String(value))));
}
// Numbers as they are written: those of JavaScript have 53 bits, and no 1.0.
class WrittenNumber {
  constructor(text) {
    this.text = text;
  }
}
function parsed(text) {
  try {
    const keep = (_, value, context) => (typeof value === "number" && context?.source ? new WrittenNumber(context.source) : value);
    return { value: JSON.parse(text, keep) };
  } catch {
    return null;
  }
}

function figure(frame, pair) {
  const parts = [`${number(frame.tokens.ids.length)} tokens`];
  if (pair && pair.seconds !== null) parts.push(seconds(pair.seconds));
  if (frame.step) parts.unshift(`step ${frame.step}`);
  return make("span", "figure", parts.join(" · "));
}
function heading(frame, pair) {
  const channel = channelOf(frame);
  const name = frame.role === "assistant" ? (frame.kind === null ? "header" : channel) : frame.role;
  const details = [];
  if (frame.name) details.push(frame.name);
  if (frame.recipient) details.push("to " + frame.recipient);
  if (frame.kind === "stray") details.push("stray");
  if (frame.kind !== null && frame.role === "assistant" && !frame.stop) details.push("no stop token");
  return make("h3", "", make("b", "", plain(name)), ...details.map((text) => make("span", "", plain(text))), figure(frame, pair));
}
function headerRow(frame) {
  const repaired = frame.repairs.some(({ tokens }) => tokens[0] < frame.content_start || tokens[1] > frame.content_end);
  const row = make("div", "code header-row" + (repaired ? " repaired" : ""));
  row.append(tokenRow(frame, 0, frame.content_start));
  const end = frame.tokens.ids.length;
  if (frame.content_end < end) row.append(make("span", "special", " … "), tokenRow(frame, frame.content_end, end));
  return row;
}
function content(frame) {
  const isCode = frame.kind === "tool_call" || frame.kind === "tool_result" || frame.role === "system" || frame.role === "developer";
  return make("div", "text" + (isCode ? " code" : ""), tokenRow(frame, frame.content_start, frame.content_end));
}
function repairList(frame) {
  if (!frame.repairs.length) return null;
  return make("ul", "repairs", ...frame.repairs.map((repair) =>
    make("li", "", make("code", "", repair.code), ` ${plain(repair.message)}` + (repair.count > 1 ? ` (${number(repair.count)} times)` : ""))));
}
function resultPart(pair) {
  const part = make("div", "result tool", make("h4", "", "Result" + (pair.signal && pair.signal !== "success" ? ` · ${pair.signal}` : "")));
  if (pair.result === null) {
    part.append(make("p", "note", "No result in this transcript."));
    return part;
  }
  const frame = current.frames[pair.result];
  const text = contentOf(frame);
  const json = /^\s*[[{]/.test(text) && text.length < 200000 ? parsed(text) : null;
  part.append(json ? withToggle(frame, json.value) : content(frame), headerRow(frame));
  const list = repairList(frame);
  if (list) part.append(list);
  return part;
}
function withToggle(frame, value) {
  const box = make("div", "");
  const button = make("button", "", "As written");
  button.type = "button";
  let asTree = true;
  const draw = () => {
    const body = asTree ? make("ul", "tree code", tree(value)) : content(frame);
    button.textContent = asTree ? "As written" : "As a tree";
    box.replaceChildren(body, button);
  };
  button.addEventListener("click", () => {
    asTree = !asTree;
    draw();
  });
  draw();
  return box;
}
function callBody(frame, pair) {
  const text = contentOf(frame);
  const json = text.length < 1000000 ? parsed(text) : null;
  // A repair within the arguments is visible in the text as written only.
  const isRepaired = frame.repairs.some(({ tokens }) => tokens[1] > frame.content_start && tokens[0] < frame.content_end);
  const call = make("div", "", make("h4", "", "Arguments"));
  call.append(json && !isRepaired ? withToggle(frame, json.value) : content(frame));
  if (!json) call.append(make("p", "note bad", "These arguments are not JSON."));
  return make("div", "pair", call, hidden.has("tool") ? null : resultPart(pair));
}
function fill(article) {
  if (article.dataset.filled) return;
  article.dataset.filled = "1";
  const frame = current.frames[Number(article.dataset.index)];
  const pair = current.pairs.get(frame.index);
  article.append(heading(frame, pair), headerRow(frame));
  article.append(pair && frame.kind === "tool_call" ? callBody(frame, pair) : frame.content_end > frame.content_start ? content(frame) : "");
  const list = repairList(frame);
  if (list) article.append(list);
}

function fillBlock(block) {
  if (!block || block.firstChild) return;
  const first = Number(block.dataset.first);
  const own = articles.slice(first, first + BLOCK);
  own.forEach(fill);
  block.replaceChildren(...own);
  observer.unobserve(block);
}
const observer = new IntersectionObserver((entries) => {
  const near = entries.filter((entry) => entry.isIntersecting);
  for (const entry of near) fillBlock(entry.target);
  if (near.length) highlight();
}, { rootMargin: "1200px 0px" });

function isShown(frame) {
  return !hidden.has(tone(channelOf(frame))) && !current.inPairs.has(frame.index);
}
function drawFrames() {
  observer.disconnect();
  const shownFrames = current.frames.filter(isShown);
  articles = shownFrames.map((frame) => {
    const article = make("article", "frame " + tone(channelOf(frame)));
    article.dataset.index = frame.index;
    article.tabIndex = -1;
    return article;
  });
  blocks = [];
  for (let first = 0; first < articles.length; first += BLOCK) {
    const block = make("div", "block");
    block.dataset.first = first;
    blocks.push(block);
  }
  byId("frames").replaceChildren(...blocks);
  byId("empty").hidden = articles.length > 0;
  fillBlock(blocks[0]);
  for (const block of blocks) observer.observe(block);
  place = -1;
}

function bar(shares, total, label) {
  const image = makeSvg("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", role: "img", "aria-label": label });
  let start = 0;
  for (const [name, value] of shares) {
    if (!value) continue;
    const width = Math.max((value / total) * 1000, 3);
    image.append(makeSvg("rect", { x: start, y: 1, width, height: 12, class: name }));
    start += width;
  }
  return image;
}
function cell(...children) {
  return make("td", "", ...children);
}
function chart(image) {
  return make("td", "chart", image);
}
function tableOf(names, rows) {
  const head = make("tr", "", ...names.map((name) => {
    const cell = make("th", "", name || make("span", "hidden-text", "Chart"));
    cell.scope = "col";
    return cell;
  }));
  return make("table", "", make("thead", "", head), make("tbody", "", ...rows));
}
function panel(title, ...children) {
  return make("section", "panel", make("h2", "", title), ...children);
}
function sum(values) {
  return values.reduce((total, value) => total + value, 0);
}
function channelPanel() {
  const names = CHANNELS.concat(Object.keys(current.tokens)).filter((name, at, all) => current.tokens[name] && all.indexOf(name) === at);
  const most = Math.max(...Object.values(current.tokens), 1);
  const paid = current.metrics && current.metrics.cash.by_channel;
  const rows = names.map((name) => make("tr", tone(name), cell(name), chart(bar([[tone(name), current.tokens[name]]], most, `${name}: ${current.tokens[name]} tokens`)),
    cell(number(current.tokens[name])), ...(paid ? [cell(paid[name] === undefined ? "" : dollars(paid[name]))] : [])));
  const total = make("tr", "", cell("all"), cell(""), cell(number(sum(Object.values(current.tokens)))), ...(paid ? [cell("")] : []));
  return panel("Tokens by channel", tableOf(["channel", "", "tokens", ...(paid ? ["output cost"] : [])], [...rows, total]));
}
function factsPanel() {
  const facts = [["Source", current.source], ["Frames", number(current.frames.length)], ["Tool calls", number(current.calls.length)], ["Repairs", number(current.repairs.length)]];
  const metrics = current.metrics;
  if (metrics) {
    facts.push(["Cost", dollars(metrics.cash.total)], ["Time", seconds(metrics.seconds.total)],
      ["Prompt tokens", number(metrics.tokens.input)], ["of which cached", number(metrics.tokens.cached)], ["Output tokens", number(metrics.tokens.output)]);
  }
  const table = make("table", "", make("tbody", "", ...facts.map(([name, value]) => make("tr", "", cell(name), cell(value)))));
  const notes = [...current.notes, ...(metrics ? Object.entries(metrics.unknown).map(([name, why]) => `${name} is unknown: ${why}`) : [])];
  // Repairs of a completion without ids, or without frames, have no place below.
  const isPlaced = current.frames.some((frame) => frame.repairs.length);
  return panel("Facts", table, isPlaced ? null : repairList(current), notes.length ? make("ul", "note", ...notes.map((note) => make("li", "", plain(note)))) : null);
}
function stepTokens(step) {
  return (step.metrics && step.metrics.tokens.by_channel) || step.tokens;
}
function stepPanel() {
  if (!current.steps.length) return null;
  const most = Math.max(...current.steps.map((step) => sum(Object.values(stepTokens(step)))), 1);
  const rows = current.steps.map((step) => {
    const tokens = stepTokens(step);
    const shares = Object.entries(tokens).map(([name, value]) => [tone(name), value]);
    const label = `step ${step.n}: ` + Object.entries(tokens).map(([name, value]) => `${name} ${value}`).join(", ");
    const metrics = step.metrics;
    const jump = make("button", "", String(step.n));
    jump.type = "button";
    jump.setAttribute("aria-label", `Go to step ${step.n}`);
    jump.addEventListener("click", () => go(articles.findIndex((article) => current.frames[article.dataset.index].step === step.n)));
    return make("tr", "", cell(jump), chart(bar(shares, most, label)), cell(number(sum(Object.values(tokens)))),
      cell(metrics ? number(metrics.tokens.input) : ""), cell(metrics ? number(metrics.tokens.cached) : ""), cell(metrics ? dollars(metrics.cash.total) : ""));
  });
  const box = make("div", "scroll", tableOf(["step", "", "output", "prompt", "cached", "cost"], rows));
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Tokens and cost by step");
  return panel("Tokens and cost by step", box);
}
function timePanel() {
  const timed = current.steps.filter((step) => step.metrics);
  if (!timed.length) return null;
  let start = 0;
  const rows = [];
  for (const step of timed) {
    const calls = current.calls.filter((call) => current.frames[call.call].step === step.n && call.seconds !== null);
    const length = step.metrics.seconds.total;
    const longest = Math.max(0, ...calls.map((call) => call.seconds));
    rows.push({ step, start, length, calls });
    start += length + longest;
  }
  const total = start || 1;
  const x = (time) => (time / total) * 1000;
  const drawn = rows.map(({ step, start: from, length, calls }) => {
    const image = makeSvg("svg", { viewBox: "0 0 1000 14", preserveAspectRatio: "none", role: "img",
      "aria-label": `step ${step.n}: from ${seconds(from)}, answer ${seconds(length)}` + calls.map((call) => `, call ${seconds(call.seconds)}`).join("") });
    image.append(makeSvg("rect", { x: x(from), y: 1, width: Math.max(x(length), 2), height: 12, class: "thinking" }));
    calls.forEach((call, at) => {
      const height = 12 / calls.length;
      const failed = call.signal && call.signal !== "success";
      image.append(makeSvg("rect", { x: x(from + length), y: 1 + at * height, width: Math.max(x(call.seconds), 2), height: Math.max(height - 0.5, 0.5), class: failed ? "error" : "call" }));
    });
    return make("tr", "", cell(String(step.n)), chart(image), cell(seconds(length)), cell(calls.length ? seconds(Math.max(...calls.map((call) => call.seconds))) : ""));
  });
  const box = make("div", "scroll", tableOf(["step", "", "answer", "calls"], drawn));
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Time line");
  return panel("Time line", box, make("p", "note", "Durations end to end: answers, then their calls side by side."));
}
function drawSummary() {
  byId("summary").replaceChildren(...[factsPanel(), channelPanel(), stepPanel(), timePanel()].filter(Boolean));
}
function drawFilters() {
  const present = CHANNELS.concat("other").filter((name) => current.frames.some((frame) => tone(channelOf(frame)) === name));
  byId("filters").replaceChildren(...present.map((name, at) => {
    const button = make("button", name, name);
    button.type = "button";
    button.dataset.channel = name;
    button.title = `key ${at + 1}`;
    button.setAttribute("aria-pressed", String(!hidden.has(name)));
    button.addEventListener("click", () => toggleChannel(name));
    return button;
  }));
}
function toggleChannel(name) {
  if (!hidden.delete(name)) hidden.add(name);
  const index = place >= 0 ? Number(articles[place].dataset.index) : null;
  drawFilters();
  drawFrames();
  search();
  if (index !== null) go(articles.findIndex((article) => Number(article.dataset.index) >= index));
}
function choose(at) {
  current = transcripts[at];
  current.pairs ??= new Map(current.calls.flatMap((pair) => [[pair.call, pair]]));
  current.inPairs ??= new Set(current.calls.map((pair) => pair.result).filter((result) => result !== null));
  byId("title").textContent = plain(current.title);
  document.title = plain(current.title);
  byId("transcripts").selectedIndex = at;
  drawSummary();
  drawFilters();
  drawFrames();
  search();
}

function go(at) {
  if (at < 0 || at >= articles.length) return;
  place = at;
  const own = Math.floor(at / BLOCK);
  for (const near of [own, own + 1]) fillBlock(blocks[near]);
  articles[at].scrollIntoView({ block: "start" });
  articles[at].focus({ preventScroll: true });
  requestAnimationFrame(() => articles[at]?.scrollIntoView({ block: "start" }));
}
function textOf(frame) {
  frame.lower ??= [frame.name, frame.recipient, contentOf(frame)].filter(Boolean).join(" ").toLowerCase();
  return frame.lower;
}
function search() {
  const query = byId("query").value.toLowerCase();
  matches = [];
  match = -1;
  if (query) {
    articles.forEach((article, at) => {
      const frame = current.frames[article.dataset.index];
      const pair = current.pairs.get(frame.index);
      const result = pair && pair.result !== null && frame.kind === "tool_call" && !hidden.has("tool") ? current.frames[pair.result] : null;
      if (textOf(frame).includes(query) || (result && textOf(result).includes(query))) matches.push(at);
    });
  }
  byId("matches").textContent = query ? number(matches.length) + (matches.length === 1 ? " frame" : " frames") : "";
  highlight();
}
function nextMatch(step) {
  if (!matches.length) return;
  match = match < 0 ? (step > 0 ? 0 : matches.length - 1) : (match + step + matches.length) % matches.length;
  byId("matches").textContent = `${number(match + 1)} of ${number(matches.length)}`;
  go(matches[match]);
  highlight();
}
function highlight() {
  if (!window.CSS?.highlights) return;
  const query = byId("query").value.toLowerCase();
  CSS.highlights.delete("search");
  if (!query) return;
  const ranges = [];
  for (const at of matches) {
    const article = articles[at];
    if (!article.isConnected || ranges.length > 2000) continue;
    const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    const nodes = [];
    let text = "";
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      nodes.push([text.length, node]);
      text += node.data;
    }
    const lower = text.toLowerCase();
    if (lower.length !== text.length) continue;
    const point = (offset) => {
      let low = 0;
      let high = nodes.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (nodes[middle][0] <= offset) low = middle;
        else high = middle - 1;
      }
      return [nodes[low][1], offset - nodes[low][0]];
    };
    for (let found = lower.indexOf(query); found >= 0 && ranges.length <= 2000; found = lower.indexOf(query, found + query.length)) {
      const range = document.createRange();
      range.setStart(...point(found));
      const [node, offset] = point(found + query.length - 1);
      range.setEnd(node, offset + 1);
      ranges.push(range);
    }
  }
  CSS.highlights.set("search", new Highlight(...ranges));
}

function press(id, name) {
  const on = document.body.classList.toggle(name);
  byId(id).setAttribute("aria-pressed", String(on));
}
function turnTheme() {
  const order = [undefined, "dark", "light"];
  const theme = order[(order.indexOf(document.documentElement.dataset.theme) + 1) % 3];
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
  byId("theme").textContent = theme ? theme[0].toUpperCase() + theme.slice(1) : "Theme";
}
function nextRepair() {
  for (let at = place + 1; at < articles.length; at++) {
    if (current.frames[articles[at].dataset.index].repairs.length) return go(at);
  }
}

function showTokens() {
  press("tokens", "show-tokens");
  for (const article of document.querySelectorAll(".frame")) refine(article);
}
byId("tokens").addEventListener("click", showTokens);
byId("markup").addEventListener("click", () => press("markup", "show-markup"));
byId("theme").addEventListener("click", turnTheme);
byId("help").addEventListener("click", () => byId("keys").showModal());
byId("query").addEventListener("input", search);
byId("query").addEventListener("keydown", (event) => {
  if (event.key === "Enter") nextMatch(event.shiftKey ? -1 : 1);
  if (event.key === "Escape") byId("query").blur();
});
byId("transcripts").addEventListener("change", (event) => choose(event.target.selectedIndex));
const KEYS = {
  j: () => go(place + 1),
  k: () => go(place - 1),
  g: () => go(0),
  G: () => go(articles.length - 1),
  r: nextRepair,
  n: () => nextMatch(1),
  N: () => nextMatch(-1),
  t: showTokens,
  h: () => press("markup", "show-markup"),
  d: turnTheme,
  "/": () => byId("query").focus(),
  "?": () => byId("keys").showModal(),
  "[": () => choose((transcripts.indexOf(current) + transcripts.length - 1) % transcripts.length),
  "]": () => choose((transcripts.indexOf(current) + 1) % transcripts.length),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("keys").open) return;
  if (event.target.matches("input, select, textarea")) return;
  const channel = byId("filters").children[Number(event.key) - 1];
  const action = KEYS[event.key] || (channel && (() => toggleChannel(channel.dataset.channel)));
  if (!action) return;
  event.preventDefault();
  action();
});
document.addEventListener("mouseover", (event) => {
  refine(event.target.closest?.(".frame"));
  const token = event.target.closest?.("[data-tip]");
  const tip = byId("tip");
  tip.hidden = !token;
  if (!token) return;
  tip.replaceChildren(...token.dataset.tip.split("\n").map((line) => make("div", "", line)));
  const box = token.getClientRects()[0] || token.getBoundingClientRect();
  tip.style.left = `${Math.max(4, Math.min(box.left, window.innerWidth - tip.offsetWidth - 8))}px`;
  const below = box.bottom + 6;
  tip.style.top = `${below + tip.offsetHeight > window.innerHeight ? box.top - tip.offsetHeight - 6 : below}px`;
});
window.addEventListener("beforeprint", () => blocks.forEach(fillBlock));

byId("picker").hidden = transcripts.length < 2;
byId("transcripts").append(...transcripts.map((transcript) => make("option", "", plain(transcript.title))));
if (transcripts.length) choose(0);
