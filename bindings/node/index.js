'use strict';
// The package `levada`: see README.md, and index.d.ts for the types.

const { connect, listen, Listener } = require('./lib/door.js');
const { LevadaError } = require('./lib/errors.js');
const { LevadaStream } = require('./lib/socket.js');
const { Address } = require('./lib/network-address.js');
const { TCP } = require('./lib/network-tcp.js');
const { Telsa } = require('./lib/telsa.js');

const Network = { TCP, Address };

module.exports = { connect, listen, LevadaError, LevadaStream, Listener, Network, Telsa };
