/*
 * Matrix arithmetic, which the live page, its worker and the lesson share.
 *
 * A matrix is {rows, columns, values}, its values an array of numbers, row by row. The live page computes with
 * Float32Array, as PyTorch does. The lesson computes with Float64Array, so that the differences that it reports are
 * rounding errors of the model alone. A result has the array type of the first argument.
 */

"use strict";

/** Return a matrix of zeros; `Numbers` is the array type. */
function zeros(rows, columns, Numbers = Float32Array) {
  return { rows, columns, values: new Numbers(rows * columns) };
}

/** Return the array type of a matrix. */
const numbersOf = (m) => m.values.constructor;

/** Return rows `start` to `end` - 1 of a matrix, without a copy. */
function sliceRows(m, start, end) {
  return { rows: end - start, columns: m.columns, values: m.values.subarray(start * m.columns, end * m.columns) };
}

/** Return the rows of matrices of the same width in one matrix. */
function stackRows(matrices) {
  const { columns } = matrices[0];
  const nRows = matrices.reduce((total, m) => total + m.rows, 0);
  const stacked = zeros(nRows, columns, numbersOf(matrices[0]));
  let offset = 0;
  for (const m of matrices) {
    stacked.values.set(m.values, offset);
    offset += m.values.length;
  }
  return stacked;
}

/** Divide the columns among n matrices of the same width: (T, C) -> n matrices (T, C / n). */
function splitColumns(m, n) {
  const width = m.columns / n;
  return Array.from({ length: n }, (_, part) => {
    const columns = zeros(m.rows, width, numbersOf(m));
    for (let i = 0; i < m.rows; i++) {
      const first = i * m.columns + part * width;
      columns.values.set(m.values.subarray(first, first + width), i * width);
    }
    return columns;
  });
}

/** Return matrices of the same shape side by side: n matrices (T, D) -> (T, n D). */
function joinColumns(matrices) {
  const [first] = matrices;
  const { rows, columns: width } = first;
  const joined = zeros(rows, matrices.length * width, numbersOf(first));
  matrices.forEach((m, part) => {
    for (let i = 0; i < rows; i++)
      joined.values.set(m.values.subarray(i * width, (i + 1) * width), i * joined.columns + part * width);
  });
  return joined;
}

/** Return the transpose of a matrix. */
function transpose(m) {
  const result = zeros(m.columns, m.rows, numbersOf(m));
  for (let i = 0; i < m.rows; i++)
    for (let j = 0; j < m.columns; j++) result.values[j * m.rows + i] = m.values[i * m.columns + j];
  return result;
}

/** Return the sum of two matrices of the same shape. */
function addMatrices(a, b) {
  const total = zeros(a.rows, a.columns, numbersOf(a));
  for (let i = 0; i < total.values.length; i++) total.values[i] = a.values[i] + b.values[i];
  return total;
}

/**
 * Return x Wᵀ + b: x (T, C), weight (O, C), bias (1, O) or null -> (T, O). The pages spend their time here.
 *
 * Both matrices are read along their rows, so along contiguous memory. Four rows of x at a time share each weight that
 * is read. Sums are computed in float64.
 */
function linear(x, weight, bias = null) {
  const n = x.columns;
  const result = zeros(x.rows, weight.rows, numbersOf(x));
  const nOut = weight.rows;
  const { values: a } = x;
  const { values: w } = weight;
  const { values: y } = result;
  let t = 0;
  for (; t + 4 <= x.rows; t += 4) {
    const first = t * n;
    const second = first + n;
    const third = second + n;
    const fourth = third + n;
    for (let o = 0; o < nOut; o++) {
      const start = o * n;
      let sum0 = bias === null ? 0 : bias.values[o];
      let sum1 = sum0;
      let sum2 = sum0;
      let sum3 = sum0;
      for (let i = 0; i < n; i++) {
        const value = w[start + i];
        sum0 += a[first + i] * value;
        sum1 += a[second + i] * value;
        sum2 += a[third + i] * value;
        sum3 += a[fourth + i] * value;
      }
      y[t * nOut + o] = sum0;
      y[(t + 1) * nOut + o] = sum1;
      y[(t + 2) * nOut + o] = sum2;
      y[(t + 3) * nOut + o] = sum3;
    }
  }
  for (; t < x.rows; t++) {
    const row = t * n;
    for (let o = 0; o < nOut; o++) {
      const start = o * n;
      let even = bias === null ? 0 : bias.values[o]; // two sums, so that neither addition waits for the other
      let odd = 0;
      let i = 0;
      for (; i + 2 <= n; i += 2) {
        even += a[row + i] * w[start + i];
        odd += a[row + i + 1] * w[start + i + 1];
      }
      if (i < n) even += a[row + i] * w[start + i];
      y[t * nOut + o] = even + odd;
    }
  }
  return result;
}

