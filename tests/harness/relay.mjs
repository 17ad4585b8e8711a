// A TCP relay that misbehaves on command: cuts, goes silent, delays. The path between a visitor and the first tier.

import net from 'node:net';
import { once } from 'node:events';

/**
 * Ends a connection with a reset. Node answers a reset behind an `end()` that is still under way with EINVAL, leaves the
 * socket half closed, and then spins in its exit without end.
 */
function reset(socket) {
  if (socket.writableEnded) socket.destroy();
  else socket.resetAndDestroy();
}

/** Relays `listen` (0: any port) to the port `target`. */
export async function startRelay(target, { listen = 0 } = {}) {
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
    const pair = { near, far, stalled: false };
    pairs.add(pair);
    const passes = () => !relay.silent && !pair.stalled;
    const drop = () => {
      if (!passes()) return;
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
        if (!passes()) return;
        if (relay.delayMs === 0) to.write(chunk);
        else setTimeout(() => to.writable && to.write(chunk), relay.delayMs);
      });
      from.on('end', () => {
        if (passes()) to.end();
      });
      from.on('error', drop).on('close', drop);
    }
  });
  server.listen(listen, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();

  return Object.assign(relay, {
    port,
    open: () => [...pairs].filter(({ stalled }) => !stalled).length,
    /** The connections of now are dead and nobody is told, as when a phone leaves a network; new ones work. */
    stall: () => {
      for (const pair of pairs) pair.stalled = true;
    },
    /** The connections of now end with a reset; those that stalled stay as they are. */
    cut: () => {
      for (const pair of pairs) {
        if (pair.stalled) continue;
        pairs.delete(pair);
        reset(pair.near);
        reset(pair.far);
      }
    },
    stop: async () => {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      server.close();
    },
  });
}
