/*
 * What the lesson shows for each matrix: names of its rows and columns, its numbers, and how a cell is computed.
 *
 * An explanation is {text, labels, vectors, equations}. `text` is a string or a list of strings and elements. `vectors`
 * are the rows of a table, {name, values}, whose columns have the names `labels`. Each equation is {before, terms,
 * magnitudes, after}: the sum of the terms, of which the one with the largest magnitude is marked.
 */

"use strict";

/* ---- Number formats ---- */

/** Return a number with a fixed number of digits, a proper minus sign, and no sign before zero. */
function formatNumber(value, digits) {
  const text = value === -Infinity ? "-∞" : value.toFixed(digits);
  return text.replace("-", "−").replace(/^−(0\.?0*)$/, "$1");
}

const formatCell = (value) => formatNumber(value, Math.abs(value) >= 1000 ? 0 : 2);
const format4 = (value) => formatNumber(value, 4);
const formatFactor = (value) => (value < 0 ? `(${format4(value)})` : format4(value));

/** Return a small number as 1.4 × 10⁻⁶. */
function formatScientific(value) {
  const superscript = (digits) => digits.replace(/./g, (digit) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[digit] ?? "⁻");
  const [significand, exponent] = value.toExponential(1).split("e");
  return `${significand}\u00a0×\u00a010${superscript(exponent.replace("+", ""))}`;
}

const quote = (token) => `“${token}”`;

/* ---- How a cell is computed ---- */

const equation = (text) => ({ terms: [text], magnitudes: [], after: "" });

/** Explain numbers that are not computed here. */
const given = (text) => ({ text, equations: [] });

/** Explain a dot product of two vectors {name, values}, and perhaps a bias. */
function explainDot(text, labels, left, right, result, bias) {
  const products = left.values.map((value, n) => value * right.values[n]);
  const terms = products.map((_, n) => `${formatFactor(left.values[n])} × ${formatFactor(right.values[n])}`);
  const after = `${bias === undefined ? "" : ` + ${formatFactor(bias)}`} = ${format4(result)}`;
  const vectors = [left, right, { name: "product", values: products }];
  return { text, labels, vectors, equations: [{ terms, magnitudes: products, after }] };
}

const matrixName = (letter) => element("span", {}, "W", element("sub", {}, letter.toUpperCase()));

/** Return how to explain a cell of Q, K, V or the output, which the matrix w_q, w_k, w_v or w_o computes. */
function explainProjection(letter, sourceName) {
  const sources = {
    X: () => beforeDivision.input,
    context: () => beforeDivision.context,
    Concat: () => computed().heads,
  };
  return (i, j) => {
    const text = [
      `Row ${i} of ${sourceName} times column ${j} of `,
      matrixName(letter),
      ", plus the bias of that column.",
    ];
    const left = { name: `${sourceName}, row ${i}`, values: row(sources[sourceName](), i) };
    const right = { name: [matrixName(letter), `, column ${j}`], values: column(inputs[`w_${letter}`], j) };
    const result = letter === "o" ? computed().output : computed()[letter];
    return explainDot(text, features, left, right, at(result, i, j), at(inputs[`b_${letter}`], 0, j));
  };
}

/** Return how to explain a cell of `result`, the layer norm of the matrix `source`; both are functions. */
function explainNorm(source, result) {
  return (i, j) => {
    const values = row(source(), i);
    const n = values.length;
    const { mean, variance } = moments(values);
    const squares = values.map((x) => (x - mean) ** 2);
    const meanEquation = {
      before: "μ = ( ",
      terms: values.map(formatFactor),
      magnitudes: values,
      after: ` ) / ${n} = ${format4(mean)}`,
    };
    const varianceEquation = {
      before: "σ² = ( ",
      terms: values.map((x) => `(${format4(x - mean)})²`),
      magnitudes: squares,
      after: ` ) / ${n} = ${format4(variance)}`,
    };
    const centred = `(${formatFactor(values[j])} − ${formatFactor(mean)}) / √(${format4(variance)} + ${DATA.eps})`;
    const affine = `× ${formatFactor(at(inputs.scale, 0, j))} + ${formatFactor(at(inputs.shift, 0, j))}`;
    return {
      text: `The mean μ and the variance σ² of row ${i}, over all ${n} features, normalise feature ${j}; γ multiplies the result, and β is added.`,
      labels: features,
      vectors: [
        { name: `row ${i}`, values },
        { name: "(x − μ)²", values: squares },
      ],
      equations: [meanEquation, varianceEquation, equation(`${centred} ${affine} = ${format4(at(result(), i, j))}`)],
    };
  };
}

