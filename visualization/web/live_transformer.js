/*
 * The Transformer in JavaScript, for one sentence: the twin of model/attention.py and model/transformer.py.
 *
 * Names, classes and their order are those of the Python files. Dimensions are those of model/__init__.py: T target
 * length (queries), S source length (keys), C model width, H heads, D head width, V vocabulary, K hypotheses, N target
 * tokens decoded so far. A matrix is {rows, columns, values}, its values a Float32Array, row by row; sums are computed
 * in float64 and rounded to float32.
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

/* ---- Matrices ---- */

/** Return a matrix of zeros. */
function zeros(rows, columns) {
  return { rows, columns, values: new Float32Array(rows * columns) };
}

/** Return rows `start` to `end` - 1 of a matrix, without a copy. */
function sliceRows(m, start, end) {
  return { rows: end - start, columns: m.columns, values: m.values.subarray(start * m.columns, end * m.columns) };
}

/** Return the rows of matrices of the same width in one matrix. */
function stackRows(matrices) {
  const columns = matrices[0].columns;
  const stacked = zeros(matrices.reduce((rows, m) => rows + m.rows, 0), columns);
  let offset = 0;
  for (const m of matrices) {
    stacked.values.set(m.values, offset);
    offset += m.values.length;
  }
  return stacked;
}

/** Return the sum of two matrices of the same shape. */
function addMatrices(a, b) {
  const total = zeros(a.rows, a.columns);
  for (let i = 0; i < total.values.length; i++) total.values[i] = a.values[i] + b.values[i];
  return total;
}

/**
 * Return x Wᵀ + b: x (T, C), weight (O, C), bias (1, O) or null -> (T, O). The page spends its time here.
 *
 * Both matrices are read along their rows, so along contiguous memory. Four rows of x at a time share each weight that
 * is read.
 */
function linear(x, weight, bias = null) {
  const n = x.columns;
  const result = zeros(x.rows, weight.rows);
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
  const result = zeros(a.rows, b.columns);
  for (let i = 0; i < a.rows; i++) {
    for (let n = 0; n < a.columns; n++) {
      const value = a.values[i * a.columns + n];
      for (let j = 0; j < b.columns; j++) result.values[i * b.columns + j] += value * b.values[n * b.columns + j];
    }
  }
  return result;
}

/** Return the softmax of each row. Subtracting the largest score changes no weight and avoids overflow. */
function softmaxRows(scores) {
  const result = zeros(scores.rows, scores.columns);
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
  const result = zeros(logits.rows, logits.columns);
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

/* ---- model/attention.py ---- */

/**
 * Scaled dot-product attention of one head: softmax(q kᵀ / √d_k) v (Vaswani et al. 2017, equation 1).
 *
 * q: queries (T, D). k: keys (S, D). v: values (S, D). mask: a function (i, j), true where query i may attend to key j;
 * null if all may. Returns the weighted means `values` (T, D) and the `weights` (T, S), whose rows sum to 1.
 */
function attention(q, k, v, mask = null, { divide = true, temperature = 1 } = {}) {
  const scores = linear(q, k); // q kᵀ (T, S)
  const divisor = (divide ? Math.sqrt(q.columns) : 1) * temperature;
  for (let i = 0; i < scores.rows; i++) {
    for (let j = 0; j < scores.columns; j++) {
      const at = i * scores.columns + j;
      scores.values[at] = mask === null || mask(i, j) ? scores.values[at] / divisor : -Infinity; // exp(-inf) = 0
    }
  }
  const weights = softmaxRows(scores); // (T, S)
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
    return this.w_o(joinHeads(heads));
  }

  /** Split the width among the heads: (T, C) -> H matrices (T, D). */
  splitHeads(x) {
    const width = x.columns / this.nHeads;
    return Array.from({ length: this.nHeads }, (_, head) => {
      const part = zeros(x.rows, width);
      for (let t = 0; t < x.rows; t++) {
        const first = t * x.columns + head * width;
        part.values.set(x.values.subarray(first, first + width), t * width);
      }
      return part;
    });
  }
}

/** Concatenate the heads: H matrices (T, D) -> (T, C). */
function joinHeads(heads) {
  const [{ rows, columns: width }] = heads;
  const joined = zeros(rows, heads.length * width);
  heads.forEach((part, head) => {
    for (let t = 0; t < rows; t++)
      joined.values.set(part.values.subarray(t * width, (t + 1) * width), t * joined.columns + head * width);
  });
  return joined;
}

/* ---- model/transformer.py ---- */

/** Return the linear layer at a module path, a function (T, C) -> (T, O). */
function linearLayer(parameters, path) {
  const { [`${path}.weight`]: weight, [`${path}.bias`]: bias } = parameters;
  return (x) => linear(x, weight, bias);
}

/** Return the layer norm at a module path, a function (T, C) -> (T, C): (x - μ) / √(σ² + ε) · γ + β. */
function layerNorm(parameters, path) {
  const [scale, shift] = [parameters[`${path}.weight`].values, parameters[`${path}.bias`].values];
  return (x) => {
    const n = x.columns;
    const result = zeros(x.rows, n);
    for (let start = 0; start < x.values.length; start += n) {
      let mean = 0;
      for (let i = 0; i < n; i++) mean += x.values[start + i] / n;
      let variance = 0;
      for (let i = 0; i < n; i++) variance += (x.values[start + i] - mean) ** 2 / n;
      const deviation = Math.sqrt(variance + LAYER_NORM_EPS);
      for (let i = 0; i < n; i++)
        result.values[start + i] = ((x.values[start + i] - mean) / deviation) * scale[i] + shift[i];
    }
    return result;
  };
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
