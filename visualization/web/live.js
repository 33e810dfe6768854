/*
 * The live page: the user's text, its translation by the model in this page, and changes of the model.
 *
 * `state` is what the user has chosen; the URL fragment holds it. `results` is what the worker has computed for it.
 * Every action changes `state` and calls `update`, which asks the worker for what is missing and draws the page.
 */

"use strict";

/* ---- Data and worker ---- */

const LANGUAGES = { fr: "French", en: "English", de: "German", es: "Spanish", it: "Italian" };
const KINDS = {
  encoder_self: { tab: "Encoder", name: "Encoder self-attention", queries: "source", keys: "source" },
  decoder_self: { tab: "Decoder", name: "Decoder self-attention", queries: "target", keys: "input" },
  cross: { tab: "Cross", name: "Cross-attention", queries: "target", keys: "source" },
};
const CHANGE_TEXTS = {
  trained: "The head is as training left it.",
  off: "The output of the head is zero; the other heads of its layer are unchanged.",
  uniform: "Every query has equal weights on all keys that it may attend to.",
  patched:
    "The output of the head is replaced by its output for the second sentence, in the decoder with the same target " +
    "tokens; its own weights are shown, but nothing depends on them.",
};
const NETWORKS = ["untouched", "changed"];
const TYPING_PAUSE = 200; // milliseconds after the last key until the text is translated

const tokenizer = readTokenizer(DATA.tokenizer);
const config = DATA.config;
const languageName = (code) => LANGUAGES[code] ?? code;

/** Start a worker from the scripts of this page that are marked with `data-worker`. */
function startWorker() {
  const sources = [...document.querySelectorAll("script[data-worker]")].map((script) => script.textContent);
  const url = URL.createObjectURL(new Blob(sources, { type: "text/javascript" }));
  const started = new Worker(url);
  URL.revokeObjectURL(url);
  return started;
}

const worker = startWorker();
const receivers = new Map(); // from the id of a request to the function that receives its answers
const requestOfLane = new Map(); // from a lane to the id of its last request
let lastId = 0;

/** Send a request to the worker; `receive` gets every answer. A new request of a lane ends the one before. */
function request(message, receive) {
  const id = ++lastId;
  const lane = message.lane ?? message.type;
  receivers.delete(requestOfLane.get(lane));
  requestOfLane.set(lane, id);
  receivers.set(id, receive);
  worker.postMessage({ ...message, lane, id });
}

worker.onmessage = ({ data }) => {
  if (data.type === "failed") showProblem(`The model cannot be run: ${data.message}`);
  else receivers.get(data.id)?.(data);
};
worker.onerror = (event) => showProblem(`This browser cannot run the model: ${event.message}`);

/* ---- State ---- */

/** Return the second sentence that goes with a text until the user types another: the other one of a pair, or none. */
const secondOf = (text) => (DATA.pair.includes(text) ? DATA.pair.find((other) => other !== text) : "");

const DEFAULTS = {
  text: DATA.examples[0] ?? "",
  second: secondOf(DATA.examples[0] ?? ""), // text of the second sentence, for patched heads
  beam: 4,
  prefix: [], // ids that the user has forced, and all before them
  kind: "cross",
  layer: config.nDecoderLayers - 1,
  head: 0,
  network: "changed", // whose weights the map shows, if there are changes
  divide: true,
  positions: true,
  temperature: 0, // logarithm of the temperature to base 2, in tenths
  heads: {}, // from module path to {head: "off" | "uniform" | "patched"}
  ranking: "off", // what "Find" does to each head: "off" | "patched"
};

const state = { ...DEFAULTS };
let second = { ids: null, note: "" }; // the second sentence, null where it cannot be used, and a sentence that says so
const results = { untouched: null, changed: null, crossing: null, found: null };
let selected = null; // token whose alternatives are shown: {network, position}
let cursor = null; // cell of the map: {query, key}

const temperatureValue = () => 2 ** (state.temperature / 10);

/** Return the changes of the network that the state describes, as live_interventions.js has them. */
function changesOfState() {
  const { heads, divide, positions } = state;
  const patch = hasPatches(heads) ? { second: second.ids } : {};
  return { heads, divide, positions, temperature: temperatureValue(), ...patch };
}

const hasChanges = () =>
  !state.divide || !state.positions || state.temperature !== 0 || Object.keys(state.heads).length > 0;

/** Return whether the changed network cannot be computed because there is no second sentence of as many tokens. */
const isWaiting = () => hasPatches(state.heads) && second.ids === null;

/** Return the change of a head: "trained", "off", "uniform" or "patched". */
const changeOf = (path, head) => state.heads[path]?.[head] ?? "trained";

