// Draws what the server said of a picture, from values that lie in the page: no choice here asks the server. It follows
// figures/gallery/maps.js, and the colour map of 256 steps is COLOURS. Text only ever becomes textContent or an attribute.

const element = (tag, name = "", text = "") => Object.assign(document.createElement(tag), {className: name, textContent: text});
const percent = (share) => `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
const styles = stylesOf(unpacked(COLOURS));
const DRAWN = 448; // pixels of a map's longer side
const BLACK = [0, 0, 0], WHITE = [255, 255, 255];

/** Less is blue, as before grey, more red: the ends and the middle of the diverging map that sheets are drawn with. */
const changing = styleOf(256, (step) => {
  const ends = [[59, 76, 192], [221, 221, 221], [180, 4, 38]], place = step / 127.5, k = Math.min(1, Math.floor(place));
  return ends[k].map((from, band) => Math.round(from + (place - k) * (ends[k + 1][band] - from)));
}, () => 255);

let count = 0; // of viewers, so that names of radio buttons are their own

/** Heat on a finer grid, bilinearly, as masks are made of it. */
function bilinear(heat, [rows, columns], height, width) {
  const at = (place, cells, pixels) => Math.min(cells - 1, Math.max(0, ((place + 0.5) * cells) / pixels - 0.5));
  const whole = new Float32Array(height * width);
  for (let y = 0; y < height; y++) {
    const v = at(y, rows, height), top = Math.floor(v), below = Math.min(rows - 1, top + 1), down = v - top;
    for (let x = 0; x < width; x++) {
      const u = at(x, columns, width), left = Math.floor(u), right = Math.min(columns - 1, left + 1), along = u - left;
      const upper = heat[top * columns + left] * (1 - along) + heat[top * columns + right] * along;
      const lower = heat[below * columns + left] * (1 - along) + heat[below * columns + right] * along;
      whole[y * width + x] = upper * (1 - down) + lower * down;
    }
  }
  return whole;
}

const shares = (map) => Float32Array.from(unpacked(map.bytes), (step) => step / 255);

function sizeOf(frame) {
  const scale = DRAWN / Math.max(frame.width, frame.height);
  return [frame.height, frame.width].map((length) => Math.max(1, Math.round(length * scale)));
}

/** The address of a map's picture. */
function drawnMap(frame, map, chosen, change = false) {
  const style = change ? changing : styles[chosen.style], [height, width] = sizeOf(frame);
  const heat = change || map.shared ? shares(map) : heatOf(map, false);
  if (chosen.cells && style.steps > 1) return drawing(heat, map.cells[0], map.cells[1], {...style, lines: []});
  return drawing(enlarged(heat, map.cells, height, width), height, width, style);
}

/** Where a map lies above its threshold, or what lies below it darkened. */
function drawnMask(frame, map, filled) {
  const [height, width] = sizeOf(frame), heat = bilinear(shares(map), map.cells, height, width);
  if (!filled) return drawing(heat, height, width, styleOf(1, () => BLACK, () => 0, [map.mask], () => WHITE, BLACK));
  return png(Uint8Array.from(heat, (value) => value > map.mask), height, width, [[0, 0, 0, 170], [0, 0, 0, 0]]);
}

/** A picture with maps over it, which tells the weight of the cell that is pointed at. */
function frameOf(frame, words) {
  const room = element("div", "pa-room"), box = element("div", "pa-frame"), weight = element("output", "pa-weight");
  box.style.setProperty("--ratio", frame.width / frame.height);
  box.tabIndex = 0;
  box.setAttribute("role", "img");
  const layers = ["picture", "map", "other", "mask"].map((name) => Object.assign(element("img", `pa-${name}`), {alt: ""}));
  layers[0].src = frame.picture;
  box.append(...layers);
  weight.hidden = true;
  room.append(box, weight);
  let map = null, cell = null;

  function point(row, column) {
    cell = [row, column];
    const value = valueAt(map, row, column);
    weight.textContent = `${Number(value.toPrecision(3))} in row ${row + 1}, column ${column + 1}`;
    weight.hidden = false;
  }
  box.addEventListener("pointermove", (event) => {
    if (!map) return;
    const {left, top, width, height} = box.getBoundingClientRect(), [rows, columns] = map.cells;
    const row = Math.floor(((event.clientY - top) / height) * rows), column = Math.floor(((event.clientX - left) / width) * columns);
    if (row >= 0 && row < rows && column >= 0 && column < columns) point(row, column);
  });
  for (const away of ["pointerleave", "blur"]) box.addEventListener(away, () => { weight.hidden = true; });
  box.addEventListener("keydown", (event) => {
    const step = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]}[event.key];
    if (!step || !map) return;
    event.preventDefault();
    const [row, column] = cell ?? map.cells.map((cells) => Math.floor(cells / 2));
    point(...[row + step[0], column + step[1]].map((place, k) => Math.min(map.cells[k] - 1, Math.max(0, place))));
  });

  return {
    room,
    /** Shows a map, another beside it from a share of the width on, and a mask; any of them may be missing. */
    draw(chosen, own, {other = null, change = false, said = words} = {}) {
      map = own;
      box.classList.toggle("pa-heat", (chosen.style === "heat" || change) && Boolean(own));
      box.classList.toggle("pa-cells", chosen.cells);
      box.setAttribute("aria-label", said);
      const [, shown, beside, mask] = layers;
      for (const [image, address] of [
        [shown, own && drawnMap(frame, own, chosen, change)],
        [beside, own && other && drawnMap(frame, other, chosen)],
        [mask, own && (chosen.mask || chosen.outline) && typeof own.mask === "number" && drawnMask(frame, own, chosen.mask)],
      ]) {
        image.hidden = !address;
        address ? (image.src = address) : image.removeAttribute("src");
      }
      box.classList.toggle("pa-split", !beside.hidden);
    },
    /** Opacity and the place of the slider change without drawing. */
    set(chosen) {
      box.style.setProperty("--opacity", chosen.opacity);
      box.style.setProperty("--split", `${chosen.split} %`.replace(" ", ""));
    },
  };
}

// ---------------------------------------------------------------- controls

/** Buttons of which one is chosen, with the keys that such have. */
function radios(legend, options, value, changed) {
  const box = element("fieldset", "pa-choice"), name = `pa-${count++}`;
  box.append(element("legend", "", legend));
  for (const [own, text] of options) {
    const label = element("label"), input = element("input");
    Object.assign(input, {type: "radio", name, value: own, checked: own === value});
    input.addEventListener("change", () => changed(own));
    label.append(input, element("span", "", text));
    box.append(label);
  }
  return box;
}

function slider(text, {min, max, step, value}, changed) {
  const label = element("label", "pa-slider", text), input = element("input");
  Object.assign(input, {type: "range", min, max, step, value});
  input.addEventListener("input", () => changed(Number(input.value)));
  label.append(input);
  return label;
}

function check(text, checked, changed) {
  const label = element("label", "pa-check"), input = element("input");
  Object.assign(input, {type: "checkbox", checked});
  input.addEventListener("change", () => changed(input.checked));
  label.append(input, text);
  return label;
}

function select(text, options, value, changed) {
  const label = element("label", "pa-select", text), box = element("select");
  for (const [own, words] of options) box.append(Object.assign(element("option", "", words), {value: own}));
  box.value = value;
  box.addEventListener("change", () => changed(box.value));
  label.append(box);
  return label;
}

/** The most probable classes as bars; a class may be chosen where something is to be done with that. */
function bars(classes, chosen = null, changed = null) {
  const list = element("ol", "pa-bars");
  for (const [name, share] of classes) {
    const item = element("li"), row = element(changed ? "button" : "span", "pa-bar");
    if (changed) {
      Object.assign(row, {type: "button", onclick: () => changed(name)});
      row.setAttribute("aria-pressed", name === chosen);
    }
    const bar = element("i");
    bar.style.setProperty("--share", percent(share).replace(" ", ""));
    row.append(element("b", "", name), element("small", "", percent(share)), bar);
    item.append(row);
    list.append(item);
  }
  return list;
}

/** How maps are drawn, for every view: what is chosen calls for new drawings, or only for new values of the style. */
function looks(chosen, redraw, restyle, masks) {
  const choose = (name, then) => (value) => { chosen[name] = value; then(); };
  const box = element("div", "pa-looks");
  box.append(
    radios("Style", Object.keys(styles).map((name) => [name, name]), chosen.style, choose("style", redraw)),
    slider("Opacity", {min: 0, max: 1, step: 0.05, value: chosen.opacity}, choose("opacity", restyle)),
    check("the map's own cells", chosen.cells, choose("cells", redraw)),
  );
  if (masks) box.append(
    check("mask", chosen.mask, choose("mask", redraw)), check("its outline", chosen.outline, choose("outline", redraw)));
  return box;
}

const plainly = () => ({style: "heat", opacity: 0.6, cells: false, mask: false, outline: false, split: 50});

// ---------------------------------------------------------------- the views

/** A picture, its maps by method, level and class, and the classes. */
function lookView(root, data, kept) {
  const chosen = {...plainly(), beside: "", ...kept};
  const methods = [...new Map(data.sources.map((one) => [one.method, one.title]))];
  const ofMethod = (method) => data.sources.filter((one) => one.method === method);
  const ofClass = (method) => ofMethod(method).some((one) => one.target !== null);
  const sourceOf = (method) => ofMethod(method).find((one) => one.target === chosen.target) ?? ofMethod(method)[0];
  const mapOf = (source) => source.maps[chosen.level] ?? source.maps[source.first];
  if (!methods.some(([name]) => name === chosen.method)) chosen.method = methods[0][0];
  if (!data.classes.some(([name]) => name === chosen.target)) chosen.target = data.classes[0][0];
  const frame = frameOf(data, data.name), side = element("div", "pa-side"), note = element("p", "pa-note");

  function draw() {
    const source = sourceOf(chosen.method), other = chosen.beside && methods.some(([name]) => name === chosen.beside) ? sourceOf(chosen.beside) : null;
    const map = mapOf(source), of = source.target === null ? "" : ` of ${source.target}`;
    frame.draw(chosen, map, {other: other && mapOf(other), said: `${data.name}: ${source.title}${of}, ${map.title}`});
    frame.set(chosen);
    note.textContent = [
      `${source.title}${of}: ${map.title}.`,
      other ? `Right of the line: ${other.title}${other.target === null ? "" : ` of ${other.target}`}, ${mapOf(other).title}.` : "",
      map.contrast < 1 ? "This map is nearly flat." : "",
      source.target === null ? data.about : "",
    ].join(" ");
  }
  function rebuild() {
    const focused = root.contains(document.activeElement) ? document.activeElement.value : null;
    const source = sourceOf(chosen.method);
    if (!(chosen.level in source.maps)) chosen.level = source.first;
    const say = element("p", "pa-said");
    say.append(element("b", "", data.label), ` ${percent(data.classes[0][1])}`);
    const others = methods.filter(([name]) => name !== chosen.method);
    const parts = [
      say,
      bars(data.classes, ofClass(chosen.method) ? chosen.target : null, (name) => {
        chosen.target = name;
        if (!ofClass(chosen.method)) chosen.method = methods.find(([own]) => ofClass(own))[0];
        rebuild();
      }),
      radios("Map", methods, chosen.method, (value) => { chosen.method = value; rebuild(); }),
      radios("Level", Object.entries(source.maps).map(([level, map]) => [level, map.title]), chosen.level, (value) => { chosen.level = value; draw(); }),
      looks(chosen, draw, () => frame.set(chosen), true),
    ];
    if (others.length) parts.push(select("Compare with", [["", "nothing"], ...others], others.some(([name]) => name === chosen.beside) ? chosen.beside : "", (value) => {
      chosen.beside = value;
      split.hidden = !value;
      draw();
    }));
    const split = slider("The line between the two", {min: 0, max: 100, step: 1, value: chosen.split}, (value) => { chosen.split = value; frame.set(chosen); });
    if (!others.some(([name]) => name === chosen.beside)) chosen.beside = "";
    split.hidden = !chosen.beside;
    side.replaceChildren(...parts, split, note, ...data.notes.map((text) => element("p", "pa-note", `Note: ${text}.`)));
    draw();
    if (focused !== null) [...side.querySelectorAll("input")].find((own) => own.value === focused && own.checked)?.focus();
  }
  const main = element("div", "pa-main");
  main.append(frame.room);
  root.replaceChildren(main, side);
  rebuild();
  return chosen;
}

/** One picture's maps before and after another asks, and what changed. */
function queryView(root, data, kept) {
  if (data.blind && !data.levels) {
    root.replaceChildren(element("p", "pa-note pa-blind", data.blind));
    return kept;
  }
  const chosen = {...plainly(), ...kept};
  if (!(chosen.level in data.levels)) chosen.level = data.first;
  const called = {own: "its own query", asked: "the other's query", change: "change"};
  const frames = Object.entries(called).map(([key, title]) => {
    const box = element("figure"), frame = frameOf(data, title);
    box.append(frame.room, element("figcaption", "", title));
    return [key, frame, box];
  });
  const note = element("p", "pa-note");
  function draw() {
    const level = data.levels[chosen.level];
    for (const [key, frame] of frames) {
      frame.draw(chosen, {...level[key], shared: true}, {change: key === "change", said: `${data.name} under ${called[key]}: ${level.title}`});
      frame.set(chosen);
    }
    const same = data.label === data.asked_label;
    note.textContent = `Moved by ${level.moved.toFixed(3)} (total variation; 0: not at all, 1: as far as can be). `
      + `${same ? `Either way it is ${data.label}.` : `${data.label} becomes ${data.asked_label}.`} `
      + `Red is more, blue is less; the deepest colour stands for ±${percent(level.most)}.`;
  }
  const side = element("div", "pa-side"), row = element("div", "pa-frames");
  row.append(...frames.map(([, , box]) => box));
  side.append(
    radios("Level", Object.entries(data.levels).map(([level, own]) => [level, own.title]), chosen.level, (value) => { chosen.level = value; draw(); }),
    looks(chosen, draw, () => frames.forEach(([, frame]) => frame.set(chosen)), false),
    note,
  );
  if (data.blind) side.append(element("p", "pa-note pa-blind", data.blind));
  root.replaceChildren(row, side);
  draw();
  return chosen;
}

/** A picture, the same under attack and under noise: classes, maps, and what was added. */
function attackView(root, data, kept) {
  const chosen = {...plainly(), ...kept};
  if (!(chosen.level in data.levels)) chosen.level = data.first;
  const row = element("div", "pa-frames"), side = element("div", "pa-side");
  const frames = data.versions.map((version) => {
    const box = element("figure"), frame = frameOf(version, version.title);
    box.append(element("figcaption", "", version.title), frame.room, bars(version.classes));
    if (version.change) {
      const change = Object.assign(element("img", "pa-change"), {src: version.change, alt: `what was added ${version.title}, magnified`});
      box.append(change, element("figcaption", "", "what was added, magnified"));
    }
    row.append(box);
    return [version, frame];
  });
  function draw() {
    for (const [version, frame] of frames) {
      frame.draw(chosen, version.maps[chosen.level] ?? null, {said: `${data.name} ${version.title}: ${version.classes[0][0]}`});
      frame.set(chosen);
    }
  }
  side.append(element("p", "pa-said", data.said));
  if (data.first) side.append(
    radios(`Level (${data.method})`, Object.entries(data.levels), chosen.level, (value) => { chosen.level = value; draw(); }),
    looks(chosen, draw, () => frames.forEach(([, frame]) => frame.set(chosen)), false));
  root.replaceChildren(row, side);
  draw();
  return chosen;
}

const VIEWS = {look: lookView, query: queryView, attack: attackView};

/** Draws a part of the page whenever the server has said something new; what was chosen there stays chosen. */
function show(part, props, watch) {
  let kept = {};
  const draw = () => {
    const root = part.querySelector(".pa-viewer");
    if (!root) return;
    root.replaceChildren();
    if (!props.value) return;
    const data = JSON.parse(props.value);
    root.className = `pa-viewer pa-of-${data.kind}`;
    kept = VIEWS[data.kind](root, data, kept);
  };
  watch("value", draw);
  draw();
}

/** The pictures that come along, as buttons; `trigger` says which one is chosen. */
function strip(part, props, trigger, watch) {
  const draw = () => {
    const root = part.querySelector(".pa-strip");
    if (!root || !props.value) return;
    root.replaceChildren(...JSON.parse(props.value).pictures.map(({number, says, picture}) => {
      const button = element("button"), image = element("img");
      Object.assign(image, {src: picture, alt: says});
      Object.assign(button, {type: "button", title: says, onclick: () => trigger("select", {number})});
      button.append(image);
      return button;
    }));
  };
  watch("value", draw);
  draw();
}
