// What an operator meets: first starts with something missing, health, two demos on one machine.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BINARY } from '../harness/paths.mjs';
import { freePort, launch, run, tempFolder } from '../harness/process.mjs';
import { environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, signIn } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';
import { fetchWhole } from '../harness/http.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
before(async () => {
  emulator = cleanup.add(await startEmulator({ pollMs: 20 }));
});

test('on all interfaces without public_url: this machine signs in, the log says what is missing', async () => {
  const port = await freePort();
  const server = cleanup.add(
    await startServer({
      upstream: [[emulator.url, 'binary']],
      port,
      settings: { SERVER_LISTEN: `0.0.0.0:${port}`, SERVER_PUBLIC_URL: '' },
    }),
  );
  for (const origin of [`http://127.0.0.1:${port}`, `http://localhost:${port}`]) {
    await signIn({ emulator, base: server.direct, visitor: new Visitor(server.direct, { origin }) });
  }
  await assert.rejects(
    new Visitor(server.direct, { origin: `http://evil.example:${port}` }).startWs(),
    ({ status }) => status === 403,
  );
  assert.match(server.output, /server\.public_url is not set.*MAX_AUTH_SERVER_PUBLIC_URL=/);
});

test('a port of its own is one that people can use', async () => {
  const state = tempFolder('state');
  const server = cleanup.add(
    await launch('max-auth serve', BINARY, ['serve', '--listen', '127.0.0.1:0'], {
      env: environment({
        SERVER_OPS_LISTEN: '127.0.0.1:0',
        STORE_PATH: state,
        UPSTREAM_ENDPOINTS: `[{ url = "${emulator.url}", dialect = "json" }]`,
      }),
      ready: (self) => self.printed(/max-auth is ready/),
    }),
  );
  const [, base] = server.output.match(/public_url="?(http:\/\/127\.0\.0\.1:\d+)"?/);
  await signIn({ emulator, base: `${base}/api/auth/max` });
});

test('health says what the running server says', async () => {
  const server = cleanup.add(await startServer({ upstream: [[emulator.url, 'binary']] }));
  const env = environment({ SERVER_OPS_LISTEN: new URL(server.ops).host });
  const well = await run(BINARY, ['health'], { env });
  assert.deepEqual([well.code, well.stdout], [0, 'healthy\n'], well.stderr);
  await server.stop();
  const gone = await run(BINARY, ['health'], { env });
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /not healthy: http:\/\/127.*refused.*server\.ops_listen/i);
});

test('health asks where the file says, and tells a wrong file from a wrong command', async () => {
  const server = cleanup.add(await startServer({ upstream: [[emulator.url, 'binary']] }));
  const file = join(tempFolder('health'), 'max-auth.toml');
  const asked = async (text) => {
    writeFileSync(file, text);
    return run(BINARY, ['health', '--config', file], { env: environment({}) });
  };
  const well = await asked(`[server]\nops_listen = "${new URL(server.ops).host}"\n`);
  assert.deepEqual([well.code, well.stdout], [0, 'healthy\n'], well.stderr);
  const wrong = await asked('[server]\nops_lisen = "127.0.0.1:1"\n');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /max-auth\.toml.*ops_lisen.*ops_listen/s);
  assert.equal((await run(BINARY, ['health', '--confg', file], { env: environment({}) })).code, 2);
});

test('a second demo finds ports of its own', async () => {
  const demos = [];
  for (let n = 0; n < 2; n++) {
    // As `make demo`: the usual ports, which another test or program may hold as well.
    const demo = cleanup.add(
      await launch('max-auth serve --demo', BINARY, ['serve', '--demo'], {
        env: environment({}),
        ready: (self) => self.printed(/open (http\S+)/),
      }),
    );
    demos.push(demo.output.match(/open (http\S+)/)[1]);
  }
  assert.notEqual(demos[0], demos[1]);
  for (const demo of demos) await eventually(async () => (await fetchWhole(demo)).status === 200, demo);
});
