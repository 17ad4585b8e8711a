// Our server signs people in by the bot and the mini-app at our own emulator: what `serve --demo` and tests in a browser rest on.

import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { TOKEN, startBotEmulator } from '../harness/bot.mjs';
import { startWithBot } from '../harness/bot-double.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { tempFolder } from '../harness/process.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
let server;
let token_file;
before(async () => {
  emulator = cleanup.add(await startBotEmulator({ args: ['--bot-clock', '300'] }));
  token_file = join(tempFolder('token'), 'token');
  writeFileSync(token_file, TOKEN, { mode: 0o600 });
  server = cleanup.add(await startAt({ drivers: ['mini_app', 'bot'], miniApp: { proximity: 'off' } }));
});

const startAt = (options) => {
  const double = { url: emulator.api, subscriptions: async () => (await emulator.botStats()).subscriptions };
  return startWithBot(double, { bot: { name: 'emulator_bot', token_file }, ...options });
};

async function begin(start) {
  const visitor = new Visitor(server.base);
  const stream = await visitor.startWs(start);
  const { data } = await stream.until('qr');
  return { stream, textCode: data.textCode, ...Object.fromEntries(new URL(data.qrLink).searchParams) };
}

/** The question in the dialogue; gives the button to press. */
async function question(person, stream) {
  const { matchCode } = (await stream.until('confirm')).data;
  return eventually(async () => {
    const keys = (await person.dialog()).messages.at(-1)?.buttons.flat() ?? [];
    return keys.find(({ text }) => text === matchCode)?.payload;
  }, 'the number in the dialogue');
}

test('the bot: a newcomer by the link, the same person again by the text code', async () => {
  const person = emulator.person(900);
  const first = await begin({ driver: 'bot' });
  assert.equal((await person.start(first.start)).event, 'bot_started');
  await person.press(await question(person, first.stream));
  await first.stream.until('success');

  const second = await begin({ driver: 'bot' });
  assert.equal((await person.start(second.start)).event, null, 'MAX tells the bot nothing');
  await person.say(second.textCode);
  await person.press(await question(person, second.stream));
  await second.stream.until('success');
});

test('the bot: a delivery that fails twice comes late, and doubles and strangers do no harm', async () => {
  const person = emulator.person(901);
  await emulator.botFault([
    { on: 'delivery', do: 'fail', times: 2 },
    { on: 'update', do: 'duplicate' },
    { on: 'update', do: 'unknown' },
  ]);
  const { stream, start } = await begin({ driver: 'bot' });
  await person.start(start);
  await person.press(await question(person, stream));
  await stream.until('success');
  await emulator.botFault([]);
});

test('the bot: a subscription that somebody removed is there again', async () => {
  await emulator.botFault([], { forget: true });
  await eventually(async () => (await emulator.botStats()).subscriptions.length === 1, 'the subscription');
});

test('the mini-app: each initData is judged for what it is', async () => {
  const open = (initData) =>
    fetchWhole(`${server.base}/app/open`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: server.address },
      body: JSON.stringify({ initData }),
    });
  const person = emulator.person(902);
  for (const kind of ['wrong-token', 'bad-hash', 'repeated-key', 'future', 'old', 'no-user']) {
    const { startapp } = await begin({ driver: 'mini_app' });
    const answer = await open(await person.initData(kind, { startParam: startapp }));
    assert.deepEqual([kind, answer.status], [kind, 401], answer.text);
  }
  for (const kind of ['good', 'ms', 'no-chat', 'percent', 'plus', 'fragment']) {
    const { stream, startapp } = await begin({ driver: 'mini_app' });
    const opened = await open(await person.initData(kind, { startParam: startapp }));
    assert.deepEqual([kind, opened.status], [kind, 200], opened.text);
    const { matchCode } = (await stream.until('confirm')).data;
    assert.ok(opened.json.choices.includes(matchCode), kind);
    const confirmed = await fetchWhole(`${server.base}/app/confirm`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: server.address },
      body: JSON.stringify({ ticket: opened.json.ticket, choice: matchCode }),
    });
    assert.deepEqual([kind, confirmed.json], [kind, { outcome: 'approved' }]);
    await stream.until('success');
  }
});
