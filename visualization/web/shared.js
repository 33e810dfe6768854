/* Helpers that all pages use. Each page's own script runs after this one in the same global scope. */

"use strict";

/* ---- Data ---- */

/** What Python wrote into the page. */
const DATA = JSON.parse(document.getElementById("data").textContent);

/** Return base64 text as an ArrayBuffer. */
function decodeBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer;
}

/* ---- Numbers ---- */

/** Return [0, ..., n - 1]. */
const range = (n) => Array.from({ length: n }, (_, i) => i);

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Return a weight between 0 and 1 as text. */
function formatWeight(weight) {
  return weight > 0 && weight < 0.0005 ? "<0.001" : weight.toFixed(3);
}

/* ---- Elements ---- */

const byId = (id) => document.getElementById(id);

/** Set attributes and append children; strings become text nodes, never markup. */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

const element = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);

const svgElement = (tag, attributes = {}, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);

/** Return a token as an element of its own, so that right-to-left text does not reorder the words around it. */
const tokenElement = (text) => element("bdi", { class: "token" }, text);

/* ---- Colours ---- */

/** Return a colour of shared.css such as `ramp-0` or `ink` as [red, green, blue], in the current colour scheme. */
function themeColour(name) {
  const hex = getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

/** Call a function whenever the colour scheme changes between light and dark. */
function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}

/* ---- URL fragment and keyboard ---- */

/** Return the fields of a URL fragment such as `s=1&q=2`. */
const fragmentFields = (fragment = location.hash.slice(1)) => new URLSearchParams(fragment);

/** Return a field as an index below `size`, or `fallback` where it is missing or no such index. */
function indexField(fields, name, size, fallback) {
  const text = fields.get(name) ?? "";
  return /^\d+$/.test(text) && Number(text) < size ? Number(text) : fallback;
}

/** Return whether a key event belongs to a shortcut of the browser. */
const hasModifier = (event) => event.altKey || event.ctrlKey || event.metaKey;

const UNUSED_ESCAPE = "unused Escape"; // message of a page in a frame to the page around it

// A key that is pressed inside a frame does not reach the page around it, which may be the live page and its dialog.
if (parent !== window)
  addEventListener("keydown", ({ key, target, defaultPrevented }) => {
    const isUsed = defaultPrevented || target.closest("dialog, select");
    if (key === "Escape" && !isUsed) parent.postMessage(UNUSED_ESCAPE, "*");
  });
