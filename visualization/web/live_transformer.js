/*
 * The Transformer in JavaScript, for one sentence: the twin of model/attention.py and model/transformer.py.
 *
 * Names, classes and their order are those of the Python files. Dimensions are those of model/__init__.py: T target
 * length (queries), S source length (keys), C model width, H heads, D head width, V vocabulary, K hypotheses, N target
 * tokens decoded so far. Matrices are float32, as matrices.js has them.
 *
 * Every forward function takes `options`, which change the computation; `{}` is the trained network:
 *
 * - divide: divide scores by √d_k (default true)
 * - temperature: divide scores by this number, too (default 1)
 * - positions: add position encodings (default true)
 * - intervene: a function (path, head, {weights, values, v, mask, start, sequence}) that may return other {weights,
 *   values} of one head of one attention layer. `path` is the module path in Python, such as
 *   `decoder.0.cross_attention`; `start` is the position of the first query; `sequence` is the index of the sequence
 *   among those with keys of their own, which are the hypotheses in decoder self-attention of a decoding step.
 * - record: a function (path, head, weights, values, sequence) that receives what each head has computed, after
 *   `intervene`.
 */

"use strict";

const LAYER_NORM_EPS = 1e-5; // the default of torch.nn.LayerNorm

/* ---- model/attention.py ---- */

/**
 * Scaled dot-product attention of one head: softmax(q kᵀ / √d_k) v (Vaswani et al. 2017, equation 1).
 *
 * q: queries (T, D). k: keys (S, D). v: values (S, D). mask: a function (i, j), true where query i may attend to key j;
 * null if all may. Returns the weighted means `values` (T, D) and the `weights` (T, S), whose rows sum to 1.
 */
function attention(q, k, v, mask = null, { divide = true, temperature = 1 } = {}) {
  const scores = divideEntries(linear(q, k), (divide ? Math.sqrt(q.columns) : 1) * temperature); // q kᵀ / √d_k (T, S)
  const weights = softmaxRows(maskScores(scores, mask)); // (T, S)
  return { values: multiply(weights, v), weights };
}

/** Attention in n_heads subspaces side by side: concat(head_1, ..., head_H) W_O (section 3.2.2). */
class MultiHeadAttention {
  /** `parameters` are those of the model by name, `path` is the module path, `nHeads` H. */
  constructor(parameters, path, nHeads) {
    this.path = path;
    this.nHeads = nHeads;
    for (const name of ["w_q", "w_k", "w_v", "w_o"]) this[name] = linearLayer(parameters, `${path}.${name}`);
  }

  /** Attend from x (T, C) to the context (S, C), x itself by default -> (T, C). */
  forward(x, context = x, mask = null, options = {}) {
    return this.attend(x, [this.keysValues(context)], mask, options);
  }

  /** Project a sequence (S, C) to the keys and values of each head, H matrices (S, D) each. */
  keysValues(context) {
    return { k: this.splitHeads(this.w_k(context)), v: this.splitHeads(this.w_v(context)) };
  }

  /**
   * Attend from x (T, C) to keys and values -> (T, C).
   *
   * keysValues: of one sequence, to which all T queries attend, or of each of T sequences, one for each query: the
   * hypotheses of a beam share the source but not the target. mask: see `attention`. start: position of the first
   * query.
   */
  attend(x, keysValues, mask, options, start = 0) {
    const perHead = this.splitHeads(this.w_q(x)); // H queries (T, D)
    const nQueries = x.rows / keysValues.length; // of each sequence
    const heads = perHead.map((q, head) => {
      const values = keysValues.map(({ k, v }, sequence) => {
        const ownQueries = sliceRows(q, sequence * nQueries, (sequence + 1) * nQueries);
        let result = attention(ownQueries, k[head], v[head], mask, options);
        const changed = options.intervene?.(this.path, head, { ...result, v: v[head], mask, start, sequence });
        if (changed) result = { ...result, ...changed };
        options.record?.(this.path, head, result.weights, result.values, sequence);
        return result.values;
      });
      return stackRows(values); // (T, D)
    });
    return this.w_o(joinColumns(heads));
  }

  /** Split the width among the heads: (T, C) -> H matrices (T, D). */
  splitHeads(x) {
    return splitColumns(x, this.nHeads);
  }
}

/* ---- model/transformer.py ---- */

