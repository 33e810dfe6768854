/*
 * The tokenizer: text to token ids and back, as data/tokenizer.py does it with SentencePiece.
 *
 * SentencePiece's unigram model (Kudo 2018, "Subword Regularization") gives each token a score, the logarithm of its
 * probability. A text is divided into the tokens whose scores have the largest sum, which the Viterbi algorithm finds.
 */

"use strict";

const [PAD, BOS, EOS, UNK] = [0, 1, 2, 3]; // as in constants.py
const SPACE = "▁"; // SentencePiece writes a space as this character
const REPLACEMENT = "\ufffd";
const UNKNOWN_PENALTY = 10; // an unknown character scores so much less than the least probable token

// Characters that Python's str.split() takes for spaces. JavaScript's \s lacks five of them and has U+FEFF in addition.
const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

/** Return the words of a text, as Python's str.split() does. */
const splitWords = (text) => text.split(SPACES).filter((word) => word !== "");

/**
 * Return the text in Unicode NFC, with single plain spaces between words and straight apostrophes.
 *
 * A surrogate (U+D800 to U+DFFF) that is no half of a pair becomes U+FFFD.
 */
function normalise(text) {
  const wellFormed = text.replace(/[\ud800-\udfff]/gu, REPLACEMENT);
  return splitWords(wellFormed.normalize("NFC").replaceAll("’", "'")).join(" ");
}

/** Return the text as SentencePiece matches it: each space is `▁`, also the one that it puts before the first word. */
function escapeSpaces(text) {
  if (text === "") return "";
  const escaped = SPACE + text.replaceAll(" ", SPACE);
  return escaped.replace(/▁+$/, ""); // SentencePiece removes final spaces after their replacement, so `▁` goes, too
}

/** Return the code point and the number of bytes of the first UTF-8 character; null if the bytes are no character. */
function readCharacter(bytes, start) {
  const first = bytes[start];
  const size = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf8 ? 4 : 0;
  if (size === 0 || start + size > bytes.length) return null;
  let codePoint = size === 1 ? first : first & (0xff >> (size + 1));
  for (let i = start + 1; i < start + size; i++) {
    if ((bytes[i] & 0xc0) !== 0x80) return null;
    codePoint = (codePoint << 6) | (bytes[i] & 0x3f);
  }
  const least = [0, 0, 0x80, 0x800, 0x10000][size]; // a longer encoding than necessary is invalid
  const isSurrogate = codePoint >= 0xd800 && codePoint <= 0xdfff;
  return codePoint < least || codePoint > 0x10ffff || isSurrogate ? null : { codePoint, size };
}

/** Return UTF-8 bytes as text. Each byte that belongs to no character becomes U+FFFD. */
function decodeBytes(bytes) {
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const character = readCharacter(bytes, i);
    text += character ? String.fromCodePoint(character.codePoint) : REPLACEMENT;
    i += character ? character.size : 1;
  }
  return text;
}

/**
 * A trained SentencePiece model.
 *
 * Characters that the training text lacks are encoded as UTF-8 bytes, one token each, so that no input is unknown.
 */
class Tokenizer {
  /**
   * `pieces` are all tokens by id, `scores` their scores (Float32Array). `reserved` are the ids that no text matches:
   * special tokens and bytes. `bytes` are the ids of the 256 bytes.
   */
  constructor({ pieces, scores, reserved, bytes }) {
    this.pieces = pieces;
    this.scores = scores;
    this.idOfByte = bytes;
    this.byteOfId = new Map(bytes.map((id, byte) => [id, byte]));
    const isReserved = new Set(reserved);
    this.ids = new Map(); // text of a token that text can match -> id
    this.longest = 1; // characters of the longest of them
    let leastScore = Infinity;
    pieces.forEach((piece, id) => {
      if (isReserved.has(id)) return;
      this.ids.set(piece, id);
      this.longest = Math.max(this.longest, [...piece].length);
      leastScore = Math.min(leastScore, scores[id]);
    });
    this.unknownScore = Math.fround(leastScore - UNKNOWN_PENALTY);
  }

  /** Return the ids of a text, EOS last. */
  encode(text) {
    const ids = [];
    for (const { piece, id } of this.mostProbable(escapeSpaces(normalise(text)))) {
      if (id === UNK) for (const byte of new TextEncoder().encode(piece)) ids.push(this.idOfByte[byte]);
      else ids.push(id);
    }
    return [...ids, EOS];
  }

  /**
   * Divide a text into the tokens with the largest sum of scores, by the Viterbi algorithm.
   *
   * The best division of the first `end` characters ends in some token from `start` to `end`; before it stands the best
   * division of the first `start` characters. Scores are float32, and of equal sums the first one found remains, as in
   * SentencePiece. A character that is no token by itself may also stand alone as UNK.
   */
  mostProbable(text) {
    const characters = [...text]; // code points, not UTF-16 units
    const best = [{ score: 0 }, ...characters.map(() => null)]; // of each `end`
    const offer = (start, end, id, piece, score) => {
      const total = best[start].score + score;
      if (best[end] === null || Math.fround(total) > best[end].score)
        best[end] = { start, id, piece, score: Math.fround(total) };
    };
    for (let start = 0; start < characters.length; start++) {
      let piece = "";
      for (let end = start + 1; end <= Math.min(start + this.longest, characters.length); end++) {
        piece += characters[end - 1];
        const id = this.ids.get(piece);
        if (id !== undefined) offer(start, end, id, piece, this.scores[id]);
        else if (end === start + 1) offer(start, end, UNK, piece, this.unknownScore);
      }
    }
    const path = [];
    for (let end = characters.length; end > 0; end = best[end].start) path.unshift(best[end]);
    return path;
  }

  /** Return the text of ids, without special tokens, as one line: a line break among the bytes becomes a space. */
  decode(ids) {
    let text = "";
    let bytes = []; // of consecutive byte tokens, which may share a character
    for (const id of [...ids.filter((each) => each > UNK), PAD]) {
      if (this.byteOfId.has(id)) {
        bytes.push(this.byteOfId.get(id));
        continue;
      }
      text += decodeBytes(bytes);
      bytes = [];
      if (id !== PAD) text += this.pieces[id].replaceAll(SPACE, " ");
    }
    return splitWords(text).join(" ");
  }

  /** Return the tokens as SentencePiece writes them, with `▁` for the space before a word. */
  tokens(ids) {
    return ids.map((id) => this.pieces[id]);
  }
}
