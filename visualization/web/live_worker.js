/*
 * The worker: it holds the network and computes, so that the page never freezes.
 *
 * The page copies the scripts that it marks with `data-worker`, this file last, into one Blob. Messages to the worker
 * are {type, lane, id, ...}; each answer carries the id of its request. A new request of the same lane ends the one
 * before. An error is answered by failed {message}.
 *
 * - model {config, weights} -> ready {milliseconds}
 * - translate {src, beamSize, lengthPenalty, noRepeatNgramSize, prefix, changes} -> encoded {maps} with the weights of
 *   the encoder, step {length, candidates, rows} after every token, then translated {hypotheses, pass, milliseconds}. `rows` are the
 *   weights of the decoder, of each head one row for each hypothesis that the step has extended; `pass` is the forced
 *   pass over the best hypothesis
 * - pass {src, tgt, changes} -> passed {pass}
 * - lesson {src, tgt, kind, layer} -> computed {numbers}, as `lessonNumbers` returns them
 * - find {src, tgt, change, second} -> found {heads, done} several times: all heads measured so far, the largest fall
 *   first. `change` is a name in HEAD_CHANGES, `second` the second sentence for "patched"
 */

"use strict";

const latest = {}; // id of the last request by lane
let network = null;

/** Let messages arrive that wait. setTimeout would wait at least four milliseconds. */
function pause() {
  return new Promise((resolve) => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => {
      channel.port1.close();
      resolve();
    };
    channel.port2.postMessage(null);
  });
}

const HANDLERS = {
  async model({ id, config, weights }) {
    const start = performance.now();
    network = new Transformer(config, await decodeWeights(weights));
    postMessage({ type: "ready", id, milliseconds: performance.now() - start });
  },

  async translate({ id, lane, src, beamSize, lengthPenalty, noRepeatNgramSize, prefix = [], changes = {} }) {
    const start = performance.now();
    const options = { beamSize, lengthPenalty, noRepeatNgramSize };
    const weights = weightRecorder();
    const nextLogits = changedStep(network, src, changes, weights.record); // encodes the source
    postMessage({ type: "encoded", id, maps: weights.take() });
    const steps = searchTranslations(network, src, options, prefix, nextLogits);
    let step = steps.next();
    for (; !step.done; step = steps.next()) {
      postMessage({ type: "step", id, ...step.value, rows: weights.take() });
      await pause();
      if (latest[lane] !== id) return;
    }
    const hypotheses = step.value;
    const milliseconds = performance.now() - start;
    const pass = forcedPass(network, src, withEos(hypotheses[0].tokens), changes);
    postMessage({ type: "translated", id, hypotheses, pass, milliseconds });
  },

  pass({ id, src, tgt, changes }) {
    postMessage({ type: "passed", id, pass: forcedPass(network, src, withEos(tgt), changes) });
  },

  lesson({ id, src, tgt, kind, layer }) {
    postMessage({ type: "computed", id, numbers: lessonNumbers(network, src, withEos(tgt), kind, layer) });
  },

  async find({ id, lane, src, tgt, change, second }) {
    const target = withEos(tgt);
    const before = forcedPass(network, src, target).logProb;
    const outputs = outputsOfSecond(network, target, { second });
    const heads = [];
    for (const head of allHeads(network.config)) {
      heads.push({ ...head, fall: fallWithChange(network, src, target, head, change, before, outputs) });
      await pause();
      if (latest[lane] !== id) return;
      postMessage({ type: "found", id, heads: heads.slice().sort((a, b) => b.fall - a.fall), done: false });
    }
    heads.sort((a, b) => b.fall - a.fall);
    postMessage({ type: "found", id, heads, done: true });
  },
};

/** Return a translation with EOS as its last token, which one that the length limit has cut lacks. */
function withEos(tokens) {
  return tokens.at(-1) === EOS ? tokens : [...tokens, EOS];
}

/** Answer a request. */
async function answer(data) {
  try {
    await HANDLERS[data.type](data);
  } catch (error) {
    postMessage({ type: "failed", id: data.id, message: String(error) });
  }
}

// The page runs this file as well, since an inline script is text and code at once; only the worker has no document.
if (typeof document === "undefined") {
  onmessage = ({ data }) => {
    latest[data.lane] = data.id;
    answer(data);
  };
}
