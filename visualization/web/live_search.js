/*
 * Greedy and beam search for one sentence: the twin of translation/search.py.
 *
 * `search` only sees token ids and logits; `translationStep` connects it to the Transformer. A hypothesis is {tokens,
 * logProb}, its tokens ids with BOS first; a finished one is {tokens, logProb, score, cut} without BOS, as in
 * translation/hypothesis.py.
 */

"use strict";

const NEVER_GENERATED = [PAD, BOS, UNK];
const N_ALTERNATIVES = 5;

// As in translation/hypothesis.py; `lengthPenalty` is alpha in score = logProb / length^alpha.
const SEARCH_DEFAULTS = { beamSize: 4, lengthPenalty: 1.2, noRepeatNgramSize: 0, minLength: 1 };

/** Return the most tokens of a translation: 2 for each source token and 10 more, but at most MAX_TOKENS. */
function maxLength(sourceLength, prefixLength, maxTokens) {
  return Math.min(maxTokens, 2 * sourceLength + 10 + prefixLength);
}

/** Return the indices of the n largest values, largest first; of equal values the first one comes first. */
function topIndices(values, n) {
  const top = []; // indices, largest value first
  for (let i = 0; i < values.length; i++) {
    if (top.length === n && !(values[i] > values[top[n - 1]])) continue;
    let rank = top.length === n ? n - 1 : top.length;
    while (rank > 0 && values[i] > values[top[rank - 1]]) rank--;
    top.splice(rank, 0, i);
    top.length = Math.min(top.length, n);
  }
  return top;
}

/** Return the most probable tokens of a row of log-probabilities that a search may generate: [{id, probability}]. */
function alternatives(logProbs, n = N_ALTERNATIVES) {
  const ids = topIndices(logProbs, n + NEVER_GENERATED.length).filter((id) => !NEVER_GENERATED.includes(id));
  return ids.slice(0, n).map((id) => ({ id, probability: Math.exp(logProbs[id]) }));
}

/**
 * Find probable token sequences, step by step.
 *
 * Every step extends each hypothesis by every token of the vocabulary and keeps the K = beamSize most probable results.
 * Those that end in EOS are finished hypotheses. The search ends with K of them, or at the length limit, where the
 * others are cut. With K = 1 this is greedy search.
 *
 * step: a function (tokens (K,), parents (K,)) -> logits of the next tokens (K, V). `tokens` are the last tokens of K
 * hypotheses; `parents` says which hypothesis of the call before each one continues.
 *
 * prefix: ids with which the translation begins.
 *
 * Yields after every step {length, candidates}. The candidates are the 2 K best results, best first, each {tokens,
 * logProb, parent, status, probability, alternatives}: `status` is "kept", "finished" or "pruned"; `probability` is
 * that of the last token, and `alternatives` are the most probable tokens in its place, whatever the prefix is.
 * Returns the finished hypotheses, best first.
 */
function* search(step, limit, searchOptions = {}, prefix = []) {
  const options = { ...SEARCH_DEFAULTS, ...searchOptions };
  const nBeams = options.beamSize;
  const finished = [];
  let beams = [{ tokens: [BOS], logProb: 0 }]; // one hypothesis until the first expansion
  let parents = [0];
  for (let length = 1; length <= limit; length++) {
    const logits = step(beams.map((beam) => beam.tokens.at(-1)), parents); // (K, V)
    if (options.noRepeatNgramSize) forbidRepeats(logits, beams, options.noRepeatNgramSize);
    const modelLogProbs = logSoftmaxRows(logits); // (K, V)
    const nextLogProbs = constrain(modelLogProbs, length, options.minLength, prefix);

    // A hypothesis can end in EOS only once, so the best 2 K candidates hold at least K unfinished ones.
    const candidates = expand(beams, nextLogProbs, 2 * nBeams);

    const atLimit = length === limit;
    collectFinished(finished, candidates, atLimit, options);
    const done = atLimit || finished.length >= nBeams;
    const kept = done ? [] : prune(candidates, nBeams);
    yield { length, candidates: describeCandidates(candidates, kept, modelLogProbs, atLimit, nBeams) };
    if (kept.length === 0) break;
    beams = kept;
    parents = kept.map((beam) => beam.parent);
  }
  return finished.sort((a, b) => b.score - a.score);
}

