/*
 * What is done to a text before the search and to a translation after it: the twin of translation/translator.py.
 *
 * Models see few capitals in training, so a sentence in capitals is translated in lower case, and its translation is
 * written in capitals. A translation that runs in a loop is searched again.
 */

"use strict";

const MAX_ABBREVIATION = 4; // letters of a word in capitals that may be an abbreviation
const LETTERS = /[\p{L}\p{Nl}\p{No}]+/gu; // what [^\W\d_]+ matches in Python
const TITLE_CASE = { Ǆ: "ǅ", Ǉ: "ǈ", Ǌ: "ǋ", Ǳ: "ǲ" }; // two letters in one character: only the first is a capital

const LOOP = /(\S.{0,40}?)\1{3,}/u; // something of up to 41 characters, four times in a row or more
const LOOP_NGRAM_SIZE = 3; // noRepeatNgramSize of a search that shall not run in a loop

/** Return whether a translation repeats something four times in a row or more, though the source does not. */
const runsInLoop = (source, translation) => LOOP.test(translation) && !LOOP.test(source);

/** Return whether a text has capital letters and no others, as Python's str.isupper() does. */
const isUpper = (text) => /\p{Uppercase}/u.test(text) && !/[\p{Lowercase}\p{Lt}]/u.test(text);

/** Return whether a sentence is written in capitals; one word of up to four letters may be an abbreviation. */
function inCapitals(sentence) {
  const words = sentence.match(LETTERS) ?? [];
  return isUpper(sentence) && (words.length > 1 || [...words.join("")].length > MAX_ABBREVIATION);
}

/**
 * Return a text in capitals as Python's str.capitalize() does: the first character stays, the others are lower case.
 *
 * The whole text becomes lower case at first, since the last letter of a Greek word depends on those before it.
 */
function capitalise(text) {
  const first = String.fromCodePoint(text.codePointAt(0));
  return (TITLE_CASE[first] ?? first) + text.toLowerCase().slice(first.toLowerCase().length);
}

/** Return the ids of a text, EOS last, as `search` in translation/translator.py encodes a sentence. */
function encodeSentence(tokenizer, text) {
  const sentence = splitWords(text).join(" ");
  return tokenizer.encode(inCapitals(sentence) ? capitalise(sentence) : sentence);
}
