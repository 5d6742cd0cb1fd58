"use strict";
// Draws a map as a picture to lie over a photograph: its bytes become heat, 0 ... 1, on a finer grid, and that a PNG of
// at most 256 colours, which a style names. Nothing is read back from the browser: some alter what is read of a canvas.

const unpacked = (base64) => Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));

/** The value that a cell of a map has, as the model or the method gave it. */
function valueAt(map, row, column) {
  const step = unpacked(map.bytes)[row * map.cells[1] + column];
  return map.low + (step / 255) * (map.high - map.low);
}

/** How strongly each cell is drawn: from its map's least to its greatest value, or by the values as they are. */
function heatOf(map, fixed) {
  const own = (step) => (step / 255) * map.contrast;
  const asItIs = (step) => Math.min(1, Math.max(0, map.low + (step / 255) * (map.high - map.low)));
  return Float32Array.from(unpacked(map.bytes), fixed ? asItIs : own);
}

const curves = new Map();
/** For each of so many pixels the four cells about it, and their weights: Keys' cubic, cut off at the border as Pillow's. */
function cubic(cells, pixels) {
  const key = `${cells} ${pixels}`;
  if (!curves.has(key)) {
    const places = new Uint16Array(4 * pixels), weights = new Float32Array(4 * pixels);
    for (let pixel = 0; pixel < pixels; pixel++) {
      const place = ((pixel + 0.5) * cells) / pixels - 0.5, own = weights.subarray(4 * pixel, 4 * pixel + 4);
      for (let k = 0; k < 4; k++) {
        const cell = Math.floor(place) - 1 + k, d = Math.abs(cell - place);
        if (cell < 0 || cell >= cells) continue;
        places[4 * pixel + k] = cell;
        own[k] = d < 1 ? (1.5 * d - 2.5) * d * d + 1 : ((-0.5 * d + 2.5) * d - 4) * d + 2;
      }
      const sum = own.reduce((sum, weight) => sum + weight);
      own.forEach((weight, k) => { own[k] = weight / sum; });
    }
    curves.set(key, [places, weights]);
  }
  return curves.get(key);
}

/** Heat on a finer grid; nowhere outside the range of its own values. Plain loops: it is drawn while one scrolls. */
function enlarged(heat, [rows, columns], height, width) {
  const low = Math.min(...heat), high = Math.max(...heat);
  const [from, share] = cubic(columns, width), [above, part] = cubic(rows, height);
  const wide = new Float32Array(rows * width), whole = new Float32Array(height * width);
  for (let row = 0; row < rows; row++)
    for (let x = 0, k = 0, first = row * columns; x < width; x++, k += 4)
      wide[row * width + x] = share[k] * heat[first + from[k]] + share[k + 1] * heat[first + from[k + 1]]
        + share[k + 2] * heat[first + from[k + 2]] + share[k + 3] * heat[first + from[k + 3]];
  let peak = 0;
  for (let y = 0, to = 0; y < height; y++) {
    const [a, b, c, d] = [0, 1, 2, 3].map((k) => above[4 * y + k] * width), [p, q, r, s] = part.subarray(4 * y, 4 * y + 4);
    for (let x = 0; x < width; x++, to++) {
      const value = p * wide[a + x] + q * wide[b + x] + r * wide[c + x] + s * wide[d + x];
      whole[to] = value < low ? low : value > high ? high : value;
      if (whole[to] > peak) peak = whole[to];
    }
  }
  if (peak > 0) // between pixels' centres the greatest value is missed
    for (let k = 0; k < whole.length; k++) whole[k] *= high / peak;
  return whole;
}

/**
 * A style: the steps that heat is drawn in, each step's colour and how much it covers (0 ... 255), and lines where the
 * heat has some values, each with an edge to be seen on any ground.
 */
function styleOf(steps, colour, cover, lines = [], ink = null, edge = null) {
  const table = Array.from({length: steps}, (_, step) => [...colour(step), cover(step)]);
  table.push(...lines.map((value) => [...ink(value), 255]));
  if (lines.length) table.push([...edge, 255]);
  return {steps, lines, table};
}