/** Set the logits of tokens that would repeat an n-gram to -inf, in place: logits (K, V) of the K beams. */
function forbidRepeats(logits, beams, n) {
  beams.forEach(({ tokens }, row) => {
    // The n-gram that a new token would complete begins with the last n - 1 tokens. Where these occurred before, the
    // token that followed them is forbidden.
    const last = tokens.slice(tokens.length - (n - 1));
    for (let start = 1; start + n <= tokens.length; start++)
      if (last.every((token, i) => token === tokens[start + i]))
        logits.values[row * logits.columns + tokens[start + n - 1]] = -Infinity;
  });
}

/**
 * Return log-probabilities (K, V) in which forbidden tokens have -inf; the others keep the model's values.
 *
 * length: number of tokens of a hypothesis with the next one. prefix: ids with which the translation begins.
 */
function constrain(logProbs, length, minLength, prefix) {
  const result = { ...logProbs, values: logProbs.values.slice() };
  const forbidden = length <= minLength ? [...NEVER_GENERATED, EOS] : NEVER_GENERATED;
  for (let start = 0; start < result.values.length; start += result.columns) {
    for (const id of forbidden) result.values[start + id] = -Infinity;
    if (length <= prefix.length) {
      result.values.fill(-Infinity, start, start + result.columns);
      result.values[start + prefix[length - 1]] = 0; // a given token is certain
    }
  }
  return result;
}

/**
 * Extend every hypothesis by every token and return the most probable results, best first.
 *
 * beams: K hypotheses. nextLogProbs: log-probabilities of their next tokens (K, V). A candidate is {tokens, logProb,
 * parent}, where `parent` is the index of the hypothesis that it extends.
 */
function expand(beams, nextLogProbs, nCandidates) {
  const vocabSize = nextLogProbs.columns;
  const totals = nextLogProbs.values.map((logProb, i) => beams[Math.floor(i / vocabSize)].logProb + logProb); // K · V
  return topIndices(totals, nCandidates).map((index) => {
    const [parent, token] = [Math.floor(index / vocabSize), index % vocabSize];
    return { tokens: [...beams[parent].tokens, token], logProb: totals[index], parent };
  });
}

/** Add to `finished` what ends here: candidates among the best K whose last token is EOS, at the limit all K. */
function collectFinished(finished, candidates, atLimit, { beamSize, lengthPenalty }) {
  for (const { tokens, logProb } of candidates.slice(0, beamSize)) {
    const hasEos = tokens.at(-1) === EOS;
    if (!(hasEos || atLimit) || logProb === -Infinity) continue; // a forbidden token is no candidate
    const ids = tokens.slice(1); // without BOS
    finished.push({ tokens: ids, logProb, score: logProb / ids.length ** lengthPenalty, cut: !hasEos });
  }
}

/** Return the best K unfinished candidates. Those of probability 0 are left out: nothing follows from them. */
function prune(candidates, nBeams) {
  return candidates.filter(({ tokens, logProb }) => tokens.at(-1) !== EOS && logProb > -Infinity).slice(0, nBeams);
}

/** Return the candidates of a step with what became of each, and with the probabilities of its last token. */
function describeCandidates(candidates, kept, modelLogProbs, atLimit, nBeams) {
  const rows = Array.from({ length: modelLogProbs.rows }, (_, i) => sliceRows(modelLogProbs, i, i + 1).values);
  const bestOfRow = rows.map((row) => alternatives(row));
  return candidates
    .map((candidate, rank) => {
      const { tokens, logProb, parent } = candidate;
      const isFinished = rank < nBeams && (atLimit || tokens.at(-1) === EOS);
      const status = isFinished ? "finished" : kept.includes(candidate) ? "kept" : "pruned";
      const probability = Math.exp(rows[parent][tokens.at(-1)]);
      return { tokens, logProb, parent, status, probability, alternatives: bestOfRow[parent] };
    })
    .filter(({ logProb }) => logProb > -Infinity);
}

/** Connect a Transformer and source ids (S,) to `search`. The source is encoded once. */
function translationStep(model, src, options = {}) {
  let caches = model.startCache(model.encode(src, options));
  return (tokens, parents) => {
    const selected = caches.map((cache) => cache.select(parents));
    const result = model.decodeStep(tokens, selected, options);
    caches = result.caches;
    return result.logits;
  };
}

/**
 * Search the translations of source ids (S,); yields and returns what `search` does.
 *
 * searchOptions: see SEARCH_DEFAULTS. prefix: ids with which the translation begins. step: what computes the logits, by
 * default the trained network.
 */
function searchTranslations(model, src, searchOptions = {}, prefix = [], step = translationStep(model, src)) {
  const limit = maxLength(src.length, prefix.length, model.config.maxTokens);
  return search(step, limit, searchOptions, prefix);
}