function explainPosition(i, j) {
  const name = j % 2 ? "cos" : "sin";
  const angle = `${i} / 10000^(${evenColumn(j)}/${dModel})`;
  const value = format4(at(beforeDivision.positions, i, j));
  return {
    text: `Position ${i} in the sentence. Columns ${evenColumn(j)} and ${evenColumn(j) + 1} are the sine and the cosine of one angle, which grows by ${format4(frequency(j))} with each position.`,
    equations: [equation(`${name}(${angle}) = ${name}(${format4(i * frequency(j))}) = ${value}`)],
  };
}

function explainX(i, j) {
  if (!isFirst) return given("Given: the output of the layers before.");
  const [e, p] = [at(beforeDivision.embedded, i, j), at(beforeDivision.positions, i, j)];
  return {
    text: `The embedding of ${quote(queryNames[i])} plus the vector of position ${i}.`,
    equations: [{ terms: [formatFactor(e), formatFactor(p)], magnitudes: [e, p], after: ` = ${format4(e + p)}` }],
  };
}

function explainScore(i, j) {
  const { q, k, scores } = computed().perHead[state.head];
  return explainDot(
    `The query of ${quote(queryNames[i])} times the key of ${quote(keyNames[j])}, over the ${dK} columns of head ${state.head}. Row ${j} of K is column ${j} of Kᵀ.`,
    headFeatures,
    { name: `Q, row ${i}`, values: row(q, i) },
    { name: `K, row ${j}`, values: row(k, j) },
    at(scores, i, j),
  );
}

function explainScaled(i, j) {
  const score = at(ofHead("scores"), i, j);
  const result = format4(at(ofHead("scaled"), i, j));
  if (!state.divide)
    return {
      text: "The score itself: the division is switched off.",
      equations: [equation(`${format4(score)} = ${result}`)],
    };
  const division = `${formatFactor(score)} / √${dK} = ${formatFactor(score)} / ${format4(Math.sqrt(dK))} = ${result}`;
  return { text: "The score, divided by the square root of the number of its terms.", equations: [equation(division)] };
}

function explainMasked(i, j) {
  const score = at(ofHead("scaled"), i, j);
  if (visible(i, j))
    return {
      text: `Row ${i} may attend to key ${j}: the score does not change.`,
      equations: [equation(`${format4(score)} + 0 = ${format4(at(ofHead("masked"), i, j))}`)],
    };
  return {
    text: `Key ${j} comes after row ${i}: its score is masked.`,
    equations: [equation(`${formatFactor(score)} + (−∞) = −∞`)],
  };
}

/** Explain the sum of a row of weights. */
function explainWeightSum(i, weights) {
  return {
    text: `All weights of row ${i}.`,
    labels: keyNames,
    vectors: [{ name: "weight", values: weights }],
    equations: [{ terms: weights.map(format4), magnitudes: weights, after: ` = ${format4(sum(weights))}` }],
  };
}

function explainWeight(i, j) {
  const weights = row(ofHead("weights"), i);
  if (j === nKeys) return explainWeightSum(i, weights);
  const scores = row(ofHead("masked"), i);
  const largest = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - largest));
  const meaning = visible(i, j)
    ? `The weight of ${quote(keyNames[j])} in row ${i}.`
    : `${quote(keyNames[j])} is masked in row ${i}: e to the power of −∞ is 0.`;
  return {
    text: `${meaning} The largest score of the row is subtracted first, which changes no weight and avoids overflow.`,
    labels: keyNames,
    vectors: [
      { name: "score s", values: scores },
      { name: `exp(s − ${formatFactor(largest)})`, values: powers },
      { name: "weight", values: weights },
    ],
    equations: [
      {
        before: `${format4(powers[j])} / ( `,
        terms: powers.map(format4),
        magnitudes: powers,
        after: ` ) = ${format4(weights[j])}`,
      },
    ],
  };
}

function explainHead(i, j) {
  const { weights, v, head } = computed().perHead[state.head];
  return explainDot(
    `The weights of row ${i} (${quote(queryNames[i])}) times column ${j} of V.`,
    keyNames,
    { name: `A, row ${i}`, values: row(weights, i) },
    { name: `V, column ${j}`, values: column(v, j) },
    at(head, i, j),
  );
}

function explainConcat(i, j) {
  const h = Math.floor(j / dK);
  return {
    text: `A copy of column ${j % dK} of head ${h}; nothing is computed.`,
    equations: [equation(`${h} × ${dK} + ${j % dK} = ${j}`)],
  };
}

function explainSum(i, j) {
  const [x, y] = [at(computed().x, i, j), at(computed().output, i, j)];
  return {
    text: "The input of this sub-layer plus the output of attention.",
    equations: [{ terms: [formatFactor(x), formatFactor(y)], magnitudes: [x, y], after: ` = ${format4(x + y)}` }],
  };
}

const explainEmbedding = (i, j) =>
  given(
    `Learned in training: feature ${j} of row ${DATA.queries.ids[i]} of the embedding matrix, the row of ${quote(queryNames[i])}.`,
  );

