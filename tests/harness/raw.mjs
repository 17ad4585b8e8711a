// Bytes on a socket, for what no HTTP library would send.

import net from 'node:net';
import { deadline } from './time.mjs';

/** Connects, writes the parts (a number is a pause in ms), gives everything that came until the other side closed. */
export async function raw(port, parts, { ms = 10_000 } = {}) {
  const socket = net.connect({ port, host: '127.0.0.1' });
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (part) => {
    text += part;
  });
  socket.on('error', () => {});
  const closed = new Promise((resolve) => socket.once('close', resolve));
  try {
    await deadline(
      new Promise((resolve, reject) => socket.once('connect', resolve).once('error', reject)),
      5000,
      'a connection',
    );
    for (const part of parts) {
      if (socket.destroyed) break;
      if (typeof part === 'number') await new Promise((resolve) => setTimeout(resolve, part));
      else socket.write(part);
    }
    await deadline(closed, ms, `the connection to be closed; had ${text.slice(0, 300)}`);
  } finally {
    socket.destroy();
  }
  return { text, status: Number(text.match(/^HTTP\/1\.[01] (\d{3})/)?.[1]) };
}