/** Return the matrix product a b: (T, S) times (S, D) -> (T, D). */
function multiply(a, b) {
  const result = zeros(a.rows, b.columns, numbersOf(a));
  for (let i = 0; i < a.rows; i++) {
    for (let n = 0; n < a.columns; n++) {
      const value = a.values[i * a.columns + n];
      for (let j = 0; j < b.columns; j++) result.values[i * b.columns + j] += value * b.values[n * b.columns + j];
    }
  }
  return result;
}

/** Return a matrix divided by a number. */
function divideEntries(m, divisor) {
  const result = zeros(m.rows, m.columns, numbersOf(m));
  for (let i = 0; i < result.values.length; i++) result.values[i] = m.values[i] / divisor;
  return result;
}

/** Return scores with -inf where the mask, a function (i, j), is false; exp(-inf) is 0. Null masks nothing. */
function maskScores(scores, mask) {
  if (mask === null) return scores;
  const masked = { ...scores, values: scores.values.slice() };
  for (let i = 0; i < scores.rows; i++)
    for (let j = 0; j < scores.columns; j++) if (!mask(i, j)) masked.values[i * scores.columns + j] = -Infinity;
  return masked;
}

/** Return the softmax of each row. Subtracting the largest score changes no weight and avoids overflow. */
function softmaxRows(scores) {
  const result = zeros(scores.rows, scores.columns, numbersOf(scores));
  for (let start = 0; start < scores.values.length; start += scores.columns) {
    const end = start + scores.columns;
    let largest = -Infinity;
    for (let i = start; i < end; i++) largest = Math.max(largest, scores.values[i]);
    let total = 0;
    for (let i = start; i < end; i++) total += result.values[i] = Math.exp(scores.values[i] - largest);
    for (let i = start; i < end; i++) result.values[i] /= total;
  }
  return result;
}

/** Return the logarithm of the softmax of each row. */
function logSoftmaxRows(logits) {
  const result = zeros(logits.rows, logits.columns, numbersOf(logits));
  for (let start = 0; start < logits.values.length; start += logits.columns) {
    const end = start + logits.columns;
    let largest = -Infinity;
    for (let i = start; i < end; i++) largest = Math.max(largest, logits.values[i]);
    let total = 0;
    for (let i = start; i < end; i++) total += Math.exp(logits.values[i] - largest);
    const logTotal = largest + Math.log(total);
    for (let i = start; i < end; i++) result.values[i] = logits.values[i] - logTotal;
  }
  return result;
}

/** Return the mean μ and the variance σ² of an array of numbers. */
function moments(values) {
  const n = values.length;
  let mean = 0;
  for (let i = 0; i < n; i++) mean += values[i] / n;
  let variance = 0;
  for (let i = 0; i < n; i++) variance += (values[i] - mean) ** 2 / n;
  return { mean, variance };
}

/** Return the layer norm of each row, (x - μ) / √(σ² + ε) · γ + β: scale γ and shift β (1, C), eps ε. */
function normaliseRows(x, scale, shift, eps) {
  const n = x.columns;
  const result = zeros(x.rows, n, numbersOf(x));
  for (let start = 0; start < x.values.length; start += n) {
    const { mean, variance } = moments(x.values.subarray(start, start + n));
    const deviation = Math.sqrt(variance + eps);
    for (let i = 0; i < n; i++)
      result.values[start + i] = ((x.values[start + i] - mean) / deviation) * scale.values[i] + shift.values[i];
  }
  return result;
}

/**
 * Position encodings: pos -> sin(pos / 10000^(2i / d_model)) in column 2i, cos of the same angle in column 2i + 1
 * (section 3.5). Frequencies and angles are rounded to float32, as PyTorch does.
 */
function sinusoids(length, dModel) {
  const encodings = zeros(length, dModel);
  for (let j = 0; j < dModel; j += 2) {
    const exponent = Math.fround(j * Math.fround(-Math.log(10000) / dModel));
    const frequency = Math.fround(Math.exp(exponent));
    for (let position = 0; position < length; position++) {
      const angle = Math.fround(position * frequency);
      encodings.values[position * dModel + j] = Math.sin(angle);
      encodings.values[position * dModel + j + 1] = Math.cos(angle);
    }
  }
  return encodings;
}
