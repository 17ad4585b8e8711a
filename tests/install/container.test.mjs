// What deploy/Dockerfile says of its second image, without a registry: the libraries that the binary names and nothing else, no
// shell, read-only, as its user, with its environment. The image itself is built by whoever has a registry in reach.

import assert from 'node:assert/strict';
import { chmodSync, chownSync, cpSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { BINARY, ROOT } from '../harness/paths.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { freePort, launch, run, tempFolder } from '../harness/process.mjs';
import { startEmulator } from '../harness/server.mjs';
import { Cleanup, signIn } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { fine } from './rootfs.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

/** The last stage's instructions, continued lines joined: [[name, rest], …]. */
const stage = readFileSync(join(ROOT, 'deploy/Dockerfile'), 'utf8')
  .replace(/^#.*\n/gm, '')
  .replace(/\\\n\s*/g, '')
  .split(/^FROM /m)
  .at(-1)
  .split('\n')
  .slice(1)
  .filter(Boolean)
  .map((line) => line.match(/^(\w+) (.*)$/).slice(1));
const said = (name) => stage.filter(([found]) => found === name).map(([, rest]) => rest);
const list = (text) => JSON.parse(text);

const root = tempFolder('image');
const [, program] = said('COPY')[0].match(/ (\S+)$/);
const [user, group] = said('USER')[0].split(':').map(Number);
const [volume] = said('VOLUME');
const environment = Object.fromEntries(
  said('ENV').flatMap((line) => line.split(/\s+/).map((pair) => pair.match(/^(\w+)=(.*)$/).slice(1))),
);

let emulator;
before(async () => {
  chmodSync(root, 0o755);
  emulator = cleanup.add(await startEmulator({ pollMs: 20 }));
  const libraries = (await fine('ldd', [BINARY])).stdout.match(/\/\S+(?= \()/g);
  for (const library of libraries) {
    mkdirSync(join(root, dirname(library)), { recursive: true });
    cpSync(library, join(root, library), { dereference: true });
  }
  mkdirSync(join(root, dirname(program)), { recursive: true });
  cpSync(BINARY, join(root, program));
  mkdirSync(join(root, dirname(volume)), { recursive: true });
  mkdirSync(join(root, volume), { mode: 0o700 });
  chownSync(join(root, volume), user, group);
});

/** A command of the image: nothing but the volume can be written. */
function inside(command, env) {
  const mounts = [
    'set -e',
    'mount --make-rprivate /',
    `mount --bind '${root}' '${root}'`,
    `mount --bind '${root}${volume}' '${root}${volume}'`,
    `mount -o remount,bind,ro '${root}'`,
    'exec "$@"',
  ];
  const variables = Object.entries({ ...environment, ...env }).map(([key, value]) => `${key}=${value}`);
  return [
    'unshare',
    ['--mount', 'bash', '-c', mounts.join('\n'), 'bash', 'env', '-i', ...variables].concat(
      ['/usr/sbin/chroot', `--userspec=${user}:${group}`, '--groups=', root],
      command,
    ),
  ];
}

test('the image starts without a root, a shell or anything to write to but its volume, is healthy, and somebody signs in', async () => {
  assert.ok(user > 0 && group > 0, 'not root');
  assert.match(environment.MAX_AUTH_SERVER_LISTEN, /^0\.0\.0\.0:3001$/, 'as EXPOSE says');
  const [port, ops] = [await freePort(), await freePort()];
  const env = {
    MAX_AUTH_SERVER_PUBLIC_URL: `http://127.0.0.1:${port}`,
    MAX_AUTH_SERVER_LISTEN: environment.MAX_AUTH_SERVER_LISTEN.replace('3001', port),
    MAX_AUTH_SERVER_OPS_LISTEN: environment.MAX_AUTH_SERVER_OPS_LISTEN.replace('3002', ops),
    MAX_AUTH_UPSTREAM_ENDPOINTS: `[{ url = "${emulator.url}", dialect = "binary" }]`,
  };
  const [, check] = said('HEALTHCHECK')[0].match(/CMD (\[.*\])$/);
  assert.equal((await run(...inside(list(check), env))).code, 1, 'nothing runs yet');
  const server = cleanup.add(
    await launch('the image', ...inside([...list(said('ENTRYPOINT')[0]), ...list(said('CMD')[0])], env), {
      ready: () =>
        eventually(
          async () => (await fetchWhole(`http://127.0.0.1:${ops}/healthz`, { ms: 3000 })).status === 200,
          'healthz',
          30_000,
        ),
      startMs: 35_000,
    }),
  );
  const healthy = await run(...inside(list(check), env));
  assert.deepEqual([healthy.code, healthy.stdout], [0, 'healthy\n'], healthy.stderr);
  await signIn({ emulator, base: `http://127.0.0.1:${port}/api/auth/max` });
  assert.match(server.output, /^\{.*\}$/m, 'logs for a program to read');
  assert.ok(existsSync(join(root, volume, 'store.redb')), 'in the volume');
  const { code } = await server.stop(said('STOPSIGNAL')[0]);
  assert.equal(code, 0);
});