/** Set the change of a head in a copy of `state.heads`. */
function setHead(path, head, change) {
  const ofLayer = { ...state.heads[path] };
  delete ofLayer[head];
  if (change !== "trained") ofLayer[head] = change;
  const heads = { ...state.heads };
  delete heads[path];
  if (Object.keys(ofLayer).length) heads[path] = ofLayer;
  state.heads = heads;
}

/* ---- URL fragment ---- */

/** Return the fragment that describes the state; fields with their default value are left out. */
function fragment() {
  const fields = new URLSearchParams();
  const put = (name, value, fallback) => String(value) !== String(fallback) && fields.set(name, value);
  put("t", state.text, DEFAULTS.text);
  put("s", state.second, secondOf(state.text));
  put("b", state.beam, DEFAULTS.beam);
  put("p", state.prefix.join("."), "");
  put("k", state.kind, DEFAULTS.kind);
  put("l", state.layer, layersOfKind(config, state.kind) - 1);
  put("h", state.head, 0);
  put("n", state.network, DEFAULTS.network);
  put("d", state.divide ? 1 : 0, 1);
  put("e", state.positions ? 1 : 0, 1);
  put("y", state.temperature, 0);
  const changed = allHeads(config).filter(({ path, head }) => changeOf(path, head) !== "trained");
  const parts = changed.map(({ kind, layer, head, path }) => [kind, layer, head, changeOf(path, head)].join("."));
  put("x", parts.join("~"), "");
  put("r", state.ranking, DEFAULTS.ranking);
  return fields.toString();
}

/** Set the state from a fragment; fields that are missing or invalid take their default. */
function restore(text) {
  const fields = fragmentFields(text);
  Object.assign(state, DEFAULTS);
  state.text = fields.get("t") ?? DEFAULTS.text;
  state.second = fields.get("s") ?? secondOf(state.text);
  const beams = [...byId("beam").options].map(({ value }) => value);
  state.beam = Number(beams.includes(fields.get("b")) ? fields.get("b") : DEFAULTS.beam);
  const prefix = (fields.get("p") ?? "").split(".").filter((part) => part !== "");
  const isToken = (part) => /^\d+$/.test(part) && Number(part) < config.vocabSize && Number(part) > BOS;
  if (prefix.every(isToken) && prefix.length < config.maxTokens / 2) state.prefix = prefix.map(Number);
  if (Object.hasOwn(KINDS, fields.get("k"))) state.kind = fields.get("k");
  const nLayers = layersOfKind(config, state.kind);
  state.layer = indexField(fields, "l", nLayers, nLayers - 1);
  state.head = indexField(fields, "h", config.nHeads, 0);
  if (NETWORKS.includes(fields.get("n"))) state.network = fields.get("n");
  state.divide = fields.get("d") !== "0";
  state.positions = fields.get("e") !== "0";
  const temperature = Number(fields.get("y") ?? 0);
  if (Number.isInteger(temperature) && Math.abs(temperature) <= 20) state.temperature = temperature;
  for (const part of (fields.get("x") ?? "").split("~")) {
    const [kind, layer, head, change] = part.split(".");
    const known = allHeads(config).find((h) => h.kind === kind && `${h.layer}` === layer && `${h.head}` === head);
    if (known && Object.hasOwn(HEAD_CHANGES, change)) setHead(known.path, known.head, change);
  }
  if (fields.get("r") === "patched") state.ranking = "patched";
  byId("text").value = state.text;
  byId("second").value = state.second;
}

/** Write the state into the address, at most twice a second: browsers limit such changes. */
let fragmentTimer = null;
function saveFragment() {
  clearTimeout(fragmentTimer);
  fragmentTimer = setTimeout(() => history.replaceState(null, "", `#${fragment()}`), 400);
}

/* ---- Computation ---- */

/** Return what the worker must translate, or null with a message where there is nothing to translate. */
function sourceIds() {
  const ids = encodeSentence(tokenizer, state.text);
  showProblem("");
  if (ids.length === 1) return null;
  if (ids.length > DATA.maxSourceTokens) {
    const most = DATA.maxSourceTokens;
    showProblem(`The text has ${ids.length} tokens, but this page translates at most ${most}: shorten it.`);
    return null;
  }
  return ids;
}

/** Return the second sentence for a source (S,) or null, as `second` has it. */
function readSecond(src) {
  if (src === null) return { ids: null, note: "" };
  const ids = encodeSentence(tokenizer, state.second);
  if (ids.length === 1)
    return { ids: null, note: `Type a second sentence of as many tokens as the text: ${src.length}, EOS included.` };
  if (ids.length === src.length) return { ids, note: `Both sentences have ${ids.length} tokens, EOS included.` };
  const lengths = `The text has ${src.length} tokens and the second sentence ${ids.length}, EOS included`;
  return { ids: null, note: `${lengths}: heads can be patched only if both have as many.` };
}

