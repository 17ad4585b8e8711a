// Real SDKs of MAX's Bot API in a conversation with our double of it: what they send and what they read is by other hands.

import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { TOKEN, startBotEmulator } from '../harness/bot.mjs';
import { authority } from '../harness/certificate.mjs';
import { DOUBLES, ROOT, python } from '../harness/paths.mjs';
import { freePort, launch, run } from '../harness/process.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

const MAXOXIDE = join(ROOT, 'target/maxoxide/debug/bot-on-maxoxide');
const SDKS = {
  'npm @maxhub/max-bot-api': ['node', [join(DOUBLES, 'max_bot_api.mjs')]],
  'PyPI maxapi': [python('.venv-bot'), [join(DOUBLES, 'maxapi_bot.py')]],
  'crate maxoxide': [MAXOXIDE, []],
};

/** A double for itself, and the bot on it. */
async function startBot(sdk, mode) {
  const ca = mode === 'webhook' ? authority() : undefined;
  const emulator = cleanup.add(await startBotEmulator({ args: ca ? ['--bot-ca', ca.root, '--bot-clock', '300'] : [] }));
  const [command, args] = SDKS[sdk];
  const bot = await launch(sdk, command, args, {
    env: {
      API_URL: emulator.api,
      TOKEN,
      MODE: mode,
      PYTHONDONTWRITEBYTECODE: '1',
      ...(ca && {
        PORT: String(await freePort()),
        KEY: join(ca.folder, 'key.pem'),
        CERT: join(ca.folder, 'cert.pem'),
      }),
    },
    ready: (self) => self.printed(/^READY$/m),
    startMs: 30_000,
  });
  cleanup.add({ stop: () => bot.stop('SIGKILL') });
  return { emulator, bot };
}

before(async () => {
  const manifest = join(DOUBLES, 'maxoxide/Cargo.toml');
  const args = ['build', '--quiet', '--locked', '--manifest-path', manifest];
  const built = await run('cargo', [...args, '--target-dir', join(ROOT, 'target/maxoxide')], { ms: 900_000 });
  assert.equal(built.code, 0, built.output);
});

const CONVERSATIONS = [
  ['npm @maxhub/max-bot-api', 'poll'],
  ['npm @maxhub/max-bot-api', 'webhook'],
  ['PyPI maxapi', 'poll'],
  ['PyPI maxapi', 'webhook'],
  ['crate maxoxide', 'poll'],
];

// Beside each other: those that poll spend most of their time waiting out a 429.
describe('a conversation', { concurrency: true }, () => {
  for (const [sdk, mode] of CONVERSATIONS) test(`${sdk} by ${mode}`, () => converse(sdk, mode));
});

async function converse(sdk, mode) {
  const { emulator, bot } = await startBot(sdk, mode);
  const said = (pattern) => bot.printed(pattern, 20_000);
  const person = emulator.person();
  const { id, phone } = (await person.dialog()).person;
  assert.match(bot.output, /^ME emulator_bot 7$/m);

  await person.start('aB3_-x');
  await said(new RegExp(`^STARTED ${id} aB3_-x$`, 'm'));
  await said(/^ASKED$/m);
  const asked = (await person.dialog()).messages;
  assert.equal(asked.at(-1).text, 'Sign in?');
  assert.deepEqual(
    asked.at(-1).buttons.map((row) => row.map(({ type, text }) => `${type} ${text}`)),
    [['callback 42', 'callback 17'], ['request_contact My phone']],
  );

  await person.press('yes:aB3_-x');
  await said(new RegExp(`^PRESSED ${id} yes:aB3_-x$`, 'm'));
  await said(/^ANSWERED$/m);
  const { messages, notice } = await person.dialog();
  assert.equal(messages.at(-1).text, 'Done', 'the answer replaced the message');
  assert.deepEqual(messages.at(-1).buttons, [], 'and took its buttons away');
  assert.equal(notice, 'Yes');

  await person.contact('own');
  await said(new RegExp(`^CONTACT \\+?${phone} hash=true own=true$`, 'm'));
  await person.contact('forwarded');
  await said(/^CONTACT \+?\d+ hash=true own=false$/m);
  await person.contact('forged');
  await said(/^CONTACT \+?8\d+ hash=false own=true$/m);

  // Started already: the link makes no event; after a stop it does.
  assert.equal((await person.start('again')).event, null);
  await person.say('/start again');
  await said(/^HEARD \/start again$/m);
  await person.stop();
  await said(new RegExp(`^STOPPED ${id}$`, 'm'));
  await person.start();
  await said(new RegExp(`^STARTED ${id} -$`, 'm'));
  assert.doesNotMatch(bot.output, /STARTED \d+ again|FAILED/);

  // Fields and kinds that no SDK knows stop nobody.
  await emulator.botFault([
    { on: 'update', do: 'unknown' },
    { on: 'update', do: 'unknown-fields' },
    { on: 'update', do: 'bare' },
  ]);
  for (const text of ['one', 'two', 'three']) {
    await person.say(text);
    await said(new RegExp(`^HEARD ${text}$`, 'm'));
  }
  const { webhook, subscriptions } = await emulator.botStats();
  assert.equal(subscriptions.length, mode === 'webhook' ? 1 : 0);
  assert.deepEqual([webhook.failed, webhook.lost], [0, 0]);
}

