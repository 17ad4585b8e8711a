// The audit log of real sign-ins: who, when, from where, to what, how it ended, and nothing that is nobody's business.

import assert from 'node:assert/strict';
import { readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fetchWhole } from '../harness/http.mjs';
import { tempFolder } from '../harness/process.mjs';
import { Cleanup, signIn, startPair } from '../harness/story.mjs';
import { Visitor } from '../harness/visitor.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

async function start(people) {
  const path = join(tempFolder('audit'), 'audit.jsonl');
  const settings = { AUDIT_TO: 'file', AUDIT_PATH: path, AUDIT_PEOPLE: people, SESSION_PHONE: 'true' };
  const { server, emulator } = await startPair(cleanup, { settings });
  const lines = () => readFileSync(path, 'utf8').split('\n').filter(Boolean).map(JSON.parse);
  const until = (event, count = 1) =>
    eventually(async () => lines().filter((line) => line.event === event).length >= count && lines(), event);
  return { server, emulator, path, lines, until };
}

test('each step of a sign-in has its line, with who and from where, and without secrets', async () => {
  const { server, emulator, path, until } = await start('full');
  const { visitor, session } = await signIn({ emulator, base: server.direct });
  const logout = await visitor.request(`${server.direct}/logout`, { method: 'POST' });
  assert.equal(logout.status, 204);

  const other = new Visitor(server.direct);
  const { login } = await other.startPage({});
  assert.equal((await other.request(`${server.direct}/${login}`, { method: 'DELETE' })).status, 204);

  await until('session.ended');
  const all = await until('login.ended', 2);
  const [begun, ended, signedIn] = all;
  assert.deepEqual([begun.event, begun.address], ['login.begun', '127.0.0.1']);
  assert.ok(begun.login.length >= 4 && begun.login === ended.login && Date.parse(begun.time) <= Date.parse(ended.time));
  assert.deepEqual([ended.event, ended.outcome, ended.person], ['login.ended', 'success', session.sub]);
  assert.deepEqual([signedIn.event, signedIn.person], ['session.begun', session.sub]);
  const out = all.find(({ event }) => event === 'session.ended');
  assert.deepEqual([out.person, out.session], [session.sub, signedIn.session]);
  const last = all.filter(({ event }) => event === 'login.ended').at(-1);
  assert.deepEqual([last.outcome, last.person], ['cancelled', undefined]);
  const text = readFileSync(path, 'utf8');
  for (const secret of [session.name, session.phone, session.first_name])
    assert.ok(secret && !text.includes(secret), secret);

  // logrotate
  renameSync(path, `${path}.1`);
  await new Visitor(server.direct).startPage({});
  await eventually(async () => {
    try {
      return /login.begun/.test(readFileSync(path, 'utf8'));
    } catch {
      return false;
    }
  }, 'a new file');
  assert.match(
    (await fetchWhole(`${server.ops}/metrics`)).text,
    /max_auth_logins_ended_total\{outcome="cancelled"\} 1/,
  );
});

test('masked, it has nobody in it', async () => {
  const { server, emulator, path, until } = await start('masked');
  const { session } = await signIn({ emulator, base: server.direct });
  const all = await until('session.begun');
  assert.equal(all[0].address, '127.0.0.0/24');
  assert.ok(!readFileSync(path, 'utf8').includes(session.sub));
});
