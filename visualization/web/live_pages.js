/*
 * The data of the lesson and of the attention page: the twin of visualization/lesson.py and visualization/page.py.
 *
 * The worker runs `lessonNumbers`, which needs the network. The page runs the rest: a forced pass that it already has
 * holds all that the attention page shows.
 */

"use strict";

const WEIGHT_SCALE = 65535; // `SCALE` in visualization/page.py
const SPECIAL_TOKENS = ["<pad>", "<s>", "</s>", "<unk>"];

/* ---- JSON ---- */

/** Return bytes as base64 text, which `bytesOfBase64` reads. */
function base64OfBytes(bytes) {
  let binary = "";
  for (let i = 0; i < bytes.length; i++) binary += String.fromCharCode(bytes[i]);
  return btoa(binary);
}

/** Return numbers as little-endian float32 in base64. */
function float32Base64(values) {
  const view = new DataView(new ArrayBuffer(4 * values.length));
  values.forEach((value, i) => view.setFloat32(4 * i, value, true));
  return base64OfBytes(new Uint8Array(view.buffer));
}

/** Return weights between 0 and 1 as little-endian uint16 in base64, as `to_uint16` in visualization/page.py. */
function uint16Base64(weights) {
  const view = new DataView(new ArrayBuffer(2 * weights.length));
  weights.forEach((weight, i) => view.setUint16(2 * i, Math.round(weight * WEIGHT_SCALE), true));
  return base64OfBytes(new Uint8Array(view.buffer));
}

