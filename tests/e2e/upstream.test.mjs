// The way to MAX: TLS that is checked, a second address when the first fails, and what the operator is told.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createServer } from 'node:tls';
import { authority } from '../harness/certificate.mjs';
import { freePort, run, tempFolder } from '../harness/process.mjs';
import { BINARY } from '../harness/paths.mjs';
import { environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, signIn } from '../harness/story.mjs';
import { Visitor } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
let emulator;
let ca;
let tls;
before(async () => {
  emulator = cleanup.add(await startEmulator());
  ca = authority();
  tls = cleanup.add(await startTls(emulator.port, ca));
});
after(() => cleanup.run());

async function startTls(port, { key, cert }) {
  const sockets = new Set();
  const server = createServer({ key, cert }, (outer) => {
    const inner = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [outer, inner],
      [inner, outer],
    ]) {
      sockets.add(one);
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
      one.pipe(other);
    }
  });
  server.on('tlsClientError', () => {});
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: server.address().port,
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const secure = (host = 'localhost') => [`wss://${host}:${tls.port}/websocket`, 'binary'];
const quick = { UPSTREAM_GIVE_UP_AFTER: '1s' };

async function refused(upstream, settings) {
  const server = cleanup.add(await startServer({ upstream, settings: { ...quick, ...settings } }));
  const { data } = await (await new Visitor(server.base).startWs()).outcome(15_000);
  assert.equal(data.code, 'upstream-unreachable');
  assert.equal(data.retry, true);
  return server;
}

test('over TLS, with a root of the operator', async () => {
  const server = cleanup.add(await startServer({ upstream: [secure()], settings: { UPSTREAM_CA_FILE: ca.root } }));
  await signIn({ emulator, base: server.base });
});

test('a certificate that nobody vouches for is refused, and the log names the stage', async () => {
  const server = await refused([secure()], {});
  assert.match(server.stderr, /MAX cannot be reached: TLS: .*UnknownIssuer/);
});

test('a certificate for another name is refused', async () => {
  const server = await refused([secure('127.0.0.1')], { UPSTREAM_CA_FILE: ca.root });
  assert.match(server.stderr, /MAX cannot be reached: TLS: /);
});

test('a second address takes over, and the first is left alone for a while', async () => {
  const dead = [`ws://127.0.0.1:${await freePort()}/websocket`, 'json'];
  const server = cleanup.add(await startServer({ upstream: [dead, [emulator.url, 'binary']] }));
  await signIn({ emulator, base: server.base });
  await signIn({ emulator, base: server.base });
  assert.equal(
    server.stderr.match(/MAX cannot be reached: TCP: /g)?.length,
    1,
    'the second visitor did not pay for it',
  );
});

test('an address that refuses the upgrade is named with its status', async () => {
  await emulator.fault({ on: 'connect', do: 'refuse', times: 100 });
  const server = await refused([[emulator.url, 'json']], {});
  await emulator.fault();
  assert.match(server.stderr, /MAX cannot be reached: WebSocket upgrade: answered with status 403/);
});

test("a name that is nobody's is a matter of DNS", async () => {
  const server = await refused([['ws://nobody.invalid/websocket', 'json']], {});
  assert.match(server.stderr, /MAX cannot be reached: DNS: nobody\.invalid/);
});

test('roots that cannot be read stop the start, with the reason', async () => {
  const empty = join(ca.folder, 'empty.pem');
  writeFileSync(empty, 'no certificate\n');
  for (const [file, why] of [
    [empty, /holds no certificate in PEM form/],
    [join(ca.folder, 'missing.pem'), /upstream\.ca_file .*missing\.pem/],
  ]) {
    const env = environment({
      UPSTREAM_CA_FILE: file,
      STORE_PATH: tempFolder('state'),
      SERVER_LISTEN: `127.0.0.1:${await freePort()}`,
      SERVER_OPS_LISTEN: `127.0.0.1:${await freePort()}`,
    });
    const { code, stderr } = await run(BINARY, ['serve'], { env });
    assert.equal(code, 2);
    assert.match(stderr, why);
  }
});
