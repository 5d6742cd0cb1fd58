// Shows the records of this page: what is chosen stands in `chosen`, `arrange` decides which pictures are there and in
// what order, and `paint` draws a map over a picture. Text from records only ever becomes textContent or an attribute.

const element = (selector, within = document) => within.querySelector(selector);
const made = (tag, text = "", name = "") => Object.assign(document.createElement(tag), {textContent: text, className: name});
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
const counted = (count, what) => `${count.toLocaleString("en")} ${what}${count === 1 ? "" : "s"}`;
const inOrder = new Intl.Collator("en", {numeric: true}).compare;

const block = element("#data");
const {settings, records} = JSON.parse(block.textContent);
block.remove();
const colours = unpacked(settings.colours), styles = stylesOf(colours);

const SIDE = 160, LARGE_SIDE = 448, SMALL_SIDE = 96; // pixels that a map is drawn with: over a card, alone, among others
const MOST_CLASSES = 30; // that the confusion matrix shows

for (const [place, record] of records.entries()) {
  record.place = place;
  record.probability = record.probabilities.length ? record.probabilities[0][1] : 0;
  const own = record.probabilities.find(([name]) => name === record.true);
  record.ofTrue = own ? own[1] : 0;
  record.known = record.true !== null;
  record.wrong = record.known && record.true !== record.predicted;
}
const truthKnown = records.some((record) => record.known);
const classes = [...new Set(records.flatMap((record) => (record.known ? [record.true, record.predicted] : [record.predicted])))].sort(inOrder);
const ORDERS = {
  worst: ["worst mistakes first", (a, b) => b.wrong - a.wrong || (a.wrong ? a.ofTrue - b.ofTrue : a.probability - b.probability)],
  unsure: ["least sure first", (a, b) => a.probability - b.probability],
  sure: ["most sure first", (a, b) => b.probability - a.probability],
  given: ["as given", () => 0],
  name: ["by name", (a, b) => inOrder(a.name, b.name)],
};
if (!truthKnown) delete ORDERS.worst;

const chosen = {order: Object.keys(ORDERS)[0], truth: "", called: "", outcome: "", text: "", style: settings.style, cells: false, method: "", level: ""};
let shown = []; // the records that are there, in their order

// ---------------------------------------------------------------- maps

function mapOf(record, method = chosen.method, level = chosen.level) {
  return record.maps[method]?.[level];
}

/** Draws a map on the image that lies over a picture; without a map there is none. */
function paint(image, record, map, side) {
  image.hidden = !map;
  if (!map) return;
  const named = styles[chosen.style], cells = chosen.cells && named.steps > 1; // contours have no cells,
  const style = cells ? {...named, lines: []} : named; // and cells no lines, which are finer
  const scale = side / Math.max(record.width, record.height);
  const [height, width] = cells ? map.cells
    : [record.height, record.width].map((length) => Math.max(1, Math.round(length * scale)));
  const heat = heatOf(map, settings.scale === "fixed");
  image.src = drawing(cells ? heat : enlarged(heat, map.cells, height, width), height, width, style);
}

// ---------------------------------------------------------------- cards

/** A record in words, for whoever does not see it. */
function said(record) {
  const truth = !record.known ? "" : record.wrong ? `; wrong, it is ${record.true}` : "; right";
  return `${record.name}: ${record.predicted}, ${percent(record.probability)}${truth}`;
}

function setFrame(frame, record) {
  frame.style.setProperty("--ratio", record.width / record.height);
  frame.record = record;
}

function cardOf(record) {
  if (record.card) return record.card;
  const card = (record.card = element("#card").content.firstElementChild.cloneNode(true));
  card.record = record;
  card.className = record.wrong ? "wrong" : record.known ? "right" : "";
  setFrame(element(".frame", card), record);
  element("img", card).alt = said(record);
  element(".called", card).textContent = record.predicted;
  element(".probability", card).textContent = percent(record.probability);
  element(".truth", card).textContent = !record.known ? "" : record.wrong ? `✗ it is ${record.true}` : "✓ right";
  element(".name", card).textContent = record.name.split(/[/\\]/).at(-1) || record.name;
  element("button", card).title = said(record);
  watcher.observe(card);
  return card;
}

const MILLISECONDS = 6; // of a frame that may go into drawing, so that the page scrolls evenly
const near = new Set(), undrawn = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const {target, isIntersecting} of entries) isIntersecting ? enter(target) : leave(target);
}, {rootMargin: "800px"});

function enter(card) {
  near.add(card);
  const image = element("img", card);
  if (!image.src) image.src = card.record.picture;
  drawSoon([card]);
}

/** Draws cards within the next frames, as many in each as there is time for. */
function drawSoon(cards) {
  if (undrawn.size === 0 && cards.length) requestAnimationFrame(drawSome);
  for (const card of cards) undrawn.add(card);
}