test('a webhook that is down gets the update a minute later, on a clock that is 300 times faster', async () => {
  const { emulator, bot } = await startBot('PyPI maxapi', 'webhook');
  const person = emulator.person();
  await emulator.botFault([{ on: 'delivery', do: 'fail', times: 2 }]);
  await person.start('late');
  await bot.printed(/^STARTED \d+ late$/m);
  await eventually(async () => (await emulator.botStats()).webhook.delivered === 1, 'the delivery to be counted');
  const { webhook } = await emulator.botStats();
  assert.deepEqual(
    webhook.recent.map(({ attempt, status }) => [attempt, status]),
    [
      [1, null],
      [2, null],
      [3, 200],
    ],
  );
});

test('a webhook with a certificate of nobody that is known gets nothing', async () => {
  const { key, cert } = authority();
  const emulator = cleanup.add(await startBotEmulator());
  let asked = 0;
  const server = createServer({ key, cert }, (_request, response) => (asked++, response.end()));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add({ stop: () => server.close() });
  const url = `https://localhost:${server.address().port}/hook`;
  assert.equal((await emulator.ask('POST', '/subscriptions', { url })).json.success, true);
  await emulator.person().start();
  const { webhook } = await eventually(async () => {
    const stats = await emulator.botStats();
    return stats.webhook.failed === 1 && stats;
  }, 'the delivery to fail');
  assert.match(webhook.recent[0].error, /^TLS: .*UnknownIssuer/);
  assert.equal(asked, 0);
});

describe("initData, by maxoxide's own check", () => {
  let emulator;
  before(async () => {
    emulator = cleanup.add(await startBotEmulator({ args: ['--mini-app', 'http://127.0.0.1:1/app'] }));
  });

  const judged = async (initData, contact) => {
    const env = { TOKEN, INIT_DATA: initData, ...(contact && { CONTACT: contact }) };
    return (await run(MAXOXIDE, [], { env })).output.trim();
  };

  test('what the phone opens is good, and so is its phone number', async () => {
    const { initData, url } = await emulator.person(8).launch('aB3_-x');
    const own = await emulator.person(8).requestContact();
    const contact = ({ phone, authDate, hash }) => `${phone} ${authDate} ${hash}`;
    assert.equal(await judged(initData, contact(own)), 'GOOD 8 aB3_-x\nPHONE true');
    const forged = await emulator.person(8).requestContact('forged');
    assert.equal(await judged(initData, contact(forged)), 'GOOD 8 aB3_-x\nPHONE false');
    assert.equal(new URLSearchParams(new URL(url).hash.slice(1)).get('WebAppData'), initData);
  });

  // It is stricter than MAX's pages: milliseconds and the raw fragment are good elsewhere.
  for (const [kind, verdict] of [
    ['good', /^GOOD/],
    ['no-chat', /^GOOD/],
    ['percent', /^GOOD/],
    ['plus', /^GOOD/],
    ['no-user', /^GOOD 0/],
    ['wrong-token', /^BAD/],
    ['bad-hash', /^BAD/],
    ['repeated-key', /^BAD/],
    ['future', /^BAD/],
    ['old', /^BAD/],
    ['ms', /^BAD/],
    ['fragment', /^BAD/],
  ]) {
    test(kind, async () => {
      assert.match(await judged(await emulator.person(8).initData(kind, { startParam: 'abc' })), verdict);
    });
  }
});