/** Return the linear layer at a module path, a function (T, C) -> (T, O). */
function linearLayer(parameters, path) {
  const { [`${path}.weight`]: weight, [`${path}.bias`]: bias } = parameters;
  return (x) => linear(x, weight, bias);
}

/** Return the layer norm at a module path, a function (T, C) -> (T, C). */
function layerNorm(parameters, path) {
  const { [`${path}.weight`]: scale, [`${path}.bias`]: shift } = parameters;
  return (x) => normaliseRows(x, scale, shift, LAYER_NORM_EPS);
}

/** Position-wise feed-forward network: two linear layers with a ReLU between them (section 3.3, equation 2). */
class FeedForward {
  constructor(parameters, path) {
    this.expand = linearLayer(parameters, `${path}.expand`);
    this.contract = linearLayer(parameters, `${path}.contract`);
  }

  /** (T, C) -> (T, C). */
  forward(x) {
    const inner = this.expand(x);
    for (let i = 0; i < inner.values.length; i++) inner.values[i] = Math.max(0, inner.values[i]);
    return this.contract(inner);
  }
}

/**
 * A residual connection with layer normalisation around a sub-layer (section 3.1): x + f(norm(x)) with pre-norm,
 * norm(x + f(x)) with post-norm.
 */
class Residual {
  constructor(parameters, path, norm) {
    this.norm = layerNorm(parameters, `${path}.norm`);
    this.pre = norm === "pre";
  }

  /** (T, C) -> (T, C). */
  forward(x, sublayer) {
    return this.pre ? addMatrices(x, sublayer(this.norm(x))) : this.norm(addMatrices(x, sublayer(x)));
  }
}

/** Self-attention, then a feed-forward network, each with a residual connection (section 3.1). */
class EncoderLayer {
  constructor(parameters, path, { nHeads, norm }) {
    this.selfAttention = new MultiHeadAttention(parameters, `${path}.self_attention`, nHeads);
    this.feedForward = new FeedForward(parameters, `${path}.feed_forward`);
    this.residuals = [0, 1].map((i) => new Residual(parameters, `${path}.residuals.${i}`, norm));
  }

  /** (S, C) -> (S, C). */
  forward(x, options) {
    x = this.residuals[0].forward(x, (y) => this.selfAttention.forward(y, y, null, options));
    return this.residuals[1].forward(x, (y) => this.feedForward.forward(y));
  }
}

/**
 * Keys and values that a decoder layer has already computed, so that a decoding step projects new tokens only.
 *
 * source: of the source, H matrices (S, D) of keys `k` and of values `v`; all hypotheses share them. targets: of the
 * target tokens so far, for each of K hypotheses H matrices (N, D) of `k` and `v`.
 */
class LayerCache {
  constructor(source, targets) {
    this.source = source;
    this.targets = targets;
  }

  /** Return a cache with the keys and values of one more target token of each hypothesis, H matrices (K, D). */
  append({ k, v }) {
    const extend = (old, added, i) => old.map((m, head) => stackRows([m, sliceRows(added[head], i, i + 1)]));
    const targets = this.targets.map((target, i) => ({ k: extend(target.k, k, i), v: extend(target.v, v, i) }));
    return new LayerCache(this.source, targets);
  }

  /** Return the cache of the given hypotheses, which are indices of those of this cache. */
  select(hypotheses) {
    return new LayerCache(this.source, hypotheses.map((i) => this.targets[i]));
  }
}

/** Masked self-attention, cross-attention to the encoder output, then a feed-forward network (section 3.1). */
class DecoderLayer {
  constructor(parameters, path, { nHeads, norm }) {
    this.selfAttention = new MultiHeadAttention(parameters, `${path}.self_attention`, nHeads);
    this.crossAttention = new MultiHeadAttention(parameters, `${path}.cross_attention`, nHeads);
    this.feedForward = new FeedForward(parameters, `${path}.feed_forward`);
    this.residuals = [0, 1, 2].map((i) => new Residual(parameters, `${path}.residuals.${i}`, norm));
  }

  /** x (T, C), memory (S, C), tgtMask (i, j) -> (T, C). */
  forward(x, memory, tgtMask, options) {
    x = this.residuals[0].forward(x, (y) => this.selfAttention.forward(y, y, tgtMask, options));
    x = this.residuals[1].forward(x, (y) => this.crossAttention.forward(y, memory, null, options));
    return this.residuals[2].forward(x, (y) => this.feedForward.forward(y));
  }

