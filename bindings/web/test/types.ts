// How a page in TypeScript uses it: this compiles, and what is wrong does not.
import { open, pushesBack, EndedError, type Ended, type StreamEvent } from '../index.js';

export async function use(): Promise<string> {
  const signal = AbortSignal.timeout(1000);
  const stream = open('/vnc', { protocols: ['binary'], carrier: 'WebSocket', window: 65536, signal });
  try {
    console.log((await stream.opened).protocol, pushesBack());
  } catch (error) {
    if (error instanceof EndedError) return error.ended.hint;
  }
  const writer = stream.writable.getWriter();
  await writer.write(new Uint8Array(3));
  const { value }: { value?: Uint8Array } = await stream.readable.getReader().read();
  const event: StreamEvent | undefined = (await stream.events.getReader().read()).value;
  if (typeof event === 'object' && 'close_frame' in event) console.log(event.close_frame.code, value);
  await stream.close(4000, 'enough');
  // @ts-expect-error A page does not write text.
  await writer.write('text');
  // @ts-expect-error There is no such option.
  open('/vnc', { protocol: 'binary' });
  const ended: Ended = await stream.closed;
  return ended.code;
}
