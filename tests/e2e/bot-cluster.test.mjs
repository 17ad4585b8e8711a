// Three nodes on one Redis, and a bot: what MAX brings arrives at one node, the login is another's, the answer comes to a third.
// Each of them is killed in turn; whoever waits sees at most a fresh code.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { startBotEmulator } from '../harness/bot.mjs';
import { startCluster } from '../harness/cluster.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { freePort } from '../harness/process.mjs';
import { BASE_PATH } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
let site;
/** The address MAX brings updates to: a balancer that the test steers. */
let hook;
let people = 3000;

before(async () => {
  emulator = cleanup.add(await startBotEmulator({ args: ['--bot-clock', '600'] }));
  hook = await balancer();
  site = await startCluster({
    cleanup,
    emulator,
    settings: {
      LOGIN_DRIVERS: '["bot", "mini_app"]',
      DRIVER_BOT_NAME: 'emulator_bot',
      DRIVER_BOT_TOKEN: 'emulator-bot-token',
      DRIVER_BOT_API_URL: emulator.api,
      DRIVER_BOT_WEBHOOK_URL: hook.url,
      DRIVER_BOT_CHECK_EVERY: '2s',
    },
  });
  await eventually(
    async () => (await emulator.botStats()).subscriptions.length === 1,
    'one subscription of three nodes',
  );
});

/** Passes each delivery on to the node that is set, as it is; 502 where nobody is there. */
async function balancer() {
  const port = await freePort();
  const path = '/hook';
  const self = { url: `http://127.0.0.1:${port}${path}`, to: null, brought: 0 };
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const headers = { ...request.headers };
    for (const name of ['host', 'connection', 'content-length', 'transfer-encoding']) delete headers[name];
    const answer = await fetchWhole(`http://127.0.0.1:${self.to.port}${path}`, {
      method: 'POST',
      headers,
      body: Buffer.concat(parts),
      ms: 5000,
    }).catch(() => ({ status: 502 }));
    self.brought += 1;
    response.writeHead(answer.status).end();
  });
  await new Promise((listening) => server.listen(port, '127.0.0.1', listening));
  cleanup.add({ stop: () => new Promise((closed) => server.close(closed)) });
  return self;
}

const at = (node, visitor) => new Visitor(node.base, { jar: visitor.jar, origin: site.address });
const quiet = () =>
  eventually(async () => {
    const active = await Promise.all(site.nodes.map((node) => node.active().catch(() => 0)));
    return active.every((count) => count === 0);
  }, 'nobody to wait');

/** A login that the second node owns, and whose page reads it at the third. */
async function begin(driver) {
  const [a, b, c] = site.nodes;
  const first = new Visitor(b.base, { origin: site.address });
  const stream = await first.startWs({ driver });
  const { data } = await stream.until('qr');
  await stream.until('status');
  const login = stream.events.find(({ data }) => data.login).data.login;
  const last = stream.events.at(-1).id;
  await stream.cut();
  assert.equal(await site.ownerOf(), b);
  const visitor = at(c, first);
  const page = await visitor.resume('ws-url', login, last);
  const code = Object.values(Object.fromEntries(new URL(data.qrLink).searchParams))[0];
  return { a, b, c, login, code, page, visitor, seen: () => page.events.at(-1)?.id ?? last };
}

const button = (person, text) =>
  eventually(async () => {
    const all = (await person.dialog()).messages.at(-1)?.buttons.flat() ?? [];
    return all.find((key) => key.text === text)?.payload;
  }, `the button ${text}`);

async function signedIn(visitor, success, sub) {
  assert.equal(success.event, 'success', JSON.stringify(success));
  assert.equal((await visitor.callback(success.data.token)).status, 303);
  assert.equal((await visitor.session()).json.sub, sub);
}

test('brought to one node, owned by another, answered at the third', async () => {
  const person = emulator.person(++people);
  const { a, c, code, page, visitor } = await begin('bot');
  hook.to = a;
  await person.start(code);
  const { matchCode } = (await page.until('confirm')).data;
  hook.to = c;
  await person.press(await button(person, matchCode));
  await signedIn(visitor, await page.outcome(), `bot:${people}`);
  await quiet();
});

test('the mini-app asks each time another node', async () => {
  const person = emulator.person(++people);
  const { a, c, code, page, visitor } = await begin('mini_app');
  const post = (node, path, body) =>
    fetchWhole(`http://127.0.0.1:${node.port}${BASE_PATH}/app/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  const opened = await post(a, 'open', { initData: (await person.launch(code)).initData });
  assert.equal(opened.status, 200, opened.text);
  const { matchCode } = (await page.until('confirm')).data;
  const confirmed = await post(c, 'confirm', { ticket: opened.json.ticket, choice: matchCode });
  assert.deepEqual(confirmed.json, { outcome: 'approved' });
  await signedIn(visitor, await page.outcome(), `mini_app:${people}`);
  await quiet();
});

// The node that was brought the start, the owner, the node whose visitor reads and that is brought the answer.
for (const [index, name] of ['brought the start', 'owns the login', 'serves the page'].entries()) {
  test(`kill -9 of the node that ${name}, once the phone is asked`, async () => {
    const person = emulator.person(++people);
    const { a, c, login, code, page, visitor, seen } = await begin('bot');
    hook.to = a;
    await person.start(code);
    const { matchCode } = (await page.until('confirm')).data;
    const payload = await button(person, matchCode);
    const killed = site.nodes[index];
    await killed.stop('SIGKILL');
    // A browser whose node is gone comes back to another one.
    const rest = killed === c ? await at(a, visitor).resume('ws-url', login, seen()) : page;
    hook.to = killed === a ? c : a;
    await person.press(payload);
    const success = await rest.outcome(30_000);
    const fresh = rest.events.filter(({ event }) => event === 'qr');
    assert.equal(fresh.length, 0, 'the question goes on, whoever asks it');
    await signedIn(killed === c ? at(a, visitor) : visitor, success, `bot:${people}`);
    await killed.start();
    await quiet();
  });

  test(`kill -9 of the node that ${name}, before anybody opened the code`, async () => {
    const person = emulator.person(++people);
    const { a, c, login, code, page, visitor, seen } = await begin('bot');
    const killed = site.nodes[index];
    await killed.stop('SIGKILL');
    const rest = killed === c ? await at(a, visitor).resume('ws-url', login, seen()) : page;
    hook.to = killed === a ? c : a;
    await person.start(code);
    const confirm = await rest.until('confirm', 30_000);
    await person.press(await button(person, confirm.data.matchCode));
    await signedIn(killed === c ? at(a, visitor) : visitor, await rest.outcome(30_000), `bot:${people}`);
    await killed.start();
    await quiet();
  });
}

test('kill -9 of the node that is brought the answer, in that moment: MAX brings it again to another', async () => {
  const person = emulator.person(++people);
  const { a, code, page, visitor } = await begin('bot');
  hook.to = a;
  await person.start(code);
  const { matchCode } = (await page.until('confirm')).data;
  const payload = await button(person, matchCode);
  await a.stop('SIGKILL');
  // Nobody is there: 502, and a minute of MAX's later (a tenth of a second here) another try.
  await person.press(payload);
  await eventually(() => hook.brought > 0, 'a try');
  hook.to = site.nodes[2];
  await signedIn(visitor, await page.outcome(30_000), `bot:${people}`);
  await a.start();
  await quiet();
});