/** Ask the worker for all that the state needs and that is not computed yet, then draw. */
function update() {
  const src = sourceIds();
  second = readSecond(src);
  showText("second-note", second.note);
  if (results.found?.key !== rankingKey()) results.found = null;
  const inputs = { src, beamSize: state.beam, prefix: state.prefix };
  if (src === null) {
    for (const network of NETWORKS) results[network] = null;
    results.crossing = results.found = null;
    receivers.clear(); // answers that still arrive are ignored
  } else {
    translate("untouched", inputs, {});
    if (hasChanges() && !isWaiting()) translate("changed", inputs, changesOfState());
    else results.changed = results.crossing = null;
  }
  draw();
  saveFragment();
}

/** Translate with one of the two networks, unless the same request has been made already. */
function translate(network, inputs, changes) {
  if (results[network]?.key !== requestKey(inputs, changes)) startSearch(network, inputs, changes, 0);
}

const requestKey = (inputs, changes) => JSON.stringify([inputs, changes]);

/** Ask the worker for a translation, and once more with a stricter rule if it runs in a loop. */
function startSearch(network, inputs, changes, noRepeatNgramSize) {
  const key = requestKey(inputs, changes);
  const found = { steps: [], traces: [[]], tokens: [], maps: {}, pass: null, hypotheses: [] };
  const result = { key, inputs, changes, isRepeated: noRepeatNgramSize > 0, ...found };
  results[network] = result;
  if (network === "untouched") results.found = null;
  results.crossing = null;
  const options = { lengthPenalty: DATA.lengthPenalty, noRepeatNgramSize };
  request({ type: "translate", lane: network, ...options, ...inputs, changes }, (answer) => {
    if (results[network] !== result) return;
    if (answer.type === "translated") {
      const [source, translation] = [inputs.src, answer.hypotheses[0].tokens].map((ids) => tokenizer.decode(ids));
      if (!result.isRepeated && runsInLoop(source, translation)) {
        startSearch(network, inputs, changes, LOOP_NGRAM_SIZE);
        return;
      }
      finish(network, result, answer);
      draw();
      return;
    }
    if (answer.type === "encoded") result.maps = answer.maps;
    else addStep(result, answer);
    drawSoon();
  });
}

/**
 * Add a step of the search to a result.
 *
 * A trace is what is known of each token of a hypothesis: {id, probability, alternatives, rows}, where `rows` are the
 * weights of the query that predicts the token, by module path and head. `result.traces` belong to the hypotheses that
 * the next step extends; the best of them is shown until the search is done.
 */
function addStep(result, { candidates, rows }) {
  const extend = ({ tokens, parent, probability, alternatives: others }) => [
    ...result.traces[parent],
    { id: tokens.at(-1), probability, alternatives: others, rows: rowsOfHypothesis(rows, parent) },
  ];
  const kept = candidates.filter(({ status }) => status === "kept");
  result.tokens = extend(candidates[0]);
  result.steps.push(candidates);
  if (kept.length) result.traces = kept.map(extend);
}

/** Return the rows of one hypothesis, (1, N) or (1, S), from those of all K, by module path and head. */
function rowsOfHypothesis(rows, hypothesis) {
  const ofHeads = (heads) => heads.map((matrix) => sliceRows(matrix, hypothesis, hypothesis + 1));
  return Object.fromEntries(Object.entries(rows).map(([path, heads]) => [path, ofHeads(heads)]));
}

/** Return rows (1, N) in one matrix; zeros follow a row that is shorter than the last one. */
function stackUneven(rows) {
  const stacked = zeros(rows.length, rows.at(-1).columns);
  rows.forEach(({ values }, i) => stacked.values.set(values, i * stacked.columns));
  return stacked;
}

/** Store the finished search, and ask what the changed network gives the untouched translation. */
function finish(network, result, { hypotheses, pass, milliseconds }) {
  const { tokens } = hypotheses[0];
  result.hypotheses = hypotheses;
  result.pass = pass;
  result.maps = pass.maps;
  result.traces = [];
  result.milliseconds = milliseconds;
  result.tgt = tokens.at(-1) === EOS ? tokens : [...tokens, EOS];
  result.tokens = result.tgt.map((id, t) => ({
    id,
    probability: Math.exp(pass.logProbs[t]),
    alternatives: pass.alternatives[t],
  }));
  if (network === "untouched") announce(`Translation: ${writtenText(result.tokens)}`);
  const { untouched, changed } = results;
  if (!untouched?.pass || !changed?.pass) return;
  const { changes } = changed;
  request({ type: "pass", src: untouched.inputs.src, tgt: untouched.tgt, changes }, (answer) => {
    if (results.changed !== changed || results.untouched !== untouched) return;
    results.crossing = answer.pass.logProb;
    draw();
  });
}

