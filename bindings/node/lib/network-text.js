'use strict';
// Text out of bytes that come in pieces: no character is cut in two.

/** How many bytes at the end begin a character of UTF-8 that is not whole yet. */
function unfinished(bytes) {
  for (let back = 1; back <= Math.min(3, bytes.length); back += 1) {
    const byte = bytes[bytes.length - back];
    if ((byte & 0b1100_0000) === 0b1000_0000) continue;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    return length > back ? back : 0;
  }
  return 0;
}

/** Gives each piece as text or as bytes, whichever is wanted then; nothing is lost in between. */
class Texts {
  #kept = Buffer.alloc(0);

  /** The piece with what was kept before it; null where no character is whole. */
  take(piece, asText) {
    const all = this.#kept.length > 0 ? Buffer.concat([this.#kept, piece]) : piece;
    const keep = asText ? unfinished(all) : 0;
    this.#kept = Buffer.from(all.subarray(all.length - keep));
    const given = all.subarray(0, all.length - keep);
    if (given.length === 0) return null;
    return asText ? given.toString() : new Uint8Array(given);
  }

  /** What is left at the end; null where nothing is. */
  rest() {
    const rest = this.#kept;
    this.#kept = Buffer.alloc(0);
    return rest.length > 0 ? rest.toString() : null;
  }
}

module.exports = { Texts };
