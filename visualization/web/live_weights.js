/*
 * The weights and the tokenizer, from what visualization/live.py wrote into the page.
 */

"use strict";

/** Return base64 text as bytes. A plain loop: `Uint8Array.from` takes ten times longer for megabytes. */
function bytesOfBase64(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** Return the bytes inside gzip. */
async function decompress(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** Return n little-endian float32 from a DataView. */
function readFloat32(view, offset, n) {
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = view.getFloat32(offset + 4 * i, true);
  return values;
}

/** Return the number that 16 bits stand for: sign, 5 bits of exponent, 10 bits of fraction (IEEE 754 binary16). */
function float16(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24; // subnormal
  return exponent === 31 ? (fraction ? NaN : sign * Infinity) : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/**
 * Return all parameters by name, each as a matrix of float32; biases and layer norms are matrices of one row.
 *
 * See `describe_weights` in visualization/live.py for the order of the bytes.
 */
async function decodeWeights({ format, shapes, gzip }) {
  const view = new DataView(await decompress(bytesOfBase64(gzip)));
  const parameters = {};
  let offset = 0;
  for (const [name, shape] of Object.entries(shapes)) {
    const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
    const n = rows * columns;
    let values;
    if (shape.length === 1) {
      values = readFloat32(view, offset, n);
      offset += 4 * n;
    } else if (format === "float16") {
      values = new Float32Array(n);
      for (let i = 0; i < n; i++) values[i] = float16(view.getUint16(offset + 2 * i, true));
      offset += 2 * n;
    } else {
      const scales = readFloat32(view, offset, rows);
      const integers = new Int8Array(view.buffer, offset + 4 * rows, n);
      values = new Float32Array(n);
      for (let i = 0; i < n; i++) values[i] = integers[i] * scales[Math.floor(i / columns)];
      offset += 4 * rows + n;
    }
    parameters[name] = { rows, columns, values };
  }
  return parameters;
}

/** Return the tokenizer that `describe_tokenizer` in visualization/live.py describes. */
function readTokenizer({ pieces, scores, reserved, bytes }) {
  const view = new DataView(bytesOfBase64(scores).buffer);
  return new Tokenizer({ pieces, scores: readFloat32(view, 0, pieces.length), reserved, bytes });
}
