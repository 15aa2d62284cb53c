// Records of TLS 1.3 in a server's name, by its own secret: what no library says by itself.
import { createCipheriv, createDecipheriv, createHmac } from 'node:crypto';

/** HKDF-Expand-Label (RFC 8446 section 7.1), of no more than one block. */
function expand(hash, secret, label, length) {
  const name = Buffer.from(`tls13 ${label}`);
  const info = Buffer.concat([Buffer.from([0, length, name.length]), name, Buffer.from([0, 1])]);
  return createHmac(hash, secret).update(info).digest().subarray(0, length);
}

/** Writes behind the last record of `said`, which the server sealed with its application secret. */
export class Pen {
  #cipher;
  #key;
  #iv;
  #sequence;

  constructor(secrets, suite, said) {
    const line = secrets.find((secret) => secret.startsWith('SERVER_TRAFFIC_SECRET_0 '));
    const secret = Buffer.from(line.trim().split(' ')[2], 'hex');
    const [, bits, hash] = /AES_(128|256)_GCM_(SHA\d+)/.exec(suite);
    this.#cipher = `aes-${bits}-gcm`;
    this.#key = expand(hash, secret, 'key', Number(bits) / 8);
    this.#iv = expand(hash, secret, 'iv', 12);
    let last;
    for (let at = 0; at < said.length; at += last.length) {
      last = said.subarray(at, at + 5 + said.readUInt16BE(at + 3));
    }
    // How many came before it, tickets perhaps, only the record itself tells.
    this.#sequence = Array.from({ length: 32 }, (_, sequence) => sequence)
      .find((sequence) => this.#opens(last, sequence)) + 1;
  }

  #nonce(sequence) {
    const nonce = Buffer.from(this.#iv);
    nonce[11] ^= sequence;
    return nonce;
  }

  #opens(record, sequence) {
    const decipher = createDecipheriv(this.#cipher, this.#key, this.#nonce(sequence));
    decipher.setAAD(record.subarray(0, 5)).setAuthTag(record.subarray(-16));
    decipher.update(record.subarray(5, -16));
    try {
      decipher.final();
      return true;
    } catch {
      return false;
    }
  }

  /** A record of this type inside (RFC 8446 section 5.2). */
  seal(type, content) {
    const header = Buffer.from([23, 3, 3, 0, content.length + 1 + 16]);
    const cipher = createCipheriv(this.#cipher, this.#key, this.#nonce(this.#sequence)).setAAD(header);
    this.#sequence += 1;
    const sealed = [cipher.update(Buffer.from([...content, type])), cipher.final()];
    return Buffer.concat([header, ...sealed, cipher.getAuthTag()]);
  }

  alert(level, description) {
    return this.seal(21, Buffer.from([level, description]));
  }
}