/** Rank all heads by what their absence costs, or their output for the second sentence in its place. */
function find() {
  const { untouched } = results;
  if (!canFind()) return;
  const key = rankingKey();
  const { src } = untouched.inputs;
  request({ type: "find", src, tgt: untouched.tgt, ...rankingOfState() }, ({ heads, done }) => {
    if (results.untouched !== untouched || key !== rankingKey()) return;
    results.found = { key, heads, done };
    drawFound();
  });
}

/** Return what the worker does to each head in turn. */
const rankingOfState = () => ({ change: state.ranking, second: state.ranking === "patched" ? second.ids : null });

const rankingKey = () => JSON.stringify(rankingOfState());

const lacksSecond = () => state.ranking === "patched" && second.ids === null;
const canFind = () => Boolean(results.untouched?.pass) && !lacksSecond();

/* ---- Drawing ---- */

const percent = (probability) =>
  probability > 0 && probability < 0.001 ? "<0.1 %" : `${(100 * probability).toFixed(1)} %`;
const number = (value, nDigits = 2) => value.toFixed(nDigits).replace("-", "−");
const textOf = (tokens) => tokenizer.decode(tokens.map(({ id }) => id));
const shownNetwork = () => (hasChanges() && !isWaiting() ? state.network : "untouched");
const shownResult = () => results[shownNetwork()];

/** Return the text of a translation as Python writes it: in capitals, if the source is. */
const writtenText = (tokens) => (inCapitals(state.text) ? textOf(tokens).toUpperCase() : textOf(tokens));

function showProblem(text) {
  byId("problem").textContent = text;
  byId("problem").hidden = text === "";
}

