/*
 * The computation of the lesson: one attention from its inputs to its output, in float64, by this page itself.
 *
 * A matrix is {rows, columns, values}, its values row by row. The other scripts of the lesson show the matrices of
 * `computed()`; `differences` compares them with those of the model.
 */

"use strict";

/* ---- Matrices ---- */

/** Return a matrix whose entries are cell(i, j). */
function matrix(rows, columns, cell) {
  const values = new Float64Array(rows * columns);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) values[i * columns + j] = cell(i, j);
  return { rows, columns, values };
}

const at = (m, i, j) => m.values[i * m.columns + j];
const row = (m, i) => Array.from(m.values.subarray(i * m.columns, (i + 1) * m.columns));
const column = (m, j) => range(m.rows).map((i) => at(m, i, j));
const mapEntries = (m, change) => matrix(m.rows, m.columns, (i, j) => change(at(m, i, j), i, j));
const transpose = (m) => matrix(m.columns, m.rows, (i, j) => at(m, j, i));
const add = (a, b) => mapEntries(a, (value, i, j) => value + at(b, i, j));

/** Return the matrix product. Plain loops, the innermost over contiguous memory: the page spends its time here. */
function matmul(a, b) {
  const product = matrix(a.rows, b.columns, () => 0);
  for (let i = 0; i < a.rows; i++) {
    for (let n = 0; n < a.columns; n++) {
      const value = at(a, i, n);
      for (let j = 0; j < b.columns; j++) product.values[i * b.columns + j] += value * b.values[n * b.columns + j];
    }
  }
  return product;
}

/** Return x W + b. */
const project = (x, weight, bias) => mapEntries(matmul(x, weight), (value, i, j) => value + at(bias, 0, j));

/** Return the mean and the variance of numbers. */
function moments(values) {
  const mean = sum(values) / values.length;
  return { mean, variance: sum(values.map((value) => (value - mean) ** 2)) / values.length };
}

/** Return entry j of a normalised row: (x - μ) / √(σ² + ε) · γ + β. */
function normalisedEntry(value, { mean, variance }, j) {
  return ((value - mean) / Math.sqrt(variance + DATA.eps)) * at(inputs.scale, 0, j) + at(inputs.shift, 0, j);
}

/** Return the layer norm of each row. */
function normalise(x) {
  const rows = range(x.rows).map((i) => moments(row(x, i)));
  return mapEntries(x, (value, i, j) => normalisedEntry(value, rows[i], j));
}

/** Return the softmax of each row. Subtracting the largest score changes no weight and avoids overflow. */
function softmax(scores) {
  const rows = range(scores.rows).map((i) => row(scores, i));
  const largest = rows.map((values) => Math.max(...values));
  const sums = rows.map((values, i) => sum(values.map((value) => Math.exp(value - largest[i]))));
  return mapEntries(scores, (value, i) => Math.exp(value - largest[i]) / sums[i]);
}

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

/** Return all matrices up to the scores, which do not depend on the division by √d_k. */
function computeScores() {
  const result = { ...inputs };
  if (isFirst) {
    result.embedded = mapEntries(inputs.embedding, (value) => value * Math.sqrt(dModel));
    result.positions = matrix(nQueries, dModel, (i, j) => (j % 2 ? Math.cos : Math.sin)(i * frequency(j)));
    result.x = add(result.embedded, result.positions);
  }
  if (DATA.norm === "pre") result.norm = normalise(result.x);
  result.input = result.norm ?? result.x;
  const context = result.context ?? result.input; // self-attention: keys and values come from the input, too
  result.q = project(result.input, inputs.w_q, inputs.b_q);
  result.k = project(context, inputs.w_k, inputs.b_k);
  result.v = project(context, inputs.w_v, inputs.b_v);
  const columnsOfHead = (m, h) => matrix(m.rows, dK, (i, j) => at(m, i, h * dK + j));
  result.perHead = range(nHeads).map((h) => {
    const [q, k, v] = [result.q, result.k, result.v].map((m) => columnsOfHead(m, h));
    return { q, k, v, scores: matmul(q, transpose(k)) };
  });
  return result;
}

/** Return the matrices of `computeScores` and all that follow, with or without the division by √d_k. */
function computeAttention(before, divide) {
  const result = { ...before };
  result.perHead = before.perHead.map((head) => {
    const scaled = mapEntries(head.scores, (score) => (divide ? score / Math.sqrt(dK) : score));
    const masked = mapEntries(scaled, (score, i, j) => (visible(i, j) ? score : -Infinity));
    const weights = softmax(masked);
    return { ...head, scaled, masked, weights, head: matmul(weights, head.v) };
  });
  result.heads = matrix(nQueries, dModel, (i, j) => at(result.perHead[Math.floor(j / dK)].head, i, j % dK));
  result.output = project(result.heads, inputs.w_o, inputs.b_o);
  result.sum = add(result.x, result.output);
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
  if (name !== "weights") return divided[name];
  const weight = (i, j) => at(divided.perHead[Math.floor(i / nQueries)].weights, i % nQueries, j);
  return matrix(nHeads * nQueries, nKeys, weight);
}

/** Largest absolute difference between this page and the model, for each matrix that the model exported. */
const differences = Object.fromEntries(
  Object.entries(model).map(([name, own]) => {
    const { values } = inModelShape(name);
    return [name, own.values.reduce((largest, value, n) => Math.max(largest, Math.abs(value - values[n])), 0)];
  }),
);
