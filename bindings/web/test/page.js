// What a page does for a test: the tasks of `?tasks=`, one after the other. What each has seen goes back
// as JSON to `said`; where a task waits for the test, it asks for `next`.
import { open, EndedError } from './levada-web.js';

const TABLE = Uint32Array.from({ length: 256 }, (_, number) => {
  for (let bit = 0; bit < 8; bit++) number = number & 1 ? (number >>> 1) ^ 0xedb88320 : number >>> 1;
  return number;
});

/** CRC-32 of bytes that come in pieces. */
function crc(sum, bytes) {
  let rest = ~sum;
  for (let at = 0; at < bytes.length; at++) rest = TABLE[(rest ^ bytes[at]) & 0xff] ^ (rest >>> 8);
  return ~rest >>> 0;
}

/** Writes this many random bytes in pieces of changing sizes; their CRC-32. */
async function send(stream, count) {
  const writer = stream.writable.getWriter();
  const piece = new Uint8Array(300_001);
  let sum = 0;
  for (let size = 1; count > 0; size = (size * 7 + 11) % piece.length) {
    const now = piece.subarray(0, Math.min(size, count));
    for (let at = 0; at < now.length; at += 65_536) crypto.getRandomValues(now.subarray(at, at + 65_536));
    sum = crc(sum, now);
    await writer.write(now);
    count -= now.length;
  }
  writer.releaseLock();
  return sum;
}

/** Reads this many bytes, or to the end; their count, their CRC-32, and what the end was. */
async function receive(stream, count = Infinity) {
  const reader = stream.readable.getReader();
  const got = { count: 0, crc: 0, end: 'none' };
  try {
    while (got.count < count) {
      const { value, done } = await reader.read();
      if (done) {
        got.end = 'end of file';
        break;
      }
      got.count += value.length;
      got.crc = crc(got.crc, value);
    }
  } catch (error) {
    got.end = error instanceof EndedError ? error.ended.code : String(error);
  }
  reader.releaseLock();
  return got;
}

async function all(readable) {
  const found = [];
  for await (const one of readable) found.push(one);
  return found;
}

const next = () => fetch('next').then((response) => response.text());
const say = (what) => fetch('said', { method: 'POST', body: JSON.stringify(what) });

const TASKS = {
  /** All that is sent comes back, and then the page closes. */
  async echo(stream, { count, close = [] }) {
    await stream.opened;
    const [sent, got] = await Promise.all([send(stream, count), receive(stream, count)]);
    await stream.close(...close);
    return { sent, got, after: await receive(stream) };
  },
  /** The page says all, closes, and reads only then. */
  async late(stream, { count }) {
    await stream.opened;
    const sent = await send(stream, count);
    await stream.close();
    return { sent, got: await receive(stream) };
  },
  /** The server talks, and ends it. */
  async listen(stream) {
    return { got: await receive(stream) };
  },
  /** As that, but nothing is read before the test says so. */
  async stall(stream) {
    await stream.opened;
    await say('open');
    await next();
    return { got: await receive(stream) };
  },
  /** The page says one word, and drops all by its signal when the test says so. */
  async abort(stream, _, controller) {
    await stream.opened;
    await stream.writable.getWriter().write(new TextEncoder().encode('hello'));
    await say('open');
    await next();
    controller.abort();
    return { got: await receive(stream) };
  },
  /** The page drops one of its streams, for a reason. */
  async drop(stream, { half }) {
    await stream.opened;
    const refusal = new Error('not what I want');
    await (half === 'readable' ? stream.readable.cancel(refusal) : stream.writable.abort(refusal));
    return { late: await stream.writable.getWriter().write(new Uint8Array(1)).catch(String) };
  },
  /** The page goes away in the middle of what it sends, and does what comes behind this in its next life. */
  async reload(stream, { count }) {
    if (sessionStorage.getItem('reloaded')) return TASKS.echo(stream, { count });
    sessionStorage.setItem('reloaded', 'yes');
    await stream.opened;
    void receive(stream);
    void send(stream, Infinity);
    await say('open');
    await next();
    location.reload();
    await new Promise(() => {});
  },
};

for (const { task, url, options = {}, ...details } of JSON.parse(new URLSearchParams(location.search).get('tasks'))) {
  try {
    const controller = new AbortController();
    const stream = open(url, { ...options, signal: controller.signal });
    const seen = await TASKS[task](stream, details, controller).catch((error) => ({ error: String(error) }));
    const ended = await stream.closed;
    await say({ ...seen, events: await all(stream.events), ended, state: stream.state });
  } catch (error) {
    await say({ thrown: String(error) });
  }
}