/** Set the text of a status line; a screen reader reads it only where it is another. */
function showText(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

function announce(text) {
  byId("status").textContent = text;
}

let frame = null; // request of the browser's next frame

/** Draw in the next frame. A search may take several steps in one frame, and drawing may take longer than a step. */
function drawSoon() {
  frame ??= requestAnimationFrame(() => {
    frame = null;
    draw();
  });
}

/** Draw everything but the text box. Where an element with the focus is replaced, its successor gets the focus. */
function draw() {
  const focused = document.activeElement?.id;
  drawControls();
  drawTranslations();
  drawAlternatives();
  drawSteps();
  drawHeads();
  drawAttention();
  drawFound();
  drawPageButtons();
  if (focused && document.activeElement?.id !== focused) byId(focused)?.focus();
  const busy = NETWORKS.some((network) => results[network] && !results[network].pass);
  byId("progress").textContent = busy ? "translating …" : timeText(results.untouched);
  document.querySelector("main").setAttribute("aria-busy", String(busy));
}

const timeText = (result) =>
  result?.pass ? `${result.tgt.length} tokens in ${result.milliseconds.toFixed(0)} ms` : "";

function drawControls() {
  byId("beam").value = String(state.beam);
  byId("divide").checked = !state.divide;
  byId("positions").checked = !state.positions;
  byId("temperature").value = String(state.temperature);
  byId("temperature-value").textContent = temperatureValue().toFixed(2);
  byId("undo").disabled = !hasChanges();
  byId("ranking").value = state.ranking;
  byId("find").disabled = !canFind();
}

/** Draw both translations as rows of tokens, with what the two networks think of them. */
function drawTranslations() {
  const isCompared = hasChanges();
  for (const network of NETWORKS) {
    const row = byId(network);
    const result = results[network];
    row.hidden = network === "changed" && !isCompared;
    if (!result) {
      const missing =
        network === "changed" && second.note
          ? `Changed network: ${second.note}`
          : "The translation of the text above appears here.";
      row.replaceChildren(element("span", { class: "soft" }, missing));
      continue;
    }
    const different = network === "changed" ? differingPositions(result, results.untouched) : new Set();
    const chips = result.tokens.map((token, i) => chipElement(network, token, i, different.has(i)));
    row.replaceChildren(nameElement(network, result, isCompared), ...chips);
  }
  byId("hint").hidden = !results.untouched;
  byId("capitals").hidden = !results.untouched || !inCapitals(state.text);
  const { untouched, changed, crossing } = results;
  byId("comparison").hidden = crossing === null;
  if (crossing === null) return;
  const fall = untouched.pass.logProb - crossing;
  const same = String(changed.tgt) === String(untouched.tgt) ? "Both translations are the same. " : "";
  byId("comparison").textContent =
    `${same}The changed network gives the untouched translation a log-probability of ${number(crossing)}, ` +
    `${fall < 0 ? "a rise" : "a fall"} of ${number(Math.abs(fall))}.`;
}

/** Return the line above a row of tokens: which network, the text, its log-probability, whether it ran in a loop. */
function nameElement(network, result, isCompared) {
  const name = isCompared ? `${network === "changed" ? "Changed" : "Untouched"} network: ` : "";
  const logProb = result.pass ? ` log-probability ${number(result.pass.logProb)}` : "";
  const text = writtenText(result.tokens);
  const repeated = result.isRepeated ? ` (searched again without any ${LOOP_NGRAM_SIZE} tokens twice: it ran in a loop)` : "";
  return element("span", { class: "name" }, name, element("b", {}, element("bdi", {}, text)), logProb, repeated);
}

/**
 * Return the positions of a translation that are not part of its longest common subsequence with another one.
 *
 * `lengths[i][j]` is the length of that subsequence for the tokens from i of the one and from j of the other.
 */
function differingPositions({ tokens }, { tokens: others }) {
  const lengths = range(tokens.length + 1).map(() => new Array(others.length + 1).fill(0));
  const isSame = (i, j) => tokens[i].id === others[j].id;
  for (let i = tokens.length - 1; i >= 0; i--)
    for (let j = others.length - 1; j >= 0; j--)
      lengths[i][j] = isSame(i, j) ? 1 + lengths[i + 1][j + 1] : Math.max(lengths[i + 1][j], lengths[i][j + 1]);
  const different = new Set(range(tokens.length));
  let [i, j] = [0, 0];
  while (i < tokens.length && j < others.length) {
    if (isSame(i, j)) {
      different.delete(i);
      [i, j] = [i + 1, j + 1];
    } else if (lengths[i + 1][j] >= lengths[i][j + 1]) i++;
    else j++;
  }
  return different;
}

/** Return a token of a translation as a button that shows its alternatives. */
function chipElement(network, { id, probability }, position, isDifferent) {
  const token = tokenizer.pieces[id];
  const isForced = position < state.prefix.length;
  const classes = ["chip", isForced && "forced", isDifferent && "differs", id === EOS && "end"].filter(Boolean);
  const isOpen = selected?.network === network && selected.position === position;
  const notes = [`probability ${percent(probability)}`, isForced && "forced", isDifferent && "differs"].filter(Boolean);
  const chip = element(
    "button",
    {
      type: "button",
      id: `${network}-${position}`,
      class: classes.join(" "),
      "aria-expanded": String(isOpen),
      "aria-pressed": String(isOpen),
      "aria-label": `${token}, ${notes.join(", ")}`,
    },
    tokenElement(token),
    element("small", {}, percent(probability)),
  );
  chip.addEventListener("click", () => {
    selected = isOpen ? null : { network, position };
    draw();
    if (selected) byId("alternatives").querySelector("button").focus();
  });
  return chip;
}

/** Draw the most probable tokens in place of the selected one. */
function drawAlternatives() {
  const box = byId("alternatives");
  const result = selected && results[selected.network];
  const token = result?.tokens[selected.position];
  box.hidden = !token;
  if (!token) return;
  const { position } = selected;
  const before = result.tokens.slice(0, position);
  const shown = [...token.alternatives];
  if (!shown.some(({ id }) => id === token.id)) shown.push(token);
  const title = element("h3", { id: "alternatives-title" });
  title.append("After ", element("bdi", {}, before.length ? `“${textOf(before)}”` : "the start of the translation"));
  const rows = shown.map(({ id, probability }) => alternativeElement(before, token, id, probability));
  const close = button("close-alternatives", "Close", () => closeAlternatives());
  const unforce = button("unforce", "Remove forced tokens", () => {
    state.prefix = [];
    closeAlternatives();
    update();
  });
  unforce.disabled = state.prefix.length === 0;
  box.replaceChildren(title, ...rows, element("div", { class: "row" }, close, unforce));
}

/** Return one alternative: a button that forces it, its probability and a bar. */
function alternativeElement(before, token, id, probability) {
  const bar = element("span", { class: "bar", "aria-hidden": "true" });
  bar.style.width = `${100 * probability}%`;
  const label = `Force ${tokenizer.pieces[id]}, probability ${percent(probability)}`;
  const choose = element("button", { type: "button", "aria-label": label, id: `force-${id}` });
  choose.append(tokenElement(tokenizer.pieces[id]));
  choose.setAttribute("aria-pressed", String(id === token.id));
  choose.addEventListener("click", () => {
    state.prefix = [...before.map((each) => each.id), id];
    selected = null;
    update();
    byId("untouched").querySelector("button")?.focus();
  });
  return element("div", { class: "alternative" }, choose, element("span", {}, percent(probability)), bar);
}

function button(id, text, action) {
  const node = element("button", { type: "button", id }, text);
  node.addEventListener("click", action);
  return node;
}

function closeAlternatives() {
  const id = selected && `${selected.network}-${selected.position}`;
  selected = null;
  draw();
  byId(id)?.focus();
}

/** Draw the hypotheses of one step of the search, or the finished ones. */
function drawSteps() {
  const steps = shownResult()?.steps ?? [];
  const slider = byId("step");
  const isLast = Number(slider.value) >= Number(slider.max);
  slider.max = String(Math.max(1, steps.length + 1)); // the last position shows the finished hypotheses
  if (isLast) slider.value = slider.max;
  slider.disabled = steps.length === 0;
  const step = Number(slider.value);
  const showsFinished = step > steps.length;
  byId("step-name").textContent =
    steps.length === 0 ? "" : showsFinished ? "finished hypotheses, best first" : `token ${step} of ${steps.length}`;
  if (steps.length === 0) byId("hypotheses").replaceChildren();
  else if (showsFinished) drawHypotheses(shownResult().hypotheses.map(finishedCells), "Score");
  else drawHypotheses(steps[step - 1].map(candidateCells), "Last token");
}

const finishedCells = ({ tokens, logProb, score, cut }) => ({
  status: cut ? "cut" : "finished",
  ids: tokens,
  logProb,
  last: number(score),
});

const candidateCells = ({ status, tokens, logProb, probability }) => ({
  status,
  ids: tokens.slice(1),
  logProb,
  last: percent(probability),
});

function drawHypotheses(rows, lastColumn) {
  const titles = ["Status", "Log-probability", lastColumn, "Hypothesis"];
  const headings = titles.map((text) => element("th", { scope: "col" }, text));
  const body = rows.map(({ status, ids, logProb, last }) =>
    element(
      "tr",
      { class: status },
      element("td", { class: "status" }, status),
      element("td", { class: "number" }, number(logProb)),
      element("td", { class: "number" }, last),
      element("td", { class: "text" }, tokenElement(tokenizer.tokens(ids).join(" "))),
    ),
  );
  byId("hypotheses").replaceChildren(
    element("thead", {}, element("tr", {}, ...headings)),
    element("tbody", {}, ...body),
  );
}

/** Draw the tabs of the kinds, and a thumbnail of every layer and head of the chosen kind. */
function drawHeads() {
  const tabs = Object.entries(KINDS).map(([kind, { tab }]) => {
    const isChosen = kind === state.kind;
    const node = element(
      "button",
      {
        type: "button",
        role: "tab",
        id: `tab-${kind}`,
        "aria-selected": String(isChosen),
        "aria-controls": "heads",
        tabindex: isChosen ? "0" : "-1",
      },
      tab,
    );
    node.addEventListener("click", () => choose({ kind, layer: layersOfKind(config, kind) - 1, head: 0 }));
    return node;
  });
  byId("kinds").replaceChildren(...tabs);
  byId("heads").setAttribute("aria-labelledby", `tab-${state.kind}`);
  const headings = range(config.nHeads).map((head) => element("th", { scope: "col" }, `head ${head}`));
  const rows = range(layersOfKind(config, state.kind)).map((layer) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, `layer ${layer}`),
      ...range(config.nHeads).map((head) => element("td", {}, headElement(layer, head))),
    ),
  );
  const head = element("thead", {}, element("tr", {}, element("td", {}), ...headings));
  byId("heads").replaceChildren(element("table", {}, head, element("tbody", {}, ...rows)));
}

