'use strict';
// What options of several doors have in common: PEM texts, keys that sign, addresses.

const { isIP } = require('node:net');
const { on, enter, leave } = require('./native.js');
const { wrong } = require('./errors.js');

/** The bytes of an option that is text or bytes, or an array of those. */
function pem(name, value) {
  const parts = [value].flat().map((part) => {
    if (typeof part === 'string') return Buffer.from(part);
    if (part instanceof Uint8Array) return Buffer.from(part.buffer, part.byteOffset, part.byteLength);
    throw wrong(name, 'a string or a Buffer, or an array of those');
  });
  return parts.length === 1 ? parts[0] : Buffer.concat(parts.flatMap((part) => [part, NEW_LINE]));
}

const NEW_LINE = Buffer.from('\n');

/** A private key: text in PEM, or a function that signs, which is held until `forget`. */
function keyOf(key) {
  if (typeof key !== 'function') return { options: { key: pem('key', key) }, forget() {} };
  const id = enter({ [on.sign]: (request) => sign(key, request) });
  return { options: { signer: id }, forget: () => leave(id) };
}

/** Asks a function for a signature: it calls back, or gives a promise; its first answer counts. */
function sign(key, request) {
  const settle = (error, signature) => {
    if (error) request.failed(String(error.message ?? error));
    else if (signature instanceof Uint8Array) request.signed(signature);
    else request.failed('the signer gave something else than bytes');
  };
  try {
    const answer = key(request.message(), settle, { scheme: request.scheme });
    if (typeof answer?.then !== 'function') return;
    // Who has called back need not give anything.
    answer.then((signature) => signature === undefined || settle(null, signature), settle);
  } catch (error) {
    settle(error);
  }
}

/** An address of plain TCP. */
function tcp(host, port) {
  return `tcp://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

module.exports = { pem, keyOf, tcp };