function drawSome() {
  const end = performance.now() + MILLISECONDS;
  for (const card of undrawn) {
    undrawn.delete(card);
    drawCard(card);
    if (performance.now() > end) break;
  }
  if (undrawn.size) requestAnimationFrame(drawSome);
}

/** Gives back a map's memory. */
function leave(card) {
  undrawn.delete(card);
  if (near.delete(card)) element(".map", card).removeAttribute("src");
}

function drawCard(card) {
  const map = mapOf(card.record);
  element(".flat", card).hidden = !map || map.contrast === 1;
  paint(element(".map", card), card.record, map, SIDE);
}

/** Draws anew what is near, the cards in view before those beyond. */
function redraw() {
  const middle = innerHeight / 2, away = new Map();
  for (const card of near) away.set(card, Math.abs(card.getBoundingClientRect().top - middle));
  drawSoon([...near].sort((a, b) => away.get(a) - away.get(b)));
  if (large.open) showLarge(large.record);
}

// ---------------------------------------------------------------- which pictures, in what order

function isWanted(record) {
  const {truth, called, outcome, text} = chosen;
  return (truth === "" || record.true === classes[truth]) && (called === "" || record.predicted === classes[called])
    && (outcome === "" || (record.known && record.wrong === (outcome === "wrong")))
    && (text === "" || record.name.toLowerCase().includes(text.toLowerCase()));
}

function arrange() {
  const compare = ORDERS[chosen.order][1];
  shown = records.filter(isWanted).sort((a, b) => compare(a, b) || a.place - b.place);
  for (const card of near) leave(card);
  watcher.disconnect();
  const cards = shown.map(cardOf);
  element("#pictures").replaceChildren(...cards);
  for (const card of cards) watcher.observe(card);
  const all = shown.length === records.length;
  element("#count span").textContent = all ? counted(records.length, "picture")
    : shown.length === 0 ? "No picture is like that." : `${shown.length.toLocaleString("en")} of ${counted(records.length, "picture")}`;
  element("#count button").hidden = all;
  for (const button of document.querySelectorAll("#matrix button"))
    button.setAttribute("aria-pressed", button.dataset.truth === chosen.truth && button.dataset.called === chosen.called);
}

// ---------------------------------------------------------------- controls

const controls = element("#controls");

function addOption(select, value, text) {
  select.append(Object.assign(made("option", text), {value}));
}

/** Buttons of which one is chosen, with the keys that such have. */
function setChoices(field, name, labels) {
  const box = element(field);
  box.replaceChildren(box.firstElementChild, ...labels.map(([value, text]) => {
    const label = made("label"), input = made("input");
    Object.assign(input, {type: "radio", name, value, checked: value === chosen[name]});
    label.append(input, made("span", text));
    return label;
  }));
  box.hidden = labels.length < 2;
}

function methodsKnown() {
  return [...new Set(records.flatMap((record) => Object.keys(record.maps)))];
}

function levelsKnown() {
  return [...new Set(records.flatMap((record) => Object.keys(record.maps[chosen.method] ?? {})))];
}

/** The level of that name where the method has one, else its last. */
function keepLevel() {
  const levels = levelsKnown();
  if (!levels.includes(chosen.level)) chosen.level = levels.at(-1) ?? "";
  setChoices("#levels", "level", levels.map((level) => [level, level]));
}

function addControls() {
  for (const [value, [text]] of Object.entries(ORDERS)) addOption(controls.order, value, text);
  for (const select of [controls.truth, controls.called]) {
    addOption(select, "", "all");
    classes.forEach((name, number) => addOption(select, number, name));
  }
  for (const label of document.querySelectorAll("#controls .truth")) label.hidden = !truthKnown;
  chosen.method = methodsKnown()[0] ?? "";
  keepLevel();
  setChoices("#methods", "method", methodsKnown().map((method) => [method, method]));
  setChoices("#styles", "style", Object.keys(styles).map((style) => [style, style]));
  drawLegend();
}

function drawLegend() {
  const steps = Float32Array.from({length: 256}, (_, step) => step / 255);
  element("#legend img").src = drawing(steps, 1, 256, styles.heat);
  if (settings.scale === "fixed") [element("#legend .least").textContent, element("#legend .most").textContent] = ["0", "1"];
}

/** What was chosen is in force. */
function changed(event) {
  const {name, value, type, checked} = event.target;
  if (name === "opacity") return document.documentElement.style.setProperty("--opacity", value);
  chosen[name] = type === "checkbox" ? checked : value;
  if (name === "method") keepLevel();
  if (["order", "truth", "called", "outcome", "text"].includes(name)) return arrange();
  setLook();
}

function setLook() {
  document.body.classList.toggle("heat", chosen.style === "heat");
  document.body.classList.toggle("cells", chosen.cells);
  element("#legend").hidden = chosen.style !== "heat";
  redraw();
}