/**
 * Return the weights (queries, keys) of a head in the shown network, null before they are computed.
 *
 * While the network translates, the queries of the decoder are those so far, of the best hypothesis.
 */
function weightsOf(kind, layer, head) {
  const result = shownResult();
  const path = modulePath(kind, layer);
  if (result?.maps[path]) return result.maps[path][head];
  return result?.tokens.length ? stackUneven(result.tokens.map(({ rows }) => rows[path][head])) : null;
}

/** Return the button of a head: its weights as a thumbnail, and its change. */
function headElement(layer, head) {
  const weights = weightsOf(state.kind, layer, head);
  const canvas = element("canvas", { width: "1", height: "1", "aria-hidden": "true" });
  if (weights) paintWeights(canvas, weights, state.kind === "decoder_self");
  const change = changeOf(modulePath(state.kind, layer), head);
  const isChosen = layer === state.layer && head === state.head;
  const name = `Layer ${layer}, head ${head}${change === "trained" ? "" : `, ${change}`}`;
  const node = element(
    "button",
    {
      type: "button",
      id: `head-${layer}-${head}`,
      "aria-pressed": String(isChosen),
      "aria-label": name,
      tabindex: isChosen ? "0" : "-1",
    },
    canvas,
  );
  if (change !== "trained") node.append(element("span", { class: "badge" }, change));
  node.addEventListener("click", () => choose({ layer, head }));
  return node;
}

