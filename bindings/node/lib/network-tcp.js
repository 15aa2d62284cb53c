'use strict';
// Network.TCP: a TCP server or client with callbacks, whose TLS can be put on and taken off.

const { wrong } = require('./errors.js');
const { Connection } = require('./network-connection.js');
const { Endpoint } = require('./network-endpoint.js');
const { ports } = require('./network-ports.js');
const { Server } = require('./network-server.js');
const { ERRORS } = require('./network-tls.js');

/**
 * A client where there is `toAddress`, else a server. With or without `new`; (address), (address,
 * options), (options), each with a message handler behind it.
 */
function TCP(...values) {
  const message = typeof values.at(-1) === 'function' ? { message: values.pop() } : {};
  const [first, second] = values;
  const address = typeof first === 'string' ? { address: first } : {};
  const given = typeof first === 'string' ? second : first;
  if (typeof first !== 'string' && (first === null || typeof first !== 'object')) {
    throw wrong('first argument', 'an address, or an object of options');
  }
  const options = { ...address, ...given, ...message };
  if (options.toAddress === undefined) return new Server(options);
  const client = new Connection(options);
  client._dial();
  return client;
}

TCP.prototype = Endpoint.prototype;
TCP.ERROR = Object.freeze(ERRORS);
Object.defineProperty(TCP, 'ports', { get: ports });

module.exports = { TCP };
