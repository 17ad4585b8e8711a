// Our server signs people in by the bot and the mini-app at a Bot API that was written apart from both: by webhook and by
// polling, whoever the person is to the bot, whatever goes wrong on the way. After each test MAX has nothing to complain of.

import assert from 'node:assert/strict';
import { after, afterEach, before, describe, test } from 'node:test';
import { BOT, BOT_TOKEN, NOT_ME, startBotDouble, startWithBot } from '../harness/bot-double.mjs';
import { Cleanup, isProblem } from '../harness/story.mjs';
import { eventually, pause } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let people = 701_000;
const STRANGER = { first_name: 'Анна', last_name: 'Плюс+Минус' };

async function begin(server, start = {}) {
  const visitor = new Visitor(server.base);
  const stream = await visitor.startWs(start);
  const qr = await stream.until('qr');
  return { visitor, stream, link: qr.data.qrLink, textCode: qr.data.textCode };
}

/** The question is in the dialogue and in the browser; gives the code to pick and the other ones. */
async function asked(stream, phone) {
  const { data } = await stream.until('confirm');
  assert.match(data.matchCode, /^\d\d$/);
  const { message, buttons, texts } = await phone.asked(data.matchCode);
  const codes = texts.filter((text) => /^\d\d$/.test(text));
  assert.ok(codes.length >= 4, `choices ${texts}`);
  assert.equal(codes.filter((text) => text === data.matchCode).length, 1, `choices ${texts}`);
  assert.equal(texts.filter((text) => NOT_ME.test(text)).length, 1, `choices ${texts}`);
  // What is pressed must not say what is right.
  const payloads = buttons.map(({ payload }) => payload);
  assert.equal(new Set(payloads).size, payloads.length);
  for (const { text, payload } of buttons) if (/^\d\d$/.test(text)) assert.notEqual(payload, text);
  return { right: data.matchCode, wrong: codes.find((text) => text !== data.matchCode), message, texts };
}

async function signedIn({ visitor, stream }, phone) {
  const success = await stream.outcome();
  assert.equal(success.event, 'success', JSON.stringify(success));
  assert.equal((await visitor.callback(success.data.token)).status, 303);
  const session = await visitor.session();
  assert.equal(session.status, 200, session.text);
  const { person } = await phone.known;
  assert.equal(session.json.name, person.name);
  assert.equal(session.json.first_name, person.first_name);
  assert.equal(session.json.last_name, person.last_name);
  const verified = await visitor.request('/verify');
  assert.equal(verified.status, 200);
  assert.ok(verified.headers['x-auth-user'].includes(String(phone.id)), verified.headers['x-auth-user']);
}

async function failed(login, code) {
  const { event, data } = await login.stream.outcome();
  assert.deepEqual([event, data.code], ['error', code], JSON.stringify(data));
  assert.ok(data.message);
  assert.equal((await login.visitor.session()).status, 401);
}

/** Nobody but the double ever heard the token, and it only in its header. */
async function clean(double, server, allowed = () => false) {
  const problems = await double.problems();
  assert.deepEqual(
    problems.filter((each) => !allowed(each)),
    [],
  );
  assert.ok((await double.requests()).every(({ auth }) => auth === 'good'));
  assert.ok(!server.output.includes(BOT_TOKEN), 'the token is in the log');
}