/** Shows the pictures of some classes: their numbers, or "" for all. */
function filter(truth, called) {
  Object.assign(chosen, {truth, called, outcome: "", text: ""});
  for (const name of ["truth", "called", "outcome", "text"]) controls[name].value = chosen[name];
  arrange();
}

// ---------------------------------------------------------------- the confusion matrix

function addConfusion() {
  const counts = new Map(), mistakes = classes.map(() => 0), totals = classes.map(() => 0), number = new Map(classes.map((name, k) => [name, k]));
  for (const record of records.filter((one) => one.known)) {
    const pair = [number.get(record.true), number.get(record.predicted)];
    counts.set(`${pair}`, (counts.get(`${pair}`) ?? 0) + 1);
    totals[pair[0]]++;
    if (record.wrong) for (const k of pair) mistakes[k]++;
  }
  const own = [...classes.keys()].sort((a, b) => mistakes[b] - mistakes[a]).slice(0, MOST_CLASSES).sort((a, b) => a - b);
  if (own.length < classes.length)
    element("#left-out").textContent = `Of ${classes.length} classes these ${own.length} have most mistakes.`;
  const head = made("tr");
  head.append(made("td"), ...own.map((called) => headOf(called, "col")));
  element("#matrix thead").append(head);
  for (const truth of own) element("#matrix tbody").append(rowOf(truth, own, counts, totals[truth]));
  const first = element("#matrix button");
  if (first) first.tabIndex = 0;
  element("#confusion").hidden = !truthKnown;
  element("#confusion").open = own.length <= 12 && !matchMedia("(max-width: 700px)").matches;
}

function headOf(k, scope) {
  const cell = Object.assign(made("th"), {scope, title: classes[k]});
  cell.append(made("span", classes[k]));
  return cell;
}

function rowOf(truth, own, counts, total) {
  const row = made("tr");
  row.append(headOf(truth, "row"));
  for (const called of own) {
    const cell = made("td", "", truth === called ? "own" : ""), count = counts.get(`${[truth, called]}`) ?? 0;
    if (count) {
      const button = Object.assign(made("button", count.toLocaleString("en")), {type: "button", tabIndex: -1});
      Object.assign(button.dataset, {truth, called});
      button.setAttribute("aria-label", `${counted(count, "picture")} of ${classes[truth]} called ${classes[called]}`);
      cell.style.setProperty("--share", 0.75 * (count / total));
      cell.append(button);
    }
    row.append(cell);
  }
  const right = counts.get(`${[truth, truth]}`) ?? 0;
  row.append(made("td", total ? `${percent(right / total)} of ${total.toLocaleString("en")}` : "", "recall"));
  return row;
}

/** Arrow keys go to the next cell that holds a number. */
function moveInMatrix(event) {
  const steps = {ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0]}[event.key];
  const from = event.target.closest("td");
  if (!steps || !from) return;
  event.preventDefault();
  const rows = [...element("#matrix tbody").rows];
  let row = rows.indexOf(from.parentElement), column = from.cellIndex, next = null;
  do {
    row += steps[0];
    column += steps[1];
    next = rows[row]?.cells[column];
  } while (next && !element("button", next));
  const button = next && element("button", next);
  if (!button) return;
  event.target.tabIndex = -1;
  button.tabIndex = 0;
  button.focus();
}

// ---------------------------------------------------------------- one picture, large

const large = element("#large");

function showLarge(record) {
  large.record = record;
  const place = shown.indexOf(record), map = mapOf(record), frame = element(".room .frame", large);
  element("#large-name").textContent = record.name;
  element(".place", large).textContent = `${place + 1} of ${shown.length.toLocaleString("en")}`;
  element(".back", large).disabled = place <= 0;
  element(".on", large).disabled = place < 0 || place === shown.length - 1;
  setFrame(frame, record);
  Object.assign(element("img", frame), {src: record.picture, alt: said(record)});
  paint(element(".map", frame), record, map, LARGE_SIDE);
  element(".classes tbody", large).replaceChildren(...record.probabilities.map((own) => classRow(record, ...own)));
  element(".peak", large).textContent = map ? inWords(map) : "There is no such map of this picture.";
  element(".maps", large).replaceChildren(...Object.entries(record.maps).flatMap(([method, levels]) =>
    Object.keys(levels).map((level) => smallMap(record, method, level))));
}

function classRow(record, name, probability) {
  const row = made("tr"), title = made("th", "", name === record.true ? "true" : "");
  title.scope = "row";
  title.title = name;
  title.append(made("bdi", name), made("span", name === record.true ? " (true)" : ""));
  const share = made("td", "", "share"), bar = made("i");
  bar.style.setProperty("--share", `${100 * probability}%`);
  share.append(bar);
  row.append(title, share, made("td", `${(100 * probability).toFixed(1)} %`));
  return row;
}

