// MAX is 40 ms away: what a visitor waits for a code over a connection that is made when they come, and over one that was made
// ahead. Over TLS, and TCP takes its round trip, too. FIGURES=1 prints more visits' times (docs/limits.md).

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { authority } from '../harness/certificate.mjs';
import { startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, untilCode } from '../harness/story.mjs';
import { eventually, pause } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

const ONE_WAY_MS = 20;
const VISITS = process.env.FIGURES ? 25 : 5;

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
let ca;
let line;
before(async () => {
  emulator = cleanup.add(await startEmulator());
  ca = authority();
  line = cleanup.add(await startLine(emulator.port, ca));
});

/** A listener whose connections stand after a round trip, and on which everything takes its time; TLS at its far end. */
async function startLine(port, { key, cert }) {
  const sockets = new Set();
  const carry = (from, to) => {
    sockets.add(from);
    from.setNoDelay?.(true);
    from.on('data', (chunk) => setTimeout(() => to.writable && to.write(chunk), ONE_WAY_MS));
    from.on('error', () => to.destroy()).on('close', () => to.destroy());
  };
  const far = tls.createServer({ key, cert }, (outer) => {
    const inner = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [outer, inner],
      [inner, outer],
    ]) {
      sockets.add(one);
      one.on('error', () => other.destroy()).on('close', () => other.destroy());
      one.pipe(other);
    }
  });
  far.on('tlsClientError', () => {});
  far.listen(0, '127.0.0.1');
  await once(far, 'listening');
  const near = createServer({ pauseOnConnect: true }, (outer) => {
    outer.on('error', () => {});
    setTimeout(() => {
      const inner = connect(far.address().port, '127.0.0.1');
      carry(outer, inner);
      carry(inner, outer);
      outer.resume();
    }, 2 * ONE_WAY_MS); // SYN and its answer
  });
  near.listen(0, '127.0.0.1');
  await once(near, 'listening');
  return {
    url: `wss://localhost:${near.address().port}/websocket`,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      near.close();
      far.close();
    },
  };
}

const fresh = () =>
  startServer({
    upstream: [[line.url, 'binary']],
    settings: { UPSTREAM_CA_FILE: ca.root, LOGIN_GRACE: '300ms', LOG_LEVEL: 'info' },
  });

/** From the request to the code, in ms. */
async function visit(server) {
  const began = performance.now();
  const stream = await new Visitor(server.base).startSse();
  await untilCode(stream);
  const waited = performance.now() - began;
  await stream.cut();
  return waited;
}

const spares = async (server) => Number((await server.metrics()).match(/^max_auth_upstream_spares (\d+)/m)?.[1] ?? 0);

const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

test('a visitor who follows another waits for two round trips instead of five', async () => {
  const [cold, ready] = [[], []];
  let server = cleanup.add(await fresh());
  for (let number = 0; number < VISITS; number++) {
    if (number > 0) {
      await server.stop('SIGTERM');
      server = cleanup.add(await fresh());
    }
    cold.push(await visit(server));
    await eventually(() => spares(server), 'a connection to be made ahead');
    ready.push(await visit(server));
  }
  const [slow, quick] = [median(cold), median(ready)];
  console.log(`p50 of ${VISITS}: ${slow.toFixed(0)} ms, with a connection made ahead ${quick.toFixed(0)} ms`);
  assert.ok(slow >= 10 * ONE_WAY_MS, `${slow} ms`);
  assert.ok(quick < 0.7 * slow, `${quick} ms against ${slow} ms`);
});

test('a server that nobody visits has no connection to MAX, nor one that was left to it', async () => {
  const server = cleanup.add(await fresh());
  const made = async () => (await emulator.stats()).totalConnections;
  const before = await made();
  await pause(1000);
  assert.equal(await made(), before);
  await Promise.all(Array.from({ length: 20 }, () => visit(server)));
  await eventually(() => spares(server), 'connections to be made ahead');
  await eventually(async () => (await spares(server)) === 0, 'them to be closed', 30_000, 500);
  const afterwards = await made();
  await eventually(async () => (await emulator.stats()).connections === 0, 'MAX to see it');
  await pause(1000);
  assert.equal(await made(), afterwards, 'and nobody makes others');
});