for (const receive of ['webhook', 'poll']) {
  describe(`the bot, by ${receive}`, () => {
    let double;
    let server;
    before(async () => {
      double = cleanup.add(await startBotDouble());
      server = cleanup.add(await startWithBot(double, { receive }));
    });
    afterEach(() => clean(double, server));
    const someone = (about = STRANGER) => double.phone(++people, about);

    test('a first-time person scans, picks the code and is signed in', async () => {
      const [phone, login] = [someone(), await begin(server)];
      assert.match(login.link, new RegExp(`^https://max\\.ru/${BOT}\\?start=[A-Za-z0-9_-]{16,128}$`));
      const { update } = await phone.open(login.link);
      assert.equal(update.update_type, 'bot_started');
      const { right, message } = await asked(login.stream, phone);
      assert.match(message.text, /127\.0\.0\.1/, 'the question names the site');
      await phone.press(right);
      await signedIn(login, phone);
      // The question is no longer there to be pressed.
      await eventually(
        async () => (await phone.dialog()).messages.at(-1).buttons.flat().length === 0,
        'no buttons left',
      );
    });

    test('a name without surname or username', async () => {
      const [phone, login] = [someone({ first_name: 'Ё', last_name: null }), await begin(server)];
      await phone.open(login.link);
      await phone.press((await asked(login.stream, phone)).right);
      const success = await login.stream.outcome();
      assert.equal(success.event, 'success', JSON.stringify(success));
      assert.equal((await login.visitor.callback(success.data.token)).status, 303);
      assert.equal((await login.visitor.session()).json.name, 'Ё');
    });

    for (const [name, text] of [
      ['the text code', (code) => code],
      ['the text code in small letters with spaces around it', (code) => ` ${code.toLowerCase()} `],
      ['/start and the text code', (code) => `/start ${code}`],
    ])
      test(`a returning person, whose link says nothing: ${name}`, async () => {
        const phone = someone();
        await phone.tap();
        const login = await begin(server);
        assert.equal((await phone.open(login.link)).update, null, 'MAX tells a bot of the first start only');
        assert.match(login.textCode, /^\S{8}$/);
        await phone.say(text(login.textCode));
        await phone.press((await asked(login.stream, phone)).right);
        await signedIn(login, phone);
      });

    test('a person who stopped the bot and starts it again by the link', async () => {
      const phone = someone();
      await phone.tap();
      await phone.told(/./);
      await phone.stop();
      const login = await begin(server);
      await phone.open(login.link);
      await phone.press((await asked(login.stream, phone)).right);
      await signedIn(login, phone);
    });

    test('a wrong pick ends the login', async () => {
      const [phone, login] = [someone(), await begin(server)];
      await phone.open(login.link);
      const { wrong } = await asked(login.stream, phone);
      await phone.press(wrong);
      await failed(login, 'declined');
    });

    test('it was not me', async () => {
      const [phone, login] = [someone(), await begin(server)];
      await phone.open(login.link);
      const { texts } = await asked(login.stream, phone);
      await phone.press(texts.find((text) => NOT_ME.test(text)));
      await failed(login, 'declined');
    });

    test('the answer of another person counts for nothing', async () => {
      const [phone, other, login] = [someone(), someone(), await begin(server)];
      await other.tap();
      await phone.open(login.link);
      const { right } = await asked(login.stream, phone);
      await phone.press(right, other.id);
      await pause(300);
      assert.ok(!login.stream.events.some(({ event }) => event === 'success'));
      await phone.press(right);
      await signedIn(login, phone);
    });

    test('a code belongs to who used it first: a second person is not asked', async () => {
      const [phone, other, login] = [someone(), someone(), await begin(server)];
      await phone.open(login.link);
      const { right } = await asked(login.stream, phone);
      await other.open(login.link);
      await pause(300);
      const { messages } = await other.dialog();
      assert.ok(!messages.some(({ buttons }) => buttons.flat().some(({ text }) => text === right)));
      await phone.press(right);
      await signedIn(login, phone);
    });

    test('a photo, odd updates, a kind of tomorrow: the bot lives on', async () => {
      const [phone, other] = [someone(), someone()];
      await other.tap('no-such-code');
      await phone.tap();
      await phone.act('photo');
      const { person } = await other.known;
      for (const update of [
        { update_type: 'kind_of_tomorrow', deep: [{}] },
        { update_type: 'bot_added', chat_id: 1 },
        { update_type: 'message_created', message: null },
        { update_type: 'message_callback', callback: { payload: null }, message: null },
        { update_type: 'bot_started', chat_id: 1, user: { ...person, new_key: {} }, payload: null, user_locale: null },
      ])
        await double.control('update', { update });
      const login = await begin(server);
      await phone.say(login.textCode);
      await phone.press((await asked(login.stream, phone)).right);
      await signedIn(login, phone);
    });

    test('MAX falters while the question is asked: 429, a page of HTML, an answer that is lost', async () => {
      for (const how of [
        { status: 429, headers: { 'Retry-After': 1 }, json: { code: 'too.many.requests', message: 'x' } },
        { status: 503, text: '<html>Bad gateway</html>' },
        { after: true, cut: true },
      ]) {
        const [phone, login] = [someone(), await begin(server)];
        await double.control('fault', { on: 'POST /messages', ...how });
        await phone.open(login.link);
        await phone.press((await asked(login.stream, phone)).right);
        await signedIn(login, phone);
      }
    });
  });
}

