// Whatever works for long shows that it does: on standard error, if that is a terminal, and nowhere else.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BINARY } from '../harness/paths.mjs';
import { run, tempFolder } from '../harness/process.mjs';
import { Cleanup } from '../harness/story.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

/** Where somebody listens and never answers. */
let silent;
before(async () => {
  const sockets = new Set();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  cleanup.add({
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  });
  silent = `127.0.0.1:${server.address().port}`;
});

/** In a terminal, with standard output in a file: what the terminal showed, and what the file got. */
async function watched(args, env) {
  const file = join(tempFolder('progress'), 'out');
  const command = [BINARY, ...args].map((word) => `'${word}'`).join(' ');
  const seen = await run('script', ['--quiet', '--return', '--command', `${command} >'${file}'`, '/dev/null'], { env });
  return { code: seen.code, terminal: seen.output, out: readFileSync(file, 'utf8') };
}

const env = () => ({ LANG: 'C', LC_ALL: '', SSL_CERT_FILE: '', MAX_AUTH_SERVER_OPS_LISTEN: silent });

for (const [name, args] of [
  ['doctor', () => ['doctor', `http://${silent}`]],
  ['doctor --json', () => ['doctor', '--json', `http://${silent}`]],
  ['doctor --forward-auth', () => ['doctor', '--forward-auth', `http://${silent}/page`]],
  ['doctor --networks', () => ['doctor', '--networks', '--ops', `http://${silent}`]],
  ['health', () => ['health']],
])
  test(`${name} shows a person that it goes on, and a program nothing of it`, async () => {
    const [person, program] = await Promise.all([watched(args(), env()), run(BINARY, args(), { env: env() })]);
    assert.match(person.terminal, /\.\.\. .*2 s/, JSON.stringify(person.terminal));
    assert.doesNotMatch(program.output, /\.\.\. .*\d s\b|\r|\x1b/, JSON.stringify(program.output));
    assert.doesNotMatch(person.out, /\.\.\. .*\d s\b|\r|\x1b/, JSON.stringify(person.out));
    assert.equal(person.code, program.code);
    const timeless = (text) => text.replace(/\d+/g, 'N');
    assert.equal(timeless(person.out), timeless(program.stdout));
  });