/** The styles, of a colour map of 256 steps (red, green and blue of each). */
function stylesOf(colours) {
  const coloured = (value) => [...colours.subarray(3 * Math.round(255 * value)).subarray(0, 3)];
  const black = [0, 0, 0], white = [255, 255, 255];
  return {
    heat: styleOf(256, (step) => coloured(step / 255), () => 255),
    // where the map is low it is dark; on a dark picture nothing but the line would show
    dim: styleOf(254, () => black, (step) => Math.round(255 * (1 - step / 253)), [0.5], () => white, black),
    contour: styleOf(1, () => black, () => 0, [0.25, 0.5, 0.75], coloured, white),
  };
}

/** Heat in a style, as the address of a picture of its size. */
function drawing(heat, height, width, style) {
  const steps = new Uint8Array(heat.length);
  for (let k = 0; k < heat.length; k++) steps[k] = (style.steps - 1) * heat[k] + 0.5;
  if (style.lines.length) addLines(steps, heat, height, width, style);
  return png(steps, height, width, style.table);
}

function addLines(steps, heat, height, width, {steps: first, lines}) {
  const half = Math.max(0.8, Math.max(width, height) / 320), inner = half ** 2, outer = (half + 1) ** 2; // pixels
  for (let y = 0, k = 0; y < height; y++)
    for (let x = 0; x < width; x++, k++) {
      const right = x + 1 < width ? heat[k + 1] - heat[k] : x ? heat[k] - heat[k - 1] : 0;
      const below = y + 1 < height ? heat[k + width] - heat[k] : y ? heat[k] - heat[k - width] : 0;
      const slope = right * right + below * below; // squared, as all that it is compared with
      for (let number = 0; number < lines.length; number++) {
        const away = (heat[k] - lines[number]) ** 2;
        if (away < outer * slope) steps[k] = first + (away < inner * slope ? number : lines.length);
      }
    }
}

// ---------------------------------------------------------------- PNG (RFC 2083), not compressed

const remainders = Uint32Array.from({length: 256}, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function checksum(bytes) { // CRC-32
  let crc = 0xffffffff;
  for (let k = 0; k < bytes.length; k++) crc = remainders[(crc ^ bytes[k]) & 255] ^ (crc >>> 8);
  return ~crc;
}

function adler(bytes) {
  let low = 1, high = 0;
  for (let k = 0; k < bytes.length; k++) {
    low += bytes[k];
    high += low;
    if (k % 4096 === 4095) { low %= 65521; high %= 65521; } // before they outgrow what is exact
  }
  return ((high % 65521) << 16) | low % 65521;
}

const word = (value) => [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];

function chunk(kind, data) {
  const bytes = new Uint8Array(data.length + 4);
  bytes.set([...kind].map((sign) => sign.charCodeAt(0)));
  bytes.set(data, 4);
  return [word(data.length), bytes, word(checksum(bytes))];
}

/** Bytes as a zlib stream of stored blocks. */
function stored(bytes) {
  const parts = [[0x78, 0x01]];
  for (let start = 0; start < bytes.length; start += 65535) {
    const block = bytes.subarray(start, start + 65535), size = block.length;
    parts.push([+(start + size === bytes.length), size & 255, size >> 8, ~size & 255, (~size >> 8) & 255], block);
  }
  return joined([...parts, word(adler(bytes))]);
}

function joined(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let end = 0;
  for (const part of parts) { whole.set(part, end); end += part.length; }
  return whole;
}

/** Pixels that are numbers of a table's colours (red, green, blue, cover) as the address of a picture. */
function png(pixels, height, width, table) {
  const rows = new Uint8Array(height * (width + 1)); // a row begins with its filter, 0 for none
  for (let y = 0; y < height; y++) rows.set(pixels.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const bytes = joined([
    [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
    ...chunk("IHDR", [...word(width), ...word(height), 8, 3, 0, 0, 0]),
    ...chunk("PLTE", table.flatMap((colour) => colour.slice(0, 3))),
    ...chunk("tRNS", table.map((colour) => colour[3])),
    ...chunk("IDAT", stored(rows)),
    ...chunk("IEND", []),
  ]);
  let text = "";
  for (let k = 0; k < bytes.length; k += 8192) text += String.fromCharCode.apply(null, bytes.subarray(k, k + 8192));
  return `data:image/png;base64,${btoa(text)}`;
}