describe('the bot, by webhook: what happens to a webhook', () => {
  let double;
  let server;
  before(async () => {
    double = cleanup.add(await startBotDouble());
    server = cleanup.add(await startWithBot(double));
  });
  const someone = () => double.phone(++people, STRANGER);

  test('each update three times: asked once', async () => {
    await double.control('webhook', { duplicates: 2 });
    const [phone, login] = [someone(), await begin(server)];
    await phone.open(login.link);
    const { right } = await asked(login.stream, phone);
    await pause(300);
    const { messages } = await phone.dialog();
    assert.equal(messages.filter(({ from }) => from === 'bot').length, 1);
    await phone.press(right);
    await signedIn(login, phone);
    await double.control('webhook', { duplicates: 0 });
    await clean(double, server);
  });

  test('the later update first', async () => {
    const [one, other] = [someone(), someone()];
    const [first, second] = [await begin(server), await begin(server)];
    await double.control('webhook', { hold: true });
    await one.open(first.link);
    await other.open(second.link);
    await double.control('webhook', { release: 'reversed' });
    await one.press((await asked(first.stream, one)).right);
    await other.press((await asked(second.stream, other)).right);
    await signedIn(first, one);
    await signedIn(second, other);
    await clean(double, server);
  });

  test('a start that comes after its code is answered by the bot, and asks for nothing', async () => {
    const slow = cleanup.add(await startBotDouble());
    const brief = cleanup.add(await startWithBot(slow, { bot: { code_ttl: '2s' } }));
    const [phone, login] = [slow.phone(++people, STRANGER), await begin(brief)];
    await slow.control('webhook', { hold: true });
    await phone.open(login.link);
    for (let fresh = 0; fresh < 2; fresh++) await login.stream.until('qr', 15_000);
    await slow.control('webhook', { release: 'in-order' });
    await phone.told(/./);
    assert.ok(!login.stream.events.some(({ event }) => event === 'confirm'));
    await clean(slow, brief);
  });

  test('who does not know the secret is not heard', async () => {
    const phone = someone();
    const login = await begin(server);
    const update = {
      update_type: 'bot_started',
      timestamp: Date.now(),
      chat_id: 1,
      user: { user_id: phone.id, first_name: 'X', is_bot: false },
      payload: new URL(login.link).searchParams.get('start'),
    };
    for (const secret of [undefined, 'wrong', 'webhook-secret_012345678']) {
      const answer = await login.visitor.request(server.webhook, {
        method: 'POST',
        json: update,
        headers: secret ? { 'x-max-bot-api-secret': secret } : {},
      });
      assert.ok(answer.status >= 400 && answer.status < 500, answer.text);
    }
    await pause(200);
    assert.ok(!login.stream.events.some(({ event }) => event === 'confirm'));
  });

  test('a subscription that somebody took away is ours again', async () => {
    await double.control('steal');
    await eventually(
      async () => (await double.subscriptions()).some(({ url }) => url === server.webhook),
      'ours again',
    );
    const [phone, login] = [someone(), await begin(server)];
    await phone.open(login.link);
    await phone.press((await asked(login.stream, phone)).right);
    await signedIn(login, phone);
    await clean(double, server);
  });

  test('a second subscription, of somebody else, changes nothing', async () => {
    await double.control('subscribe', { url: 'http://127.0.0.1:9/theirs' });
    const [phone, login] = [someone(), await begin(server)];
    await phone.open(login.link);
    await phone.press((await asked(login.stream, phone)).right);
    await signedIn(login, phone);
    // Theirs is not there to answer.
    await clean(double, server, (problem) => /^webhook .*ClientConnectorError/.test(problem));
  });

  test('three wrong picks, and the person has to wait', async () => {
    const phone = someone();
    await phone.tap();
    for (let time = 0; time < 3; time++) {
      const login = await begin(server);
      await phone.say(login.textCode);
      await phone.press((await asked(login.stream, phone)).wrong);
      await failed(login, 'declined');
      await pause(600); // MAX takes two messages a second
    }
    const login = await begin(server);
    await phone.say(login.textCode);
    const { event, data } = await login.stream.outcome();
    assert.deepEqual([event, data.code], ['error', 'locked'], JSON.stringify(data));
    assert.ok(data.retryAfter > 0);
  });
});

