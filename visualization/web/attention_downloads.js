/* Downloads of the attention page: SVG, PNG and CSV files of the maps that are shown. Used by attention.js. */

"use strict";

/** Download a file that is named after the maps that are shown. */
function save(blob, ending) {
  const names = state.panels.map(({ s, k, l, h }) => `sentence${s}-${k}-layer${l}-${h === MEAN ? MEAN : `head${h}`}`);
  const link = element("a", { href: URL.createObjectURL(blob), download: `${names.join("-beside-")}.${ending}` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Return the shown maps as CSV: masked cells are empty; two panels follow each other, each under its title. */
function csv() {
  const quote = (text) => `"${text.replaceAll('"', '""')}"`;
  const blocks = maps.map((map) => {
    const isDecoder = KINDS[map.kind].query === "output";
    const head = [
      ...(isDecoder ? ["reads", "predicts"] : ["query"]),
      ...map.keys.map((key) => key.label),
      ...(state.hide ? ["hidden weight"] : []),
    ];
    const rows = map.queries.map((query) => [
      ...(isDecoder ? [quote(query.reads)] : []),
      quote(query.label),
      ...map.keys.map((key) => map.weight(query, key)?.toFixed(6) ?? ""),
      ...(state.hide ? [hiddenWeight(map, query).toFixed(6)] : []),
    ]);
    const title = maps.length > 1 ? [[quote(titleOf(map.panel))]] : [];
    return [...title, head.map(quote), ...rows].map((row) => row.join(",")).join("\r\n");
  });
  return `${blocks.join("\r\n\r\n")}\r\n`;
}

/** Return text that XML allows: control characters become their symbols (U+2400 ...), lone surrogates U+FFFD. */
function printable(text) {
  return text
    .replace(/[\0-\x1f]/g, (c) => String.fromCharCode(0x2400 + c.charCodeAt(0)))
    .replace(/\x7f/g, "\u2421")
    .replace(/[\x80-\x9f\ufffe\uffff]/g, "\ufffd")
    .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

const FONT = { "font-family": "system-ui, sans-serif", "font-size": 13 };

/** Return text whose vertical centre is at `y`. */
function svgText(text, x, y, attributes) {
  const position = { x, y, "dominant-baseline": "central" };
  return svgElement("text", { ...position, fill: colours.soft, ...FONT, ...attributes }, printable(text));
}

const measuring = document.createElement("canvas").getContext("2d");

/** Return the width in pixels of the widest text. */
function maxWidth(texts) {
  measuring.font = `${FONT["font-size"]}px ${FONT["font-family"]}`;
  return Math.ceil(Math.max(0, ...texts.map((text) => measuring.measureText(printable(text)).width)));
}

/** Return the labels of the queries, right-aligned left of x = 0, and their width. */
function svgRowLabels(map, cell) {
  const isDecoder = map.queries[0].reads !== undefined;
  const predicts = maxWidth(["predicts", ...map.queries.map((query) => query.label)]);
  const reads = isDecoder ? maxWidth(["reads", ...map.queries.map((query) => query.reads)]) + 14 : 0;
  const word = (text, x, y, fill) => svgText(text, x, y, { fill, "text-anchor": "end" });
  const nodes = map.queries.flatMap((query, i) => [
    word(query.label, -8, (i + 0.5) * cell, colours.ink),
    ...(isDecoder ? [word(query.reads, -22 - predicts, (i + 0.5) * cell, colours.soft)] : []),
  ]);
  if (isDecoder) nodes.push(word("predicts", -8, -12, colours.soft), word("reads", -22 - predicts, -12, colours.soft));
  const width = 34 + predicts + reads;
  const middle = (map.queries.length * cell) / 2;
  const x = 10 - width;
  nodes.push(svgText("query", x, middle, { transform: `rotate(-90 ${x} ${middle})`, "text-anchor": "middle" }));
  return { nodes, width };
}

/** Return the elements of a heatmap whose first cell is at (0, 0), and its size: `left` and `top` for the labels. */
function svgHeatmap(map) {
  const cell = clamp(Math.floor(900 / map.keys.length), 15, 30);
  const rows = svgRowLabels(map, cell);
  const top = maxWidth(map.keys.map((key) => key.label)) + 34;
  const [width, height] = [map.keys.length * cell, map.queries.length * cell];
  const keys = map.keys.map((key, j) => {
    const x = (j + 0.5) * cell;
    return svgText(key.label, x, -8, { transform: `rotate(-90 ${x} -8)`, fill: colours.ink });
  });
  const cells = map.queries.flatMap((query, i) =>
    map.keys.map((key, j) => {
      const weight = map.weight(query, key);
      const fill = weight === null ? "url(#masked)" : cssColour(weightColour(weight, largest));
      const stroke = { stroke: colours.paper, "stroke-width": 0.5 };
      return svgElement("rect", { x: j * cell, y: i * cell, width: cell, height: cell, fill, ...stroke });
    }),
  );
  const title = svgText("key", width / 2, 8 - top, { "text-anchor": "middle" });
  return { nodes: [...rows.nodes, ...keys, title, ...cells], left: rows.width, top, width, height };
}

/** Return the elements of lines that begin at x = 0, and their size as `svgHeatmap` does. */
function svgLines(map) {
  const cell = 24;
  const rows = svgRowLabels(map, cell);
  const [span, height] = [260, Math.max(map.queries.length, map.keys.length) * cell];
  const strokes = map.queries.flatMap((query, i) =>
    map.keys.flatMap((key, j) => {
      const stroke = strokeOf(map.weight(query, key));
      if (!stroke) return [];
      return [
        svgElement("line", {
          x1: 0,
          y1: (i + 0.5) * cell,
          x2: span,
          y2: (j + 0.5) * cell,
          stroke: cssColour(colours.ramp[3]),
          "stroke-width": stroke.width.toFixed(2),
          "stroke-opacity": stroke.opacity.toFixed(3),
        }),
      ];
    }),
  );
  const keys = map.keys.map((key, j) => svgText(key.label, span + 8, (j + 0.5) * cell, { fill: colours.ink }));
  const width = span + 16 + maxWidth(map.keys.map((key) => key.label));
  const nodes = [...strokes, ...rows.nodes, ...keys, svgText("key", span + 8, -12)];
  return { nodes, left: rows.width, top: 30, width, height };
}

const MARGIN = 16; // pixels around the picture

/** Return the definitions that the picture refers to: gradient of the scale, hatching of masked cells. */
function svgDefinitions() {
  const stopColour = (fraction) =>
    state.lines
      ? { "stop-color": cssColour(colours.ramp[3]), "stop-opacity": Math.sqrt(fraction) }
      : { "stop-color": cssColour(interpolated(colours.ramp, fraction)) };
  const fractions = [0, 0.0625, 0.25, 0.5, 0.75, 1];
  const stops = fractions.map((fraction) => svgElement("stop", { offset: fraction, ...stopColour(fraction) }));
  const hatch = { d: "M-1,7 L7,-1 M-1,1 L1,-1 M5,7 L7,5", stroke: colours.soft, "stroke-width": 0.8 };
  const tile = { id: "masked", width: 6, height: 6, patternUnits: "userSpaceOnUse" };
  return svgElement(
    "defs",
    {},
    svgElement("linearGradient", { id: "scale" }, ...stops),
    svgElement("pattern", tile, svgElement("path", hatch)),
  );
}

/** Return the legend below the maps, whose lower edge is at `y`. */
function svgLegend(drawn, y) {
  const text = (x, text) => svgText(text, x, y + 28);
  const sample = (x, width, fill) =>
    svgElement("rect", { x, y: y + 22, width, height: 12, fill, stroke: colours.line });
  const scale = [
    text(MARGIN, "0"),
    sample(MARGIN + 14, 140, "url(#scale)"),
    text(MARGIN + 162, `${formatWeight(largest)} weight`),
  ];
  const hasMask = drawn.some((map) => map.kind === "decoder_self") && !state.lines;
  const mask = hasMask ? [sample(MARGIN + 260, 24, "url(#masked)"), text(MARGIN + 292, "masked")] : [];
  return [...scale, ...mask];
}

/** Return the shown maps as one picture: panels side by side, and one legend below. */
function svgPicture() {
  const drawn = maps.filter((map) => map.queries.length && map.keys.length);
  const titleHeight = 30;
  let [x, bottom] = [MARGIN, 0];
  const groups = drawn.map((map) => {
    const { nodes, left, top: above, width, height } = state.lines ? svgLines(map) : svgHeatmap(map);
    const title = titleOf(map.panel);
    const name = svgText(title, -left, -above - 16, { fill: colours.ink, "font-weight": 600 });
    const y = MARGIN + titleHeight + above;
    const group = svgElement("g", { transform: `translate(${x + left} ${y})` }, name, ...nodes);
    x += Math.max(left + width, maxWidth([title]) * 1.1) + 2 * MARGIN; // titles are bold: about 10 % wider
    bottom = Math.max(bottom, y + height);
    return group;
  });
  const width = Math.max(x - MARGIN, 320);
  const height = bottom + 58;
  const size = { width, height, viewBox: `0 0 ${width} ${height}` };
  const background = svgElement("rect", { width, height, fill: colours.paper });
  return svgElement("svg", size, svgDefinitions(), background, ...groups, ...svgLegend(drawn, bottom));
}

function svgBlob(node) {
  return new Blob([new XMLSerializer().serializeToString(node)], { type: "image/svg+xml" });
}

const MAX_PIXELS = 8000; // along a side of a PNG; browsers refuse larger canvases

/** Download the picture as a PNG of twice its size, or as large as a canvas may be. */
async function savePng() {
  const node = svgPicture();
  const image = new Image();
  image.src = URL.createObjectURL(svgBlob(node));
  await image.decode();
  const [width, height] = [image.naturalWidth, image.naturalHeight];
  const scale = Math.min(2, MAX_PIXELS / Math.max(width, height));
  const canvas = element("canvas", { width: Math.round(width * scale), height: Math.round(height * scale) });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  canvas.toBlob((blob) => save(blob, "png"));
}