  /** Compute `forward` for one new token of each hypothesis: x (K, C) and its cache -> (K, C) and the longer cache. */
  step(x, cache, options) {
    const start = cache.targets[0].k[0].rows; // N, the position of the new token
    x = this.residuals[0].forward(x, (y) => {
      cache = cache.append(this.selfAttention.keysValues(y));
      return this.selfAttention.attend(y, cache.targets, null, options, start);
    });
    x = this.residuals[1].forward(x, (y) => this.crossAttention.attend(y, [cache.source], null, options, start));
    return { x: this.residuals[2].forward(x, (y) => this.feedForward.forward(y)), cache };
  }
}

/**
 * The network from token ids to logits.
 *
 * One matrix serves as source embedding, target embedding and output projection (section 3.4).
 */
class Transformer {
  /** `config`: sizes, as visualization/live.py writes them. `parameters`: matrices by name in Python's state_dict. */
  constructor(config, parameters) {
    this.config = config;
    this.parameters = parameters;
    this.embedding = parameters["embedding.weight"]; // (V, C)
    this.positions = sinusoids(config.maxTokens, config.dModel);
    const layers = (n, Layer, side) =>
      Array.from({ length: n }, (_, i) => new Layer(parameters, `${side}.${i}`, config));
    this.encoder = layers(config.nEncoderLayers, EncoderLayer, "encoder");
    this.decoder = layers(config.nDecoderLayers, DecoderLayer, "decoder");
    // Pre-norm layers return an unnormalised sum; post-norm layers have just normalised it.
    const pre = config.norm === "pre";
    this.encoderNorm = pre ? layerNorm(parameters, "encoder_norm") : (x) => x;
    this.decoderNorm = pre ? layerNorm(parameters, "decoder_norm") : (x) => x;
  }

  /** Source ids (S,) and target ids so far (T,) -> logits of each next token (T, V). */
  forward(src, tgt, options = {}) {
    return this.logits(this.decode(tgt, this.encode(src, options), options));
  }

  /** Source ids (S,) -> encoder output, the memory (S, C). */
  encode(src, options = {}) {
    let x = this.embed(src, 0, options);
    for (const layer of this.encoder) x = layer.forward(x, options);
    return this.encoderNorm(x);
  }

  /** Target ids (T,), memory (S, C) -> decoder hidden states (T, C). */
  decode(tgt, memory, options = {}) {
    const tgtMask = (i, j) => j <= i; // itself and the past
    let x = this.embed(tgt, 0, options);
    for (const layer of this.decoder) x = layer.forward(x, memory, tgtMask, options);
    return this.decoderNorm(x);
  }

  /** Memory (S, C) -> the cache of each decoder layer, for one hypothesis without any token. */
  startCache(memory) {
    return this.decoder.map((layer) => {
      const source = layer.crossAttention.keysValues(memory);
      const none = (perHead) => perHead.map((m) => sliceRows(m, 0, 0));
      return new LayerCache(source, [{ k: none(source.k), v: none(source.v) }]);
    });
  }

  /**
   * Decode one step: the last token of each hypothesis (K,) -> logits of its next token (K, V), and the caches of the
   * decoder layers with the new tokens.
   */
  decodeStep(tokens, caches, options = {}) {
    const start = caches[0].targets[0].k[0].rows;
    let x = stackRows(tokens.map((token) => this.embed([token], start, options)));
    const extended = this.decoder.map((layer, i) => {
      const result = layer.step(x, caches[i], options);
      x = result.x;
      return result.cache;
    });
    return { logits: this.logits(this.decoderNorm(x)), caches: extended };
  }

  /** Ids (T,) at positions start, start + 1, ... -> √d_model · embedding + position encoding (T, C). */
  embed(tokens, start, { positions = true }) {
    const n = this.config.dModel;
    const x = zeros(tokens.length, n);
    const factor = Math.sqrt(n);
    tokens.forEach((token, t) => {
      for (let j = 0; j < n; j++) {
        const position = positions ? this.positions.values[(start + t) * n + j] : 0;
        x.values[t * n + j] = this.embedding.values[token * n + j] * factor + position;
      }
    });
    return x;
  }

  /** Dot products of hidden states with every embedding: (T, C) -> (T, V). */
  logits(hidden) {
    return linear(hidden, this.embedding);
  }
}