describe('the mini-app', () => {
  let double;
  let server;
  before(async () => {
    double = cleanup.add(await startBotDouble());
    server = cleanup.add(await startWithBot(double, { drivers: ['mini_app'] }));
  });
  afterEach(() => clean(double, server));
  const someone = (about = STRANGER) => double.phone(++people, about);
  const inApp = () => new Visitor(server.base);
  const post = (path, json) => inApp().request(`/app/${path}`, { method: 'POST', json });

  async function opened(login, phone, initData) {
    const answer = await post('open', { initData });
    assert.equal(answer.status, 200, answer.text);
    const { ticket, choices, site } = answer.json;
    const { data } = await login.stream.until('confirm');
    assert.ok(site);
    assert.ok(choices.length >= 4 && choices.includes(data.matchCode), `${choices} without ${data.matchCode}`);
    return { ticket, right: data.matchCode, wrong: choices.find((choice) => choice !== data.matchCode) };
  }

  test('the page is there, and nobody may keep it', async () => {
    const page = await inApp().request('/app');
    assert.equal(page.status, 200);
    assert.match(page.headers['content-type'], /^text\/html/);
    assert.match(page.headers['cache-control'], /no-store/);
    assert.match(page.text, /st\.max\.ru\/js\/max-web-app\.js/);
    assert.match(page.headers['content-security-policy'], /https:\/\/st\.max\.ru/);
  });

  for (const fault of ['good', 'ms', 'no-chat', 'percent', 'plus', 'space-plus', 'fragment', 'extra-keys'])
    test(`opened, confirmed, signed in: initData ${fault}`, async () => {
      const [phone, login] = [someone(), await begin(server)];
      assert.match(login.link, new RegExp(`^https://max\\.ru/${BOT}\\?startapp=[A-Za-z0-9_-]{16,512}$`));
      const { initData } = await phone.open(login.link, { fault });
      const { ticket, right } = await opened(login, phone, initData);
      const answer = await post('confirm', { ticket, choice: right });
      assert.deepEqual([answer.status, answer.json], [200, { outcome: 'approved' }], answer.text);
      const success = await login.stream.outcome();
      assert.equal(success.event, 'success', JSON.stringify(success));
      assert.equal((await login.visitor.callback(success.data.token)).status, 303);
      const name = (await login.visitor.session()).json.first_name;
      assert.equal(name, { percent: 'Сто%25 100%', plus: 'A+B & Co = Ко' }[fault] ?? STRANGER.first_name);
    });

  test('every time, not only the first', async () => {
    const phone = someone();
    for (let time = 0; time < 2; time++) {
      const login = await begin(server);
      const { initData } = await phone.open(login.link);
      const { ticket, right } = await opened(login, phone, initData);
      assert.equal((await post('confirm', { ticket, choice: right })).json.outcome, 'approved');
      await signedIn(login, phone);
    }
  });

  for (const fault of [
    'wrong-token',
    'tampered',
    'no-hash',
    'repeated-key',
    'repeated-hash',
    'future',
    'old',
    'no-auth-date',
    'no-user',
  ])
    test(`initData ${fault} is refused, and the code still waits`, async () => {
      const [phone, login] = [someone(), await begin(server)];
      const { initData } = await phone.open(login.link, { fault });
      isProblem(await post('open', { initData }), 401, 'init-data-invalid');
      const { ticket } = await opened(login, phone, (await phone.open(login.link)).initData);
      assert.equal((await post('confirm', { ticket, choice: null })).json.outcome, 'declined');
      await failed(login, 'declined');
    });

  test('a wrong pick', async () => {
    const [phone, login] = [someone(), await begin(server)];
    const { ticket, right, wrong } = await opened(login, phone, (await phone.open(login.link)).initData);
    assert.equal((await post('confirm', { ticket, choice: wrong })).json.outcome, 'declined');
    await failed(login, 'declined');
    assert.notEqual((await post('confirm', { ticket, choice: right })).json.outcome, 'approved');
  });

  test('used twice, by another person, without a code, with none of ours', async () => {
    const [phone, other, login] = [someone(), someone(), await begin(server)];
    const { initData } = await phone.open(login.link);
    const { ticket, right } = await opened(login, phone, initData);
    isProblem(await post('open', { initData }), 409, 'init-data-used');
    isProblem(await post('open', { initData: (await other.open(login.link)).initData }), 409, 'code-used');
    isProblem(await post('open', { initData: (await other.launch()).initData }), 400, 'code-missing');
    isProblem(await post('open', { initData: (await other.launch('x'.repeat(22))).initData }), 410, 'code-expired');
    assert.equal((await post('confirm', { ticket, choice: right })).json.outcome, 'approved');
    await signedIn(login, phone);
  });
});

