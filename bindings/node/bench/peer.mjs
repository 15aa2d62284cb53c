// The peer of both arms, in a process of its own. What the first byte of a connection says it does: `d`
// sends a GiB, `u` counts what comes, anything else comes back.
import { writeFileSync } from 'node:fs';
import { listen } from 'levada';
import * as pki from '../test/support/pki.mjs';

const GIB = 1024 ** 3;
const PIECE = Buffer.alloc(256 * 1024, 'x');

const identity = `${pki.server.file}.pem`;
writeFileSync(identity, pki.server.cert + pki.server.key);
const listener = listen(`tls://127.0.0.1:0?cert=${identity}&resume=off`, (stream) => {
  stream.on('error', () => {});
  stream.once('data', (first) => {
    if (first[0] === 0x64) return send(stream);
    if (first[0] === 0x75) return count(stream, first.length - 1);
    stream.write(first);
    stream.pipe(stream);
  });
});
listener.on('listening', () => {
  const { ca, client } = pki;
  process.send({ port: Number(listener.local.split(':').at(-1)), ca, cert: client.cert, key: client.key });
});

function send(stream) {
  let left = GIB;
  const more = () => {
    while (left > 0) {
      left -= PIECE.length;
      if (!stream.write(PIECE)) return void stream.once('drain', more);
    }
    stream.end();
  };
  more();
}

function count(stream, total) {
  let sum = total;
  stream.on('data', (data) => {
    sum += data.length;
    if (sum === GIB) stream.end('all');
  });
}