/** Return JSON that is safe inside a script element, as `json_in_html` in visualization/template.py does. */
function jsonInHtml(data) {
  const escape = (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(data).replace(/[<>&]|[^ -~]/g, escape);
}

/* ---- Texts and tokens ---- */

/** Return the texts, ids and tokens of a source (S,) and its translation (T,), as `SentenceMaps` in Python has them. */
function describeSentence(tokenizer, src, tgt) {
  const side = (ids) => ({ ids, tokens: tokenizer.tokens(ids) });
  const sides = { source: side(src), input: side([BOS, ...tgt.slice(0, -1)]), output: side(tgt) };
  return { source: tokenizer.decode(src), translation: tokenizer.decode(tgt), sides };
}

/** Return the words as spans of tokens, as `word_spans` in visualization/sentence.py does. */
function wordSpans(tokens) {
  const isSpecial = (token) => SPECIAL_TOKENS.includes(token);
  const startsWord = (token, i) => i === 0 || token.startsWith(SPACE) || isSpecial(token) || isSpecial(tokens[i - 1]);
  const starts = tokens.flatMap((token, i) => (startsWord(token, i) ? [i] : []));
  return starts.map((start, i) => [start, starts[i + 1] ?? tokens.length]);
}

/* ---- visualization/lesson.py ---- */

/**
 * Run a function and return the last call of some methods: {input, output} by name, as `record_calls` in Python does.
 *
 * methods: [object, name of the method] by name. `input` is the first argument.
 */
function recordCalls(methods, run) {
  const calls = {};
  const originals = Object.entries(methods).map(([name, [object, method]]) => {
    const original = object[method];
    object[method] = function (...inputs) {
      const output = original.apply(object, inputs);
      calls[name] = { input: inputs[0], output };
      return output;
    };
    return { object, method, original };
  });
  try {
    run();
  } finally {
    for (const { object, method, original } of originals) object[method] = original;
  }
  return calls;
}

/** Return an attention layer, the residual connection around it, and its module path, as `module_paths` in Python. */
function attentionModules(model, kind, layer) {
  const { side, name } = KIND_LAYERS[kind];
  const layerModule = model[side][layer];
  const index = kind === "cross" ? 1 : 0;
  return {
    attention: name === "cross_attention" ? layerModule.crossAttention : layerModule.selfAttention,
    residual: layerModule.residuals[index],
    residualPath: `${side}.${layer}.residuals.${index}`,
  };
}

/** Return a matrix without loss as JSON, as `to_base64` in visualization/lesson.py does. */
const exportMatrix = ({ rows, columns, values }) => ({ shape: [rows, columns], float32: float32Base64(values) });

/** Return a bias, or the scale or shift of a layer norm, as JSON. */
const exportVector = ({ columns, values }) => ({ shape: [columns], float32: float32Base64(values) });

/** Return the weights of H heads as JSON: H matrices (T, S) -> (H, T, S). */
function exportHeads(heads) {
  const [{ rows, columns }] = heads;
  return { shape: [heads.length, rows, columns], float32: float32Base64(stackRows(heads).values) };
}

/**
 * Return what the lesson needs of one attention of the trained network: its sizes, its mask, its inputs, and the values
 * that the network computes from them in one pass over a source (S,) and a translation (T,), EOS last.
 */
function lessonNumbers(model, src, tgt, kind, layer) {
  const { config, parameters } = model;
  const { attention, residual, residualPath } = attentionModules(model, kind, layer);
  const weights = []; // of each head (T, S)
  const record = (path, head, ofHead) => {
    if (path === attention.path) weights[head] = ofHead;
  };
  const letters = ["q", "k", "v", "o"];
  const calls = recordCalls(
    {
      residual: [residual, "forward"],
      norm: [residual, "norm"],
      ...Object.fromEntries(letters.map((letter) => [letter, [attention, `w_${letter}`]])),
    },
    () => model.forward(src, [BOS, ...tgt.slice(0, -1)], { record }),
  );
  const x = exportMatrix(calls.residual.input); // (T, C), input of the sub-layer before any layer norm
  // The first self-attention reads embeddings plus positions, which the lesson computes itself.
  const isFirst = layer === 0 && kind !== "cross";
  const queryIds = kind === "encoder_self" ? src : [BOS, ...tgt.slice(0, -1)];
  const embedding = stackRows(queryIds.map((id) => sliceRows(model.embedding, id, id + 1))); // (T, C)
  const inputs = {
    ...(isFirst ? { embedding: exportMatrix(embedding) } : { x }),
    ...(kind === "cross" ? { context: exportMatrix(calls.k.input) } : {}),
    scale: exportVector(parameters[`${residualPath}.norm.weight`]),
    shift: exportVector(parameters[`${residualPath}.norm.bias`]),
  };
  for (const letter of letters) {
    const path = `${attention.path}.w_${letter}`;
    inputs[`w_${letter}`] = exportMatrix(transpose(parameters[`${path}.weight`])); // (in, out), as in the paper's X W
    inputs[`b_${letter}`] = exportVector(parameters[`${path}.bias`]);
  }
  const computed = {
    ...(isFirst ? { x } : {}),
    ...(residual.pre ? { norm: exportMatrix(calls.norm.output) } : {}),
    q: exportMatrix(calls.q.output),
    k: exportMatrix(calls.k.output),
    v: exportMatrix(calls.v.output),
    weights: exportHeads(weights),
    heads: exportMatrix(calls.o.input),
    output: exportMatrix(calls.o.output),
    result: exportMatrix(calls.residual.output),
  };
  const isVisible = (i, j) => (kind !== "decoder_self" || j <= i ? 1 : 0);
  const mask = Array.from({ length: weights[0].rows }, (_, i) =>
    Array.from({ length: weights[0].columns }, (_, j) => isVisible(i, j)),
  );
  return {
    n_layers: layersOfKind(config, kind),
    n_heads: config.nHeads,
    vocab_size: config.vocabSize,
    norm: config.norm,
    eps: LAYER_NORM_EPS,
    mask,
    inputs,
    model: computed,
  };
}

/** Return the data of a lesson from a sentence of `describeSentence` and the numbers of `lessonNumbers`. */
function lessonData({ source, translation, sides }, kind, layer, numbers) {
  return {
    source,
    translation,
    kind,
    layer,
    queries: kind === "encoder_self" ? sides.source : sides.input,
    keys: kind === "decoder_self" ? sides.input : sides.source,
    predicted: kind === "encoder_self" ? [] : sides.output.tokens,
    ...numbers,
  };
}

/* ---- visualization/page.py ---- */

/** Return the data of an attention page of one sentence; `pass` is its forced pass, `start` the first fragment. */
function attentionData(config, sentence, pass, title, start) {
  return { title, start, scale: WEIGHT_SCALE, compressed: false, sentences: [describeMaps(config, sentence, pass)] };
}

/** Return the data of one sentence, as `describe` in visualization/page.py does. */
function describeMaps(config, { source, translation, sides }, { logProbs, maps }) {
  const layers = (kind) => range(layersOfKind(config, kind)).map((layer) => maps[modulePath(kind, layer)]);
  const kinds = Object.keys(KIND_LAYERS).map((kind) => [kind, describeHeads(layers(kind), kind)]);
  return {
    source,
    translation,
    sides: Object.fromEntries(Object.entries(sides).map(([name, side]) => [name, describeTokens(side)])),
    logProbs,
    maps: Object.fromEntries(kinds),
  };
}

/** Return the tokens along one side of a map, the spans of their words, and the positions of special tokens. */
function describeTokens({ tokens, ids }) {
  const special = range(ids.length).filter((position) => [PAD, BOS, EOS].includes(ids[position]));
  return { tokens, words: wordSpans(tokens), special };
}

/** Return the weights of one kind, and the entropies of each layer: of its heads, then of the mean of its heads. */
function describeHeads(layers, kind) {
  const [[{ rows, columns }]] = layers;
  const stacked = stackRows(layers.flat());
  return {
    shape: [layers.length, layers[0].length, rows, columns],
    weights: uint16Base64(stacked.values),
    entropy: layers.map((heads) => [...heads, meanMatrix(heads)].map((weights) => relativeEntropy(weights, kind))),
  };
}

/** Return the mean of matrices of the same shape. */
const meanMatrix = (matrices) => divideEntries(matrices.reduce(addMatrices), matrices.length);

/**
 * Return the entropy of a head, as `head_statistics` in visualization/sentence.py does: the mean over its rows of the
 * entropy divided by its maximum, log2 of the number of visible keys. Rows with a single visible key are left out.
 */
function relativeEntropy({ rows, columns, values }, kind) {
  const entropies = [];
  for (let i = 0; i < rows; i++) {
    const nVisible = kind === "decoder_self" ? i + 1 : columns;
    if (nVisible === 1) continue;
    const row = values.subarray(i * columns, (i + 1) * columns);
    const bits = -row.reduce((total, weight) => total + weight * Math.log2(Math.max(weight, 1e-30)), 0);
    entropies.push(bits / Math.log2(nVisible));
  }
  return entropies.length ? sum(entropies) / entropies.length : 0;
}
