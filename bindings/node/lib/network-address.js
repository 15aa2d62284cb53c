'use strict';
// The addresses of Network: `host`, `IP`, `host:port`, `[v6]`, `[v6]:port`.

const { isIP } = require('node:net');
const { lookup } = require('node:dns').promises;
const { wrong } = require('./errors.js');

/** One end of a TCP connection. */
class Address {
  constructor(address, port, family = isIP(address) === 6 ? 'IPv6' : 'IPv4') {
    this.address = address;
    this.port = port;
    this.family = family;
  }

  /** An address as Levada writes it: `127.0.0.1:80`, `[::1]:80`. */
  static of(text) {
    const { host, port } = parse('address', text);
    return new Address(host, port);
  }

  /** The same of an end that may not be one of TCP: null then. */
  static ofEnd(text) {
    return /^(\d|\[).*:\d+$/.test(text ?? '') ? Address.of(text) : null;
  }

  toString() {
    return `${bracketed(this.address)}:${this.port}`;
  }
}

/** The host and the port of an address; a port in it counts more than `port`. */
function parse(option, text, port) {
  if (typeof text !== 'string' || text === '') throw wrong(option, 'host, host:port or [v6]:port');
  const match = isIP(text) === 6 ? [text, text] : /^(?:\[([^\]]+)\]|([^:[\]]*))(?::(\d+))?$/.exec(text);
  if (!match) throw wrong(option, `host, host:port or [v6]:port, not \`${text}\``);
  const [, v6, host = '', digits] = match;
  const number = digits === undefined ? port : Number(digits);
  if (number !== undefined && !(Number.isInteger(number) && number >= 0 && number < 65536)) {
    throw wrong('port', 'a number from 0 to 65535');
  }
  return { host: v6 ?? host, port: number };
}

function bracketed(host) {
  return isIP(host) === 6 ? `[${host}]` : host;
}

/** The IP address of a host of this machine, to bind to; IPv4 unless the family says otherwise. */
async function ownIp(host, family) {
  if (isIP(host)) return host;
  const wanted = family === 'IPv6' ? [6] : family === 'IPv4' ? [4] : [4, 6];
  let error;
  for (const version of wanted) {
    try {
      return (await lookup(host, { family: version })).address;
    } catch (failure) {
      error = failure;
    }
  }
  throw error;
}

/** The words of an address of Levada's for these options. */
function query({ family, handshakeTimeout, connectTimeout }, bind) {
  if (![undefined, 'IPv4', 'IPv6'].includes(family)) throw wrong('family', "'IPv4' or 'IPv6'");
  const words = [];
  if (family) words.push(`family=${family.at(-1)}`);
  if (bind) words.push(`bind=${bind}`);
  if (handshakeTimeout !== undefined) words.push(`deadline-handshake=${handshakeTimeout}ms`);
  if (connectTimeout !== undefined) words.push(`deadline-connect=${connectTimeout}ms`);
  return words.length > 0 ? `?${words.join('&')}` : '';
}

module.exports = { Address, parse, bracketed, ownIp, query };
