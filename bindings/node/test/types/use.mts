// Every door as a TypeScript program uses it: `tsc` checks it, nothing runs it.
import { connect, listen, LevadaError, LevadaStream, Network, Telsa, type Reason, type Signer } from 'levada';
import { createServer as createHttp, request } from 'node:http';
import type { Duplex } from 'node:stream';

const stream: LevadaStream = connect('tls://example.org:443', { allowHalfOpen: true });
const asDuplex: Duplex = stream;
stream.on('connect', () => stream.write('hello')).on('event', (event) => console.log(event.type));
const version: '1.2' | '1.3' | null | undefined = stream.facts?.tls?.version;
const bytes: number | undefined = stream.ending?.facts.bytes.read;
// @ts-expect-error an ending is not to be set
stream.ending = null;

stream.setTimeout(1000, () => stream.destroy()).setNoDelay().setKeepAlive(true, 1000);
const from: string | undefined = stream.remoteAddress;
stream.startTls({ ca: 'PEM', servername: 'example.org' }, () => console.log(stream.encrypted));
stream.startTls({ isServer: true, cert: 'PEM', hosts: [{ host: 'a.example', cert: 'PEM' }] });
// @ts-expect-error a server verifies nobody by name
stream.startTls({ isServer: true, cert: 'PEM', servername: 'example.org' });
createHttp().emit('connection', stream);
request({ createConnection: () => stream });

const listener = listen('tcp://:0', (each) => each.pipe(each));
listener.on('connectionError', (error, each) => console.log(error.hint, each.ending?.code)).unref();
listen(new URL('tcp://127.0.0.1:0'), { reusePort: true }).close(() => {});

const signer: Signer = async (data, _callback, { scheme }) => Buffer.from(scheme + data.length);
const telsa = new Telsa({ host: 'example.org', port: 8883, ca: 'PEM', cert: ['PEM'], key: signer, validityCheckDate: null });
const reason: Reason | null = telsa.reason;
for await (const chunk of telsa) console.log(chunk);
// @ts-expect-error there is no separate connect
telsa.connect();
// @ts-expect-error a host is needed
new Telsa({ port: 8883 });
// @ts-expect-error streams come from connect and listen
new LevadaStream();

const server = Network.TCP('localhost:5555', (message, from) => console.log(message, from.port));
const client = new Network.TCP({ toAddress: 'localhost', toPort: 5555, ca: 'PEM', error(number, detail) {
  if (number === Network.TCP.ERROR.NOT_TLS) this.disableSSL(detail);
} });
client.send(new Uint8Array(3), new Network.Address('127.0.0.1', 1));
client.ssl = true;
server.addCert('a.example~b.example', 'PEM', 'PEM', 'passphrase');
// @ts-expect-error no such event
server.on('data', () => {});

function told(error: unknown): string {
  return error instanceof LevadaError ? `${error.code} ${error.hint} ${error.blame}` : String(error);
}
export { asDuplex, bytes, from, reason, told, version };
