// A TCP relay that misbehaves on command: cuts, goes silent, delays.

import net from 'node:net';
import { once } from 'node:events';

/**
 * Ends a connection with a reset. Node answers a reset behind an `end()` that is still under way with EINVAL, leaves the
 * socket half closed, and then spins in its exit without end.
 */
export function reset(socket) {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

export async function startRelay(target) {
  const pairs = new Set();
  const relay = {
    /** Connections made so far. */
    made: 0,
    /** New connections are closed at once. */
    refusing: false,
    /** Nothing passes, nothing is closed: a dead network without a FIN. */
    silent: false,
    /** Milliseconds each chunk waits, in both directions. */
    delayMs: 0,
  };

  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    relay.made += 1;
    if (relay.refusing) return near.destroy();
    const far = net.connect({ port: target, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { near, far };
    pairs.add(pair);
    const drop = () => {
      near.destroy();
      far.destroy();
      pairs.delete(pair);
    };
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      from.setNoDelay(true);
      from.on('data', (chunk) => {
        if (relay.silent) return;
        if (relay.delayMs === 0) to.write(chunk);
        else setTimeout(() => to.writable && to.write(chunk), relay.delayMs);
      });
      from.on('end', () => {
        if (!relay.silent) to.end();
      });
      from.on('error', drop);
      from.on('close', () => {
        if (!relay.silent) drop();
      });
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();

  return Object.assign(relay, {
    port,
    open: () => pairs.size,
    /** Every connection of now ends with a reset. */
    cut: () => {
      for (const { near, far } of pairs) {
        reset(near);
        reset(far);
      }
      pairs.clear();
    },
    stop: () => {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      server.close();
    },
  });
}
