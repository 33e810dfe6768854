/*
 * The computation of the lesson: one attention from its inputs to its output, in float64, by this page itself.
 *
 * matrices.js has the arithmetic. The other scripts of the lesson show the matrices of `computed()`; `differences`
 * compares them with those of the model.
 */

"use strict";

/* ---- Matrices ---- */

/** Return a matrix whose entries are cell(i, j). */
function matrix(rows, columns, cell) {
  const result = zeros(rows, columns, Float64Array);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result.values[i * columns + j] = cell(i, j);
  return result;
}

const at = (m, i, j) => m.values[i * m.columns + j];
const row = (m, i) => Array.from(sliceRows(m, i, i + 1).values);
const column = (m, j) => range(m.rows).map((i) => at(m, i, j));

/** Return a matrix that Python wrote as little-endian float32 in base64; the last dimension becomes the columns. */
function decode({ shape, float32 }) {
  const view = new DataView(decodeBase64(float32));
  const columns = shape[shape.length - 1];
  const rows = view.byteLength / 4 / columns;
  return matrix(rows, columns, (i, j) => view.getFloat32(4 * (i * columns + j), true));
}

const decodeAll = (arrays) => Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, decode(array)]));

/* ---- Inputs ---- */

const inputs = decodeAll(DATA.inputs);
const model = decodeAll(DATA.model); // what the model computed, for comparison only
const dModel = inputs.w_q.rows;
const nHeads = DATA.n_heads;
const dK = dModel / nHeads;
const nQueries = DATA.queries.ids.length;
const nKeys = DATA.keys.ids.length;
const isFirst = "embedding" in inputs; // whether embeddings plus positions are the input of this attention
const visible = (i, j) => DATA.mask[i][j] === 1;
const evenColumn = (j) => j - (j % 2);
const frequency = (j) => 10000 ** (-evenColumn(j) / dModel); // of positions in columns j and j + 1, j even

/* ---- Attention ---- */

/** Return x W + b with the projection of a letter, q, k, v or o. */
const project = (x, letter) => linear(x, transpose(inputs[`w_${letter}`]), inputs[`b_${letter}`]);

/** Return the layer norm of each row. */
const normalise = (x) => normaliseRows(x, inputs.scale, inputs.shift, DATA.eps);

/** Return all matrices up to the scores, which do not depend on the division by √d_k. */
function computeScores() {
  const result = { ...inputs };
  if (isFirst) {
    result.embedded = matrix(nQueries, dModel, (i, j) => at(inputs.embedding, i, j) * Math.sqrt(dModel));
    result.positions = sinusoids(nQueries, dModel);
    result.x = addMatrices(result.embedded, result.positions);
  }
  if (DATA.norm === "pre") result.norm = normalise(result.x);
  result.input = result.norm ?? result.x;
  const context = result.context ?? result.input; // self-attention: keys and values come from the input, too
  result.q = project(result.input, "q");
  result.k = project(context, "k");
  result.v = project(context, "v");
  const [queries, keys, values] = [result.q, result.k, result.v].map((m) => splitColumns(m, nHeads));
  result.perHead = queries.map((q, h) => ({ q, k: keys[h], v: values[h], scores: linear(q, keys[h]) }));
  return result;
}

/** Return the matrices of `computeScores` and all that follow, with or without the division by √d_k. */
function computeAttention(before, divide) {
  const result = { ...before };
  result.perHead = before.perHead.map((head) => {
    const scaled = divideEntries(head.scores, divide ? Math.sqrt(dK) : 1);
    const masked = maskScores(scaled, visible);
    const weights = softmaxRows(masked);
    return { ...head, scaled, masked, weights, head: multiply(weights, head.v) };
  });
  result.heads = joinColumns(result.perHead.map(({ head }) => head));
  result.output = project(result.heads, "o");
  result.sum = addMatrices(result.x, result.output);
  result.result = DATA.norm === "pre" ? result.sum : normalise(result.sum);
  return result;
}

const beforeDivision = computeScores();
const divided = computeAttention(beforeDivision, true);
const undivided = computeAttention(beforeDivision, false);
const state = { step: "dictionary", head: 0, divide: true };
const computed = () => (state.divide ? divided : undivided);
const ofHead = (name) => computed().perHead[state.head][name];

/** Return a computed matrix in the shape in which the model exported it: weights are (H · T, S). */
function inModelShape(name) {
  return name === "weights" ? stackRows(divided.perHead.map(({ weights }) => weights)) : divided[name];
}

/** Largest absolute difference between this page and the model, for each matrix that the model exported. */
const differences = Object.fromEntries(
  Object.entries(model).map(([name, own]) => {
    const { values } = inModelShape(name);
    return [name, own.values.reduce((largest, value, n) => Math.max(largest, Math.abs(value - values[n])), 0)];
  }),
);
