import { open } from '/levada-web.js';

/** What is kept on the screen at most, in characters. */
const KEPT = 128 * 1024;
/** Bytes in a line of hex. */
const ROW = 8;

const part = (id) => document.getElementById(id);
const [screen, input, way, form, end, state, events, count] =
  ['screen', 'input', 'way', 'form', 'end', 'state', 'events', 'count'].map(part);

let stream;
let writer;
let controller;
let begun;
let shown = 0;

function show(text, kind) {
  const atEnd = screen.scrollHeight - screen.scrollTop - screen.clientHeight < 40;
  const span = document.createElement('span');
  span.className = kind;
  span.textContent = text;
  screen.append(span);
  for (shown += text.length; shown > KEPT && screen.firstChild !== span;) {
    shown -= screen.firstChild.textContent.length;
    screen.firstChild.remove();
  }
  if (atEnd) screen.scrollTop = screen.scrollHeight;
}

/** Control characters as the signs for them, but for those that move on. */
function readable(text) {
  return text.replace(/\r\n/g, '\n').replace(/[\0-\x08\x0b-\x1f\x7f]/g, (sign) => {
    return String.fromCharCode(sign === '\x7f' ? 0x2421 : 0x2400 + sign.charCodeAt(0));
  });
}

function hex(bytes, from) {
  let text = '';
  for (let at = 0; at < bytes.length; at += ROW) {
    const row = [...bytes.subarray(at, at + ROW)];
    const digits = row.map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const signs = row.map((byte) => (byte > 31 && byte < 127 ? String.fromCharCode(byte) : '.')).join('');
    text += `${(from + at).toString(16).padStart(6, '0')}  ${digits.padEnd(ROW * 3 - 1)}  ${signs}\n`;
  }
  return text;
}

function bytesOf(text) {
  if (form.value === 'text') return new TextEncoder().encode(text + end.value);
  const digits = text.replace(/[\s:,]|0x/g, '');
  if (!/^([0-9a-f]{2})*$/i.test(digits)) return undefined;
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

function counted() {
  const size = (bytes) => {
    const step = Math.min(3, Math.floor(Math.log2(bytes || 1) / 10));
    return `${(bytes / 1024 ** step).toFixed(step && 1)} ${['B', 'KiB', 'MiB', 'GiB'][step]}`;
  };
  const { read, written } = stream.facts.bytes;
  count.textContent = `${size(written)} sent, ${size(read)} read`;
}

function light(name) {
  for (const box of document.querySelectorAll('svg .state')) {
    if (box.classList.contains('now')) box.classList.add('past');
    box.classList.toggle('now', box.dataset.state === name);
  }
  state.textContent = name.replace('_', ' ');
  state.className = '';
}

function enable(isOpen) {
  part('open').disabled = isOpen;
  way.disabled = isOpen;
  for (const id of ['close', 'abort']) part(id).disabled = !isOpen;
}

function talk(canWrite) {
  for (const id of ['input', 'send']) part(id).disabled = !canWrite;
}

/** What an event says, in one line. */
function words(event) {
  if (typeof event === 'string') return event.replace('_', ' ');
  const [[name, what]] = Object.entries(event);
  switch (name) {
    case 'state':
      return `state: ${what.replace('_', ' ')}`;
    case 'goodbye':
      return what === 'local' ? 'our goodbye' : "the peer's goodbye";
    case 'close_frame':
      return `Close frame: ${what.code ?? 'no code'}${what.reason && ', '}${what.reason}`;
    case 'ended':
      return `ended: ${what.code}`;
    default:
      return `${name}: ${what}`;
  }
}

function tell(event) {
  const item = document.createElement('li');
  const time = document.createElement('time');
  time.textContent = `+${Math.round(performance.now() - begun)} ms`;
  const text = document.createElement('span');
  text.textContent = words(event);
  item.append(time, text);
  events.append(item);
  while (events.childElementCount > 200) events.firstChild.remove();
  events.scrollTop = events.scrollHeight;
}

async function watch() {
  for (const reader = stream.events.getReader(); ;) {
    const { value, done } = await reader.read();
    if (done) return;
    tell(value);
    if (value.state) light(value.state);
    if (value.state === 'closing' || value.ended) talk(false);
    if (value.ended) {
      const { code, clean, message, hint } = value.ended;
      light('disconnected');
      state.textContent = `${code}: ${message}${hint && '. '}${hint}`;
      state.className = clean ? 'good' : 'bad';
      enable(false);
      counted();
    }
  }
}

async function read() {
  const decoder = new TextDecoder();
  let from = 0;
  try {
    for (const reader = stream.readable.getReader(); ;) {
      const { value, done } = await reader.read();
      if (done) break;
      show(form.value === 'hex' ? hex(value, from) : readable(decoder.decode(value, { stream: true })), 'read');
      from += value.length;
      counted();
      // No faster than it can be seen: the server is held back meanwhile.
      await new Promise((resolve) => setTimeout(resolve));
    }
    show('end of file\n', 'note');
  } catch (error) {
    show(`${error.message}\n`, 'note');
  }
}

async function begin() {
  controller = new AbortController();
  begun = performance.now();
  screen.replaceChildren();
  events.replaceChildren();
  shown = 0;
  for (const box of document.querySelectorAll('svg .state')) box.classList.remove('past', 'now');
  stream = open(way.value, { signal: controller.signal });
  writer = stream.writable.getWriter();
  // What goes wrong is told by the events.
  writer.closed.catch(() => {});
  enable(true);
  counted();
  void watch();
  void read();
  try {
    await stream.opened;
    talk(true);
    input.focus();
  } catch {
    // The ending says why.
  }
}

part('route').addEventListener('submit', (event) => {
  event.preventDefault();
  void begin();
});

part('close').addEventListener('click', () => writer.close().catch(() => {}));
part('abort').addEventListener('click', () => controller.abort());

part('line').addEventListener('submit', (event) => {
  event.preventDefault();
  const bytes = bytesOf(input.value);
  input.setCustomValidity(bytes ? '' : 'Hex is pairs of digits, such as 68 65 6c 6c 6f');
  if (!input.reportValidity()) return;
  show(form.value === 'hex' ? hex(bytes, 0) : readable(input.value + end.value), 'sent');
  input.value = '';
  writer.write(bytes).then(counted, () => {});
});

input.addEventListener('input', () => input.setCustomValidity(''));
form.addEventListener('change', () => (end.disabled = form.value === 'hex'));
light('unconnected');
