/*
 * Changes of a trained network, and the pass over a finished translation that shows what they do.
 *
 * `changes` is plain data: {heads: {"encoder.0.self_attention": {2: "off"}}, divide, positions, temperature}; `{}`
 * changes nothing. `transformerOptions` turns it into options of live_transformer.js.
 */

"use strict";

const KIND_LAYERS = {
  encoder_self: { side: "encoder", name: "self_attention" },
  decoder_self: { side: "decoder", name: "self_attention" },
  cross: { side: "decoder", name: "cross_attention" },
};

/** Return the module path of an attention layer, as `attention_maps` names it in Python. */
function modulePath(kind, layer) {
  const { side, name } = KIND_LAYERS[kind];
  return `${side}.${layer}.${name}`;
}

/** Return the layers of a kind of attention. */
function layersOfKind(config, kind) {
  return KIND_LAYERS[kind].side === "encoder" ? config.nEncoderLayers : config.nDecoderLayers;
}

/** What can be done to one head; each returns what `intervene` may return. */
const HEAD_CHANGES = {
  /** The output of the head is zero. Its weights are computed and shown, but nothing depends on them. */
  off: ({ values }) => ({ values: zeros(values.rows, values.columns) }),

  /** Every query has equal weights on all keys that the mask allows. */
  uniform({ weights, v, mask }) {
    const equal = zeros(weights.rows, weights.columns);
    for (let i = 0; i < equal.rows; i++) {
      const allowed = Array.from({ length: equal.columns }, (_, j) => mask === null || mask(i, j));
      const n = allowed.filter(Boolean).length;
      allowed.forEach((isAllowed, j) => (equal.values[i * equal.columns + j] = isAllowed ? 1 / n : 0));
    }
    return { weights: equal, values: multiply(equal, v) };
  },
};

/** Return the options of the Transformer that make these changes. */
function transformerOptions({ heads = {}, divide = true, positions = true, temperature = 1 } = {}) {
  const intervene = (path, head, computed) => HEAD_CHANGES[heads[path]?.[head]]?.(computed);
  return { divide, positions, temperature, intervene };
}

/**
 * Return {record, take}: `record` is a function for the option of that name, and `take` returns the weights that it has
 * received since the last call, by module path, of each head a matrix.
 *
 * In a decoding step the matrix of a head has a row of each hypothesis, (K, N) or (K, S).
 */
function weightRecorder() {
  let recorded = {};
  return {
    record(path, head, weights) {
      recorded[path] ??= [];
      (recorded[path][head] ??= []).push(weights);
    },
    take() {
      const taken = Object.entries(recorded).map(([path, heads]) => [path, heads.map(stackRows)]);
      recorded = {};
      return Object.fromEntries(taken);
    },
  };
}

/**
 * Return what one pass over a source (S,) and a finished translation (T,) computes, both ids with EOS last, as
 * `forced_pass` in visualization/sentence.py does:
 *
 * - logProbs: of each target token (T,), and `logProb`, their sum
 * - alternatives: of each target token, the most probable tokens in its place
 * - maps: weights by module path, of each head a matrix (queries, keys)
 */
function forcedPass(model, src, tgt, changes = {}) {
  const maps = {};
  const record = (path, head, weights) => ((maps[path] ??= [])[head] = weights);
  const logits = model.forward(src, [BOS, ...tgt.slice(0, -1)], { ...transformerOptions(changes), record });
  const rows = logSoftmaxRows(logits); // (T, V)
  const rowOf = (t) => sliceRows(rows, t, t + 1).values; // (V,)
  const logProbs = tgt.map((id, t) => rowOf(t)[id]);
  const logProb = logProbs.reduce((total, value) => total + value, 0);
  return { logProbs, logProb, alternatives: tgt.map((_, t) => alternatives(rowOf(t))), maps };
}

/** Return every head of a model: [{kind, layer, head, path}]. */
function allHeads(config) {
  const heads = [];
  for (const kind of Object.keys(KIND_LAYERS))
    for (let layer = 0; layer < layersOfKind(config, kind); layer++)
      for (let head = 0; head < config.nHeads; head++) heads.push({ kind, layer, head, path: modulePath(kind, layer) });
  return heads;
}

/** Return how much the log-probability of a translation falls without one head, other things equal. */
function fallWithoutHead(model, src, tgt, { path, head }, before) {
  return before - forcedPass(model, src, tgt, { heads: { [path]: { [head]: "off" } } }).logProb;
}
