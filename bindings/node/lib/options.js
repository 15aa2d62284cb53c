'use strict';
// What options of several doors have in common: PEM texts, keys that sign, addresses.

const { isIP } = require('node:net');
const { native, door, on, enter, leave } = require('./native.js');
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

/** The bytes of an option that may be left away. */
function given(name, value) {
  return value === undefined ? undefined : pem(name, value);
}

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

/**
 * The native client of TLS to a server that has this name, and what holds its key: `forget` lets it go.
 */
function tlsClient({ ca, cert, key, passphrase, alpn = [], validityCheckDate }, name) {
  const held = key === undefined ? { options: {}, forget() {} } : keyOf(key);
  try {
    const tls = new native.TlsClient(door, {
      ca: given('ca', ca),
      identity: cert === undefined ? undefined : {
        cert: pem('cert', cert),
        passphrase: given('passphrase', passphrase),
        ...held.options,
      },
      alpn: [alpn].flat(),
      name,
      ...validity(validityCheckDate),
    });
    return { tls, forget: held.forget };
  } catch (error) {
    held.forget();
    throw error;
  }
}

/** At which time certificates must be valid; `null` is at none. */
function validity(date) {
  if (date === undefined) return { dangerIgnoreValidity: false };
  if (date === null) return { dangerIgnoreValidity: true };
  if (!(date instanceof Date) || Number.isNaN(date.getTime())) {
    throw wrong('validityCheckDate', 'a Date, or null to look at no validity period');
  }
  return { dangerIgnoreValidity: false, verifyAt: date.getTime() };
}

/** An address of plain TCP. */
function tcp(host, port) {
  return `tcp://${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

module.exports = { pem, given, keyOf, tlsClient, tcp };