function explainEmbedded(i, j) {
  const value = formatFactor(at(inputs.embedding, i, j));
  const result = format4(at(beforeDivision.embedded, i, j));
  return {
    text: `The embedding of ${quote(queryNames[i])}, multiplied by √${dModel}.`,
    equations: [equation(`${value} × √${dModel} = ${value} × ${format4(Math.sqrt(dModel))} = ${result}`)],
  };
}

/** Return how to explain a cell of the matrix that computes a query, key or value. */
const explainInputWeight = (name) => (i, j) =>
  given(
    `Learned in training, the same for every sentence: the weight of input feature ${i} in ${name} feature ${j} (column ${j % dK} of head ${Math.floor(j / dK)}).`,
  );

const explainOutputWeight = (i, j) =>
  given(`Learned in training: the weight of column ${i % dK} of head ${Math.floor(i / dK)} in output feature ${j}.`);

const explainNormOfX = explainNorm(
  () => beforeDivision.x,
  () => beforeDivision.norm,
);
const explainInput = DATA.norm === "pre" ? explainNormOfX : explainX;

/* ---- The matrices by name ---- */

const indices = (n) => range(n).map(String);
const queryNames = DATA.queries.tokens;
const keyNames = DATA.keys.tokens;
const features = indices(dModel);
const headFeatures = indices(dK);
const contextName = DATA.kind === "cross" ? "context" : "X";

// Options of a matrix: `isOfHead(i, j)`, whether a cell belongs to the chosen head; `startsHead(j)`, whether a column is
// the first of its head; `masked(i, j)`; `sums`, whether the last column holds the sums of the rows.
const oneHead = { isOfHead: (i, j) => Math.floor(j / dK) === state.head, startsHead: (j) => j > 0 && j % dK === 0 };
const withMask = { masked: (i, j) => j < nKeys && !visible(i, j) };

const withSums = (weights) =>
  matrix(weights.rows, nKeys + 1, (i, j) => (j < nKeys ? at(weights, i, j) : sum(row(weights, i))));

/** Describe a matrix: names of its rows and columns, its current numbers, how cell (i, j) is computed, options. */
const table = (rows, columns, numbers, explain, options = {}) => ({ rows, columns, numbers, explain, ...options });

const matrices = {
  embedding: table(queryNames, features, () => inputs.embedding, explainEmbedding),
  embedded: table(queryNames, features, () => beforeDivision.embedded, explainEmbedded),
  positions: table(indices(nQueries), features, () => beforeDivision.positions, explainPosition),
  x: table(queryNames, features, () => beforeDivision.x, explainX),
  context: table(
    keyNames,
    features,
    () => inputs.context,
    () => given("Given: the output of the encoder."),
  ),
  norm: table(queryNames, features, () => beforeDivision.norm, explainInput),
  input: table(queryNames, features, () => beforeDivision.input, explainInput),
  w_q: table(features, features, () => inputs.w_q, explainInputWeight("query"), oneHead),
  w_k: table(features, features, () => inputs.w_k, explainInputWeight("key"), oneHead),
  w_v: table(features, features, () => inputs.w_v, explainInputWeight("value"), oneHead),
  q: table(queryNames, features, () => beforeDivision.q, explainProjection("q", "X"), oneHead),
  k: table(keyNames, features, () => beforeDivision.k, explainProjection("k", contextName), oneHead),
  v: table(keyNames, features, () => beforeDivision.v, explainProjection("v", contextName), oneHead),
  scores: table(queryNames, keyNames, () => ofHead("scores"), explainScore),
  scaled: table(queryNames, keyNames, () => ofHead("scaled"), explainScaled),
  masked: table(queryNames, keyNames, () => ofHead("masked"), explainMasked, withMask),
  weights: table(queryNames, [...keyNames, "Σ"], () => withSums(ofHead("weights")), explainWeight, {
    sums: true,
    ...withMask,
  }),
  head_values: table(
    keyNames,
    headFeatures,
    () => ofHead("v"),
    (i, j) => explainProjection("v", contextName)(i, state.head * dK + j),
  ),
  head: table(queryNames, headFeatures, () => ofHead("head"), explainHead),
  heads: table(queryNames, features, () => computed().heads, explainConcat, oneHead),
  w_o: table(features, features, () => inputs.w_o, explainOutputWeight, {
    isOfHead: (i) => Math.floor(i / dK) === state.head,
  }),
  output: table(queryNames, features, () => computed().output, explainProjection("o", "Concat")),
  sum: table(queryNames, features, () => computed().sum, explainSum),
  result: table(
    queryNames,
    features,
    () => computed().result,
    explainNorm(
      () => computed().sum,
      () => computed().result,
    ),
  ),
};