/** Draw the switch of the chosen head, and its map. */
function drawAttention() {
  const { kind, layer, head } = state;
  const { name, queries, keys } = KINDS[kind];
  const title = `${name} · layer ${layer} · head ${head}`;
  byId("map-title").textContent = title;
  byId("head-name").textContent = `Layer ${layer}, head ${head}`;
  const change = changeOf(modulePath(kind, layer), head);
  for (const radio of document.querySelectorAll("input[name=change]")) radio.checked = radio.value === change;
  byId("change-text").textContent = CHANGE_TEXTS[change];
  byId("map-choice").hidden = !hasChanges();
  for (const network of NETWORKS)
    byId(`map-${network}`).setAttribute("aria-pressed", String(shownNetwork() === network));
  byId("map-changed").disabled = isWaiting();
  const weights = weightsOf(kind, layer, head);
  byId("body").hidden = weights === null;
  if (weights === null) {
    byId("readout").textContent = "";
    return;
  }
  const sides = sidesOf(shownResult());
  drawMap(byId("body"), weights, kind === "decoder_self", sides[queries], sides[keys], title);
  if (shownResult().pass) {
    if (cursor && !isInside(cursor, weights)) cursor = null;
    drawCursor();
  } else {
    // A screen reader would read the line below the map after every token.
    markCell(byId("body"), cursor && isInside(cursor, weights) ? cursor : null);
    showText("readout", "");
  }
}

const isInside = ({ query, key }, weights) => query < weights.rows && key < weights.columns;

/** Return the tokens that label rows and columns. */
function sidesOf({ inputs, tokens }) {
  const tgt = tokens.map(({ id }) => id);
  return {
    source: tokenizer.tokens(inputs.src),
    input: tokenizer.tokens([BOS, ...tgt.slice(0, -1)]),
    target: tokenizer.tokens(tgt),
  };
}

/** Mark the cell of the cursor and describe it. */
function drawCursor() {
  const weights = weightsOf(state.kind, state.layer, state.head);
  if (weights === null) return;
  markCell(byId("body"), cursor);
  if (cursor === null) {
    byId("readout").textContent = `Darkest colour: weight ${formatWeight(largestWeight(weights))}.`;
    return;
  }
  const { query, key } = cursor;
  const sides = sidesOf(shownResult());
  const [row, column] = [sides[KINDS[state.kind].queries][query], sides[KINDS[state.kind].keys][key]];
  const isMasked = state.kind === "decoder_self" && key > query;
  const value = isMasked ? "masked" : `weight ${formatWeight(weights.values[query * weights.columns + key])}`;
  const reads = state.kind === "encoder_self" ? "" : `reads ${sides.input[query]}, predicts `;
  byId("readout").replaceChildren("Query ", reads, tokenElement(row), " · key ", tokenElement(column), ` · ${value}`);
}

/** Draw the ranking of heads. */
function drawFound() {
  const { found } = results;
  const total = allHeads(config).length;
  const progress = !found || found.done ? "" : `${found.heads.length} of ${total} heads`;
  showText("find-progress", lacksSecond() ? "Patching needs a second sentence of as many tokens." : progress);
  const largest = Math.max(1e-9, ...(found?.heads ?? []).map(({ fall }) => fall));
  const rows = (found?.heads ?? []).map(({ kind, layer, head, fall }) => {
    const bar = element("span", { class: "bar", "aria-hidden": "true" });
    bar.style.width = `${(100 * Math.max(0, fall)) / largest}%`;
    const name = `${KINDS[kind].tab} · layer ${layer} · head ${head}`;
    const label = `${name}: the log-probability ${fall < 0 ? "rises" : "falls"} by ${number(Math.abs(fall), 3)}`;
    const id = `found-${kind}-${layer}-${head}`;
    const node = element("button", { type: "button", id, "aria-label": label }, element("span", {}, name));
    node.append(element("span", { class: "number" }, number(fall, 3)), bar);
    node.addEventListener("click", () => choose({ kind, layer, head }));
    return element("li", {}, node);
  });
  byId("found").replaceChildren(...rows);
}

/* ---- Actions ---- */

/** Show another kind, layer or head. */
function choose(choice) {
  Object.assign(state, choice);
  cursor = null;
  draw();
  saveFragment();
}