describe('the mini-app and the network of the phone', () => {
  for (const [proximity, ip, expected] of [
    ['require', '127.0.0.1', { warning: null }],
    ['require', '203.0.113.9', { code: 'other-network' }],
    ['warn', '203.0.113.9', { warning: 'elsewhere' }],
    ['off', '203.0.113.9', { warning: null }],
  ])
    test(`proximity ${proximity}, signed address ${ip}`, async () => {
      const double = cleanup.add(await startBotDouble());
      const server = cleanup.add(await startWithBot(double, { drivers: ['mini_app'], miniApp: { proximity } }));
      const [phone, login] = [double.phone(++people, STRANGER), await begin(server)];
      const { initData } = await phone.open(login.link, { ip });
      const answer = await new Visitor(server.base).request('/app/open', { method: 'POST', json: { initData } });
      if (expected.code) isProblem(answer, 403, expected.code);
      else assert.deepEqual([answer.status, answer.json.warning], [200, expected.warning], answer.text);
      await clean(double, server);
    });
});

describe('a bot that is none', () => {
  for (const [name, spoil] of [
    ['/me is an empty object', (double) => double.control('fault', { on: 'GET /me', times: 1e6, json: {} })],
    ['the token is refused', () => {}],
  ])
    test(`${name}: the visitor is told that this way is down`, async () => {
      const args = name.startsWith('/me') ? [] : ['--token', 'another-token-0123456789'];
      const double = cleanup.add(await startBotDouble({ args }));
      await spoil(double);
      const server = cleanup.add(await startWithBot(double, { receive: 'poll', isReached: false }));
      const { event, data } = await (await new Visitor(server.base).startWs()).outcome();
      assert.deepEqual([event, data.code], ['error', 'driver-down'], JSON.stringify(data));
      assert.ok(!server.output.includes(BOT_TOKEN), 'the token is in the log');
    });
});