function inWords(map) {
  const [height, width] = map.grid, [rows, columns] = map.cells, steps = unpacked(map.bytes);
  const peak = steps.indexOf(Math.max(...steps));
  const averaged = rows < height ? `, shown in ${columns} × ${rows}, each the mean of what it covers` : "";
  const flat = map.contrast < 1 ? " The map is nearly flat: it hardly tells one place from another." : "";
  return `${chosen.method}, ${chosen.level}: ${width} × ${height} cells${averaged}. Greatest: ${short(map.high)} in row ${
    Math.floor(peak / columns) + 1}, column ${(peak % columns) + 1}; least: ${short(map.low)}.${flat}`;
}

const short = (value) => (value && Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toPrecision(3));

/** A button that shows one of a picture's maps, and chooses it. */
function smallMap(record, method, level) {
  const item = made("li"), button = Object.assign(made("button"), {type: "button"}), frame = made("span", "", "frame");
  button.setAttribute("aria-pressed", method === chosen.method && level === chosen.level);
  const image = Object.assign(made("img"), {src: record.picture, alt: ""}), map = Object.assign(made("img", "", "map"), {alt: ""});
  const room = made("span", "", "room");
  frame.style.setProperty("--ratio", record.width / record.height);
  frame.append(image, map);
  room.append(frame);
  paint(map, record, mapOf(record, method, level), SMALL_SIDE);
  button.append(room, made("span", methodsKnown().length > 1 ? `${method}: ${level}` : level, "caption"));
  button.onclick = () => choose(method, level);
  item.append(button);
  return item;
}

function choose(method, level) {
  chosen.method = method;
  chosen.level = level;
  for (const input of document.querySelectorAll("#methods input")) input.checked = input.value === method;
  keepLevel();
  redraw();
  element('.maps [aria-pressed="true"]', large)?.focus();
}

function step(by) {
  const next = shown[shown.indexOf(large.record) + by];
  if (next) showLarge(next);
}

// ---------------------------------------------------------------- a cell's weight

const weight = element("#weight");

function tellWeight(event) {
  const frame = event.target.closest?.(".frame"), map = frame?.record && mapOf(frame.record);
  weight.hidden = !map;
  if (!map) return;
  const box = frame.getBoundingClientRect(), [rows, columns] = map.cells;
  const within = (place, length, cells) => Math.min(cells - 1, Math.max(0, Math.floor((place / length) * cells)));
  const row = within(event.clientY - box.top, box.height, rows), column = within(event.clientX - box.left, box.width, columns);
  weight.textContent = `${short(valueAt(map, row, column))} in row ${row + 1}, column ${column + 1}`;
  (large.open ? large : document.body).append(weight); // what is modal covers all else
  const room = weight.getBoundingClientRect();
  weight.style.left = `${Math.min(event.clientX + 14, innerWidth - room.width - 4)}px`;
  weight.style.top = `${event.clientY + 18 + room.height < innerHeight ? event.clientY + 18 : event.clientY - 10 - room.height}px`;
}

// ---------------------------------------------------------------- the page begins

function summarise() {
  const judged = records.filter((record) => record.known), wrong = judged.filter((record) => record.wrong).length;
  const mistakes = judged.length ? `; ${wrong.toLocaleString("en")} of ${judged.length.toLocaleString("en")} wrong (${percent(wrong / judged.length)})` : "";
  element("#summary").textContent = `${counted(records.length, "picture")}${mistakes}.`;
}

controls.addEventListener("input", changed);
controls.addEventListener("submit", (event) => event.preventDefault());
element("#count button").onclick = () => filter("", "");
element("#matrix").addEventListener("keydown", moveInMatrix);
element("#matrix").addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const again = button.getAttribute("aria-pressed") === "true";
  filter(again ? "" : button.dataset.truth, again ? "" : button.dataset.called);
});
element("#pictures").addEventListener("click", (event) => {
  const card = event.target.closest("li");
  if (!card) return;
  weight.hidden = true;
  showLarge(card.record);
  large.showModal();
});
element(".back", large).onclick = () => step(-1);
element(".on", large).onclick = () => step(1);
element(".close", large).onclick = () => large.close();
large.addEventListener("keydown", (event) => {
  const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (by) { event.preventDefault(); step(by); }
});
large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
large.addEventListener("close", () => { weight.hidden = true; large.record.card.querySelector("button").focus(); });
document.addEventListener("pointermove", tellWeight);
document.addEventListener("pointerleave", () => { weight.hidden = true; });
document.addEventListener("scroll", () => { weight.hidden = true; }, {passive: true, capture: true});

controls.reset();
addControls();
summarise();
addConfusion();
setLook();
arrange();
