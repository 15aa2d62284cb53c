// Certificates for the tests, by OpenSSL's own hand: made once for each test file.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const folder = mkdtempSync(join(tmpdir(), 'levada-pki-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const file = (name) => join(folder, name);
const read = (name) => readFileSync(file(name), 'utf8');
const openssl = (...words) => execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });

function authority(name) {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', `${name}.key`, '-out', `${name}.crt`, '-days', '30', '-subj', `/CN=${name}`,
    '-addext', 'basicConstraints=critical,CA:TRUE', '-addext', 'keyUsage=critical,keyCertSign');
  return read(`${name}.crt`);
}

function issue(name, { names = '', usage, by = 'ca', from, to }) {
  openssl('req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
    '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
  const extensions = [`extendedKeyUsage=${usage}`, names && `subjectAltName=${names}`];
  writeFileSync(file(`${name}.ext`), `${extensions.filter(Boolean).join('\n')}\n`);
  const days = from ? ['-startdate', from, '-enddate', to] : ['-days', '30'];
  openssl('ca', '-batch', '-notext', '-config', 'ca.conf', '-cert', `${by}.crt`,
    '-keyfile', `${by}.key`, '-in', `${name}.csr`, '-out', `${name}.crt`,
    '-extfile', `${name}.ext`, ...days);
  return { cert: read(`${name}.crt`), key: read(`${name}.key`), file: file(name) };
}

writeFileSync(file('index.txt'), '');
writeFileSync(file('ca.conf'), [
  '[ca]', 'default_ca = here',
  '[here]', 'database = index.txt', 'new_certs_dir = .', 'rand_serial = yes',
  'default_md = sha256', 'unique_subject = no', 'policy = any',
  '[any]', 'commonName = supplied', '',
].join('\n'));
export const ca = authority('ca');
export const caFile = file('ca.crt');
export const otherCa = authority('other-ca');
const here = 'DNS:localhost,IP:127.0.0.1';
export const server = issue('server', { names: here, usage: 'serverAuth' });
export const client = issue('client', { usage: 'clientAuth' });
export const elsewhere = issue('elsewhere', { names: 'DNS:elsewhere.example', usage: 'serverAuth' });
export const stranger = issue('stranger', { names: here, usage: 'serverAuth', by: 'other-ca' });

/** A certificate for the server that was valid on the first days of 2020. */
export function expired() {
  const days = { from: '20200101000000Z', to: '20200201000000Z' };
  return issue('expired', { names: here, usage: 'serverAuth', ...days });
}

/** The server's or client's key, encrypted. */
export function encrypted({ file: name }, passphrase) {
  openssl('pkcs8', '-topk8', '-v2', 'aes-256-cbc', '-in', `${name}.key`, '-out', 'encrypted.key',
    '-passout', `pass:${passphrase}`);
  return read('encrypted.key');
}

export { issue };
