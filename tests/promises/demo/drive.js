// Drives the demo page by the keyboard alone, and tells what is to be seen: one JSON object a step.
// With a folder as third argument it leaves a picture there for each step, at two widths.
const { writeFileSync } = require('node:fs');
const WebSocket = require('ws');

const [devtools, page, pictures] = process.argv.slice(2);
const socket = new WebSocket(devtools, { perMessageDeflate: false });
const waiting = new Map();
let number = 0;

socket.on('message', (text) => {
  const { id, result, error } = JSON.parse(text);
  waiting.get(id)?.[error ? 1 : 0](error ? new Error(error.message) : result);
});

function call(method, params = {}, sessionId = undefined) {
  const id = ++number;
  socket.send(JSON.stringify({ id, method, params, sessionId }));
  return new Promise((...settle) => waiting.set(id, settle));
}

async function main() {
  await new Promise((resolve) => socket.once('open', resolve));
  const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
  const tab = (method, params) => call(method, params, sessionId);
  const look = async (expression) => (await tab('Runtime.evaluate', { expression, awaitPromise: true })).result.value;
  /** Waits until this is so in the page. */
  const until = (condition) =>
    look(`new Promise((resolve) => { const look = () => (${condition} ? resolve() : setTimeout(look, 10)); look(); })`);
  const press = async (key, code) => {
    const text = key === 'Enter' ? '\r' : undefined;
    await tab('Input.dispatchKeyEvent', { type: 'keyDown', key, windowsVirtualKeyCode: code, text });
    await tab('Input.dispatchKeyEvent', { type: 'keyUp', key, windowsVirtualKeyCode: code });
  };
  const focus = async (id) => {
    for (let steps = 0; steps < 30; steps++) {
      if ((await look('document.activeElement.id')) === id) return;
      await press('Tab', 9);
    }
    throw new Error(`no key leads to ${id}`);
  };
  const size = (width, height) =>
    tab('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 500 });
  const tell = async (step) => {
    const seen = await look(`JSON.stringify({
      state: document.getElementById('state').textContent,
      lit: [...document.querySelectorAll('svg .now')].map((box) => box.dataset.state),
      past: [...document.querySelectorAll('svg .past')].map((box) => box.dataset.state),
      screen: document.getElementById('screen').textContent,
      events: [...document.querySelectorAll('#events span')].map((line) => line.textContent),
      count: document.getElementById('count').textContent,
    })`);
    console.log(JSON.stringify({ step, ...JSON.parse(seen) }));
    for (const [width, height] of pictures ? [[1280, 800], [390, 844]] : []) {
      await size(width, height);
      const full = width < 500;
      const { data } = await tab('Page.captureScreenshot', { captureBeyondViewport: full });
      writeFileSync(`${pictures}/${step}-${width}.png`, Buffer.from(data, 'base64'));
    }
    await size(1280, 800);
  };

  await tab('Page.enable');
  await tab('Runtime.enable');
  await size(1280, 800);
  await tab('Page.navigate', { url: page });
  await until("document.querySelector('svg .now')");
  await tell('idle');
  // How wide it is on a phone: nothing may stand out at the side.
  await size(390, 844);
  const overflow = await look('document.documentElement.scrollWidth - document.documentElement.clientWidth');
  console.log(JSON.stringify({ step: 'phone', overflow }));
  await focus('open');
  await press('Enter', 13);
  await until("document.querySelector('#input:enabled:focus')");
  await tab('Input.insertText', { text: 'hello from the page' });
  await press('Enter', 13);
  await until("document.querySelectorAll('#screen .read').length > 0");
  await tell('open');
  await look("document.getElementById('form').value = 'hex'");
  await focus('input');
  await tab('Input.insertText', { text: '00 01 fe ff 4c 65 76 61 64 61' });
  await press('Enter', 13);
  await until("document.querySelectorAll('#screen .read').length > 1");
  await tell('hex');
  await focus('close');
  await press('Enter', 13);
  await until("document.getElementById('state').className");
  await tell('closed');
  socket.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