/** Move the cursor of the map by the arrow keys. */
function moveCursor(event) {
  const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  const weights = weightsOf(state.kind, state.layer, state.head);
  if (!moves[event.key] || hasModifier(event) || !weights) return;
  event.preventDefault();
  const [down, right] = moves[event.key];
  cursor = cursor
    ? {
        query: clamp(cursor.query + down, 0, weights.rows - 1),
        key: clamp(cursor.key + right, 0, weights.columns - 1),
      }
    : { query: 0, key: 0 };
  drawCursor();
  byId("body").querySelector(".mark").scrollIntoView({ block: "nearest", inline: "nearest" });
}

/** Move the focus among the buttons of a group by the arrow keys, and choose the one that gets it. */
function moveFocus(event, container, columns) {
  const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns };
  if (!steps[event.key] || hasModifier(event)) return;
  const buttons = [...container.querySelectorAll("button")];
  const next = buttons[buttons.indexOf(document.activeElement) + steps[event.key]];
  event.preventDefault();
  if (!next) return;
  const { id } = next;
  next.click();
  byId(id).focus();
}

let typingTimer = null;
byId("text").addEventListener("input", () => {
  clearTimeout(typingTimer);
  typingTimer = setTimeout(() => setText(byId("text").value), TYPING_PAUSE);
});

let secondTimer = null;
byId("second").addEventListener("input", () => {
  clearTimeout(secondTimer);
  secondTimer = setTimeout(() => {
    state.second = byId("second").value;
    update();
  }, TYPING_PAUSE);
});

/** Translate another text; forced tokens belong to the text before and go. */
function setText(text) {
  if (byId("second").value === secondOf(state.text)) byId("second").value = state.second = secondOf(text);
  state.text = text;
  state.prefix = [];
  selected = cursor = null;
  update();
}

for (const text of DATA.examples) {
  const example = element("button", { type: "button", lang: DATA.sourceLang }, text);
  example.addEventListener("click", () => {
    byId("text").value = text;
    setText(text);
  });
  byId("examples").append(example);
}
byId("beam").addEventListener("change", () => {
  state.beam = Number(byId("beam").value);
  update();
});
byId("reset").addEventListener("click", () => {
  restore(DATA.start);
  selected = cursor = null;
  update();
});
byId("step").addEventListener("input", drawSteps);
byId("divide").addEventListener("change", () => {
  state.divide = !byId("divide").checked;
  update();
});
byId("positions").addEventListener("change", () => {
  state.positions = !byId("positions").checked;
  update();
});
byId("temperature").addEventListener("input", () => {
  state.temperature = Number(byId("temperature").value);
  update();
});
byId("undo").addEventListener("click", () => {
  Object.assign(state, { divide: true, positions: true, temperature: 0, heads: {} });
  update();
});
for (const radio of document.querySelectorAll("input[name=change]"))
  radio.addEventListener("change", () => {
    setHead(modulePath(state.kind, state.layer), state.head, radio.value);
    update();
  });
for (const network of NETWORKS) byId(`map-${network}`).addEventListener("click", () => choose({ network }));
byId("find").addEventListener("click", find);
byId("ranking").addEventListener("change", () => {
  state.ranking = byId("ranking").value;
  update();
});
byId("kinds").addEventListener("keydown", (event) => moveFocus(event, byId("kinds"), 1));
byId("heads").addEventListener("keydown", (event) => moveFocus(event, byId("heads"), config.nHeads));
byId("body").addEventListener("keydown", moveCursor);
byId("body").addEventListener("pointermove", (event) => {
  const weights = weightsOf(state.kind, state.layer, state.head);
  if (!weights || !event.target.closest(".cells")) return;
  cursor = cellAt(byId("body"), event, weights);
  drawCursor();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && selected) closeAlternatives();
});
window.addEventListener("hashchange", () => {
  restore(location.hash.slice(1));
  update();
});
onThemeChange(() => {
  readPalette();
  draw();
});

/* ---- Start ---- */

const [sourceName, targetName] = [languageName(DATA.sourceLang), languageName(DATA.targetLang)];
document.title = `${sourceName} to ${targetName}, live`;
byId("text-label").textContent = sourceName;
byId("text").lang = DATA.sourceLang;
byId("about").textContent =
  `A Transformer of ${(DATA.parameters / 1e6).toFixed(1)} million parameters (stored as ${DATA.weights.format}), ` +
  `trained from ${sourceName} to ${targetName}. It runs in this page: nothing is sent anywhere.`;
readPalette();
restore(location.hash.length > 1 ? location.hash.slice(1) : DATA.start);
byId("progress").textContent = "loading the model …";
request({ type: "model", config, weights: DATA.weights }, update);
