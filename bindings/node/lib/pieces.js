'use strict';
// What one write is cut into on its way to the native half.

/** Bytes that are handed to the native half at once: it copies them. */
const PIECE = 1024 * 1024;

/**
 * Chunks in groups that are handed over at once. The empty chunks among them that stand for something else,
 * in `turns`, become that.
 */
function pieces(chunks, turns) {
  const groups = [];
  let group = [];
  let size = 0;
  for (const chunk of chunks) {
    const turn = turns.size > 0 && turns.get(chunk);
    if (turn) {
      turns.delete(chunk);
      groups.push(group, turn);
      group = [];
      size = 0;
      continue;
    }
    for (let at = 0; at < chunk.length || at === 0; at += PIECE) {
      const part = chunk.length > PIECE ? chunk.subarray(at, at + PIECE) : chunk;
      if (size + part.length > PIECE && group.length > 0) {
        groups.push(group);
        group = [];
        size = 0;
      }
      group.push(part);
      size += part.length;
    }
  }
  groups.push(group);
  return groups.filter((each) => each.length > 0 || typeof each === 'function');
}

module.exports = { pieces };
