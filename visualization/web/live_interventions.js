/*
 * Changes of a trained network, and the pass over a finished translation that shows what they do.
 *
 * `changes` is plain data: {heads: {"encoder.0.self_attention": {2: "off"}}, divide, positions, temperature, second};
 * `{}` changes nothing. `second` are the ids of the second sentence, of as many tokens as the source, where heads are
 * patched. `transformerOptions` turns changes into options of live_transformer.js.
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

/**
 * What can be done to one head; each returns what `intervene` may return.
 *
 * `computed` is what `intervene` receives, `outputs` are the outputs of the head for the second sentence, one (T, D) of
 * each sequence.
 */
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

  /**
   * The output of the head is its output for the second sentence (Vig et al. 2020, "Investigating Gender Bias in
   * Language Models Using Causal Mediation Analysis"), as `intervene` in model/intervention.py replaces it by a tensor.
   */
  patched: ({ sequence }, outputs) => ({ values: outputs[sequence] }),
};

/** Return whether a head is patched whose module path begins with `side`; "" stands for every head. */
function hasPatches(heads, side = "") {
  return Object.entries(heads).some(
    ([path, ofLayer]) => path.startsWith(side) && Object.values(ofLayer).includes("patched"),
  );
}

/**
 * Return the options of the Transformer that make these changes.
 *
 * outputs: of the untouched network for the second sentence, by module path, head and sequence, as `recordOutputs`
 * stores them; read when a patched head computes.
 */
function transformerOptions({ heads = {}, divide = true, positions = true, temperature = 1 } = {}, outputs = {}) {
  const intervene = (path, head, computed) => HEAD_CHANGES[heads[path]?.[head]]?.(computed, outputs[path]?.[head]);
  return { divide, positions, temperature, intervene };
}

/** Return a function for the option `record` that stores the output of every head in `outputs`. */
function recordOutputs(outputs) {
  return (path, head, weights, values, sequence) => {
    outputs[path] ??= [];
    outputs[path][head] ??= [];
    outputs[path][head][sequence] = values; // (T, D)
  };
}

/** Return the outputs of the untouched network for the second sentence and a translation; {} without the sentence. */
function outputsOfSecond(model, tgt, { second }) {
  const outputs = {};
  const options = { record: recordOutputs(outputs) };
  if (second) model.decode(decoderInput(tgt), model.encode(second, options), options);
  return outputs;
}

/** Return what the decoder reads to predict a translation: BOS, and each token but the last. */
const decoderInput = (tgt) => [BOS, ...tgt.slice(0, -1)];

/**
 * Return the step of a search, as `translationStep` does, with changes.
 *
 * Where heads of the decoder are patched, the untouched network decodes the second sentence with the same target tokens
 * beside each hypothesis. record: a function for the option `record` of the changed network.
 */
function changedStep(model, src, changes = {}, record = undefined) {
  const outputs = {};
  const options = { ...transformerOptions(changes, outputs), record };
  if (!changes.second) return translationStep(model, src, options);
  const stepOfSecond = translationStep(model, changes.second, { record: recordOutputs(outputs) }); // encodes it
  const step = translationStep(model, src, options);
  if (!hasPatches(changes.heads, "decoder")) return step;
  return (tokens, parents) => {
    stepOfSecond(tokens, parents);
    return step(tokens, parents);
  };
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
 *
 * outputs: see `transformerOptions`; given where many passes share them.
 */
function forcedPass(model, src, tgt, changes = {}, outputs = outputsOfSecond(model, tgt, changes)) {
  const maps = {};
  const record = (path, head, weights) => ((maps[path] ??= [])[head] = weights);
  const logits = model.forward(src, decoderInput(tgt), { ...transformerOptions(changes, outputs), record });
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

/**
 * Return how much the log-probability of a translation falls with one head changed, other things equal.
 *
 * change: a name in HEAD_CHANGES. before: the log-probability without the change. outputs: see `transformerOptions`.
 */
function fallWithChange(model, src, tgt, { path, head }, change, before, outputs) {
  return before - forcedPass(model, src, tgt, { heads: { [path]: { [head]: change } } }, outputs).logProb;
}
