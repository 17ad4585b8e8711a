// From the grant to the session: who is told what, where one is sent, and what a session survives.

import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fetchWhole } from '../harness/http.mjs';
import { tempFolder } from '../harness/process.mjs';
import { BASE_PATH, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, isProblem, signIn, untilCode } from '../harness/story.mjs';
import { eventually, pause } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

const ORIGIN = 'https://example.ru';
const SHOP = 'https://shop.example';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator;
let server;
before(async () => {
  emulator = cleanup.add(await startEmulator());
  server = await start();
});

/** A server that believes itself to be https://example.ru; it is asked directly. */
async function start(options = {}) {
  return cleanup.add(
    await startServer({
      upstream: [[emulator.url, 'binary']],
      publicUrl: ORIGIN,
      ...options,
      settings: { SERVER_ALLOWED_ORIGINS: `["${ORIGIN}", "${SHOP}"]`, ...options.settings },
    }),
  );
}

const visitorOf = (at, origin = ORIGIN) => new Visitor(at.address + BASE_PATH, { origin });
const signInAt = (at, options = {}) =>
  signIn({ emulator, base: at.address + BASE_PATH, visitor: visitorOf(at), how: 'page', ...options });
const sessionCookie = (visitor) =>
  visitor.jar
    .names()
    .filter((name) => !name.includes('flow'))
    .map((name) => ({ name, ...visitor.jar.get(name) }))[0];

describe('the session', () => {
  test('a __Host- cookie, 303 to where the visitor came from, and no token in the address', async () => {
    const { visitor, callback } = await signInAt(server, { start: { returnTo: '/cart?item=7#top' } });
    assert.equal(callback.status, 303);
    assert.equal(new URL(callback.headers.location, ORIGIN).href, `${ORIGIN}/cart?item=7#top`);
    assert.match(callback.headers['cache-control'], /no-store/);
    assert.equal(callback.headers['referrer-policy'], 'no-referrer');
    const cookie = sessionCookie(visitor);
    assert.match(cookie.name, /^__Host-/);
    assert.ok(cookie.attributes.has('secure') && cookie.attributes.has('httponly'));
    assert.equal(cookie.attributes.get('path'), '/');
    assert.equal(cookie.attributes.get('samesite').toLowerCase(), 'lax');
    assert.ok(!cookie.attributes.has('domain'));
  });

  test('without returnTo one comes to the site', async () => {
    const { callback } = await signInAt(server);
    assert.equal(new URL(callback.headers.location, ORIGIN).origin, ORIGIN);
  });

  test('an address of a listed origin is a place to return to', async () => {
    const { callback } = await signInAt(server, { start: { returnTo: `${SHOP}/cart` } });
    assert.equal(callback.headers.location, `${SHOP}/cart`);
  });

  test('who it is', async () => {
    const { visitor, session } = await signInAt(server);
    for (const key of ['sub', 'name', 'first_name', 'last_name', 'picture'])
      assert.ok(session[key], `${key} in ${JSON.stringify(session)}`);
    const verify = await visitor.request('/verify');
    assert.equal(verify.status, 200);
    assert.equal(verify.headers['x-auth-user'], session.sub);
    assert.ok(verify.headers['x-auth-name']);
  });

  test('the phone number only when the operator wants it', async () => {
    const telling = await start({ settings: { SESSION_PHONE: 'true' } });
    const { session: told } = await signInAt(telling);
    assert.match(String(told.phone), /^\+?\d{10,15}$/);
    const { session, visitor } = await signInAt(server);
    assert.ok(!('phone' in session));
    assert.ok(!visitor.heard.join('\n').includes(String(told.phone).replace('+', '')), 'it is said nowhere else');
  });

  test('the same person has the same sub; nobody has none', async () => {
    const [one, two] = [await signInAt(server), await signInAt(server)];
    assert.equal(one.session.sub, two.session.sub);
    isProblem(await visitorOf(server).session(), 401);
    const verify = await visitorOf(server).request('/verify');
    assert.equal(verify.status, 401);
    assert.equal(verify.headers['x-auth-user'], undefined);
  });

  test('a session that was there before is replaced, not promoted', async () => {
    const { visitor } = await signInAt(server);
    const before = sessionCookie(visitor).value;
    await signIn({ emulator, base: visitor.base, visitor, how: 'page' });
    assert.notEqual(sessionCookie(visitor).value, before);
  });

  test('it ends by session.ttl', async () => {
    const short = await start({ settings: { SESSION_TTL: '2s' } });
    const { visitor } = await signInAt(short);
    await pause(2200);
    assert.equal((await visitor.session()).status, 401);
  });
});

describe('without leaving the page: POST /callback', () => {
  /** A login that was approved: its visitor and its token. */
  async function approved(at = server, origin = ORIGIN) {
    const visitor = visitorOf(at, origin);
    const stream = await visitor.startWs();
    const { track } = await untilCode(stream);
    await emulator.approve(track);
    const success = await stream.outcome();
    return { visitor, token: success.data.token };
  }
  const redeem = (visitor, json) =>
    visitor.request('/callback', { method: 'POST', json, headers: { accept: 'application/json' } });

  test('answers with the session, and its cookie', async () => {
    const { visitor, token } = await approved();
    const answer = await redeem(visitor, { token });
    assert.equal(answer.status, 200, answer.text);
    assert.match(answer.headers['cache-control'], /no-store/);
    assert.match(sessionCookie(visitor).name, /^__Host-/);
    assert.deepEqual(answer.json, (await visitor.session()).json);
    isProblem(await redeem(visitor, { token }), 400, 'grant-invalid');
    assert.equal((await visitor.session()).status, 200, 'the second try has undone nothing');
  });

  test('a page of another listed origin, with credentials', async () => {
    const { visitor, token } = await approved(server, SHOP);
    const preflight = await visitor.request('/callback', {
      method: 'OPTIONS',
      headers: { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' },
    });
    assert.equal(preflight.status, 204);
    assert.equal(preflight.headers['access-control-allow-origin'], SHOP);
    assert.match(preflight.headers['access-control-allow-headers'], /content-type/);
    const answer = await redeem(visitor, { token });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.headers['access-control-allow-origin'], SHOP);
    assert.equal(answer.headers['access-control-allow-credentials'], 'true');
    assert.equal(answer.json.sub, (await visitor.session()).json.sub);
  });

  test('not for another browser, another origin, or what is no token; none of them burns it', async () => {
    const { visitor, token } = await approved();
    isProblem(await redeem(visitorOf(server), { token }), 400, 'grant-invalid');
    const foreign = visitorOf(server, 'https://evil.example');
    foreign.jar = visitor.jar.copy();
    isProblem(await redeem(foreign, { token }), 403, 'origin-refused');
    for (const json of [{}, { token: 7 }, [], 'x']) isProblem(await redeem(visitor, json), 400, 'invalid-request');
    isProblem(await visitor.request('/callback', { method: 'POST', body: `token=${token}` }), 415, 'content-type');
    assert.equal((await redeem(visitor, { token })).status, 200);
  });
});

describe('the account page', () => {
  const html = { accept: 'text/html', 'accept-language': 'en' };

  test('a login that does not say where to go lands there, and it lets one out', async () => {
    const { visitor, callback, session } = await signInAt(server);
    assert.equal(new URL(callback.headers.location, ORIGIN).pathname, `${BASE_PATH}/account`);
    const page = await visitor.request('/account', { headers: html });
    assert.equal(page.status, 200);
    assert.match(page.headers['content-type'], /^text\/html/);
    assert.ok(
      page.text.includes('You are signed in') && page.text.includes(session.name) && page.text.includes('example.ru'),
      page.text,
    );
    const out = await visitor.request('/logout', { method: 'POST', headers: html });
    assert.equal(out.status, 303);
    assert.equal(out.headers.location, `${BASE_PATH}/account`);
    assert.match((await visitor.request('/account', { headers: html })).text, /You are not signed in/);
    isProblem(await visitor.session(), 401);
  });

  test('the first page of the site, where nothing else serves it, leads there for people', async () => {
    const visitor = visitorOf(server);
    const shown = await visitor.request(`${server.address}/`, { headers: html });
    assert.equal(shown.status, 303);
    assert.equal(shown.headers.location, `${BASE_PATH}/account`);
    isProblem(await visitor.request(`${server.address}/`), 404);
  });
});

describe('the key of a login', () => {
  test('reads pages without the cookie, and does nothing else', async () => {
    const visitor = visitorOf(server);
    const { login, key } = await visitor.startPage();
    assert.match(key, /^[\w-]{22}$/);
    const bare = visitorOf(server);
    const read = (headers, path = `/${login}/events?wait=0`) => bare.request(path, { headers });
    const page = await read({ 'x-max-auth-key': key });
    assert.equal(page.status, 200, page.text);
    assert.equal(page.json.events[0].data.login, login);
    assert.ok(!('key' in page.json), 'told once');
    for (const headers of [
      {},
      { 'x-max-auth-key': '' },
      { 'x-max-auth-key': `${key}x` },
      { 'x-max-auth-key': (await visitorOf(server).startPage()).key },
    ]) {
      isProblem(await read(headers), 404, 'login-not-found');
    }
    isProblem(
      await read({ 'x-max-auth-key': key, accept: 'text/event-stream' }, `/${login}/events`),
      404,
      'login-not-found',
    );
    isProblem(
      await bare.request(`/${login}`, { method: 'DELETE', headers: { 'x-max-auth-key': key } }),
      404,
      'login-not-found',
    );
    const foreign = visitorOf(server, 'https://evil.example');
    isProblem(
      await foreign.request(`/${login}/events?wait=0`, { headers: { 'x-max-auth-key': key } }),
      403,
      'origin-refused',
    );
  });
});

describe('how streams ended', () => {
  const ended = async (at) => (await fetchWhole(`${at.ops}/streams`)).json;
  const count = (rows, transport) =>
    rows.filter((row) => row.transport === transport).reduce((sum, row) => sum + row.ended, 0);

  test('only what was a stream is counted: no start that is answered whole, no trial, nothing that was refused', async () => {
    const fresh = await start();
    const visitor = visitorOf(fresh);
    const page = await visitor.startPage();
    await visitor.request(`/${page.login}/events?wait=0`);
    const trial = await visitor.request(`/${page.login}/events?trial=100`, {
      headers: { accept: 'text/event-stream' },
    });
    assert.match(trial.text, /^: \d+ 25\n\n(: \d+ 25\n\n){4}$/);
    await visitor.ws(`/${page.login}/events?after=x`).catch(() => {});
    await visitor.request('/nobody/events', { headers: { accept: 'text/event-stream' } });
    const { login } = await signInAt(fresh);
    void login;
    await pause(100);
    assert.deepEqual(await ended(fresh), []);

    const stream = await visitor.resume('sse-after', page.login);
    await stream.until('qr');
    stream.cut();
    await eventually(async () => count(await ended(fresh), 'sse') === 1, 'the one stream');
    const socket = await visitor.resume('ws-url', page.login);
    await socket.until('qr');
    socket.cut();
    await eventually(async () => count(await ended(fresh), 'websocket') === 1, 'the one WebSocket');
    assert.equal(count(await ended(fresh), 'sse'), 1);
  });

  test('a stream that asks for what is over gets 204 and is none', async () => {
    const fresh = await start();
    const visitor = visitorOf(fresh);
    const { stream } = await signIn({ emulator, base: fresh.address + BASE_PATH, visitor, how: 'ws' });
    const last = stream.events.at(-1);
    const login = stream.events[0].data.login;
    const before = count(await ended(fresh), 'sse');
    const answer = await visitor.request(`/${login}/events?after=${last.id}`, {
      headers: { accept: 'text/event-stream' },
    });
    assert.equal(answer.status, 204);
    await pause(50);
    assert.equal(count(await ended(fresh), 'sse'), before);
  });
});

describe('what it survives', () => {
  test('a restart, with a key that nobody else may read', async () => {
    const state = tempFolder('state');
    const first = await start({ state });
    const { visitor, session } = await signInAt(first);
    await first.stop();
    const files = readdirSync(state, { recursive: true })
      .map((name) => join(state, name))
      .filter((path) => statSync(path).isFile());
    assert.ok(files.length > 0);
    for (const path of files) assert.equal(statSync(path).mode & 0o777, 0o600, path);

    const second = await start({ state });
    visitor.base = second.address + BASE_PATH;
    assert.deepEqual((await visitor.session()).json, session);
  });

  test('/logout ends it, for every copy of the cookie, also after a restart', async () => {
    const state = tempFolder('state');
    const first = await start({ state });
    const { visitor } = await signInAt(first);
    const thief = visitorOf(first);
    thief.jar = visitor.jar.copy();
    assert.equal((await thief.session()).status, 200);

    const answer = await visitor.request('/logout', { method: 'POST' });
    assert.ok(answer.status >= 200 && answer.status < 400, answer.text);
    assert.equal(sessionCookie(visitor), undefined, 'the cookie is deleted');
    assert.equal((await visitor.session()).status, 401);
    assert.equal((await thief.session()).status, 401, 'the old cookie still opened it');

    await first.stop('SIGKILL');
    const second = await start({ state });
    thief.base = second.address + BASE_PATH;
    assert.equal((await thief.session()).status, 401, 'the restart brought it back');
    await signInAt(second);
  });

  test('/logout ends one session and no other', async () => {
    const [one, two] = [await signInAt(server), await signInAt(server)];
    await one.visitor.request('/logout', { method: 'POST' });
    assert.equal((await one.visitor.session()).status, 401);
    assert.equal((await two.visitor.session()).status, 200);
  });

  test('a foreign site can log nobody out', async () => {
    const { visitor } = await signInAt(server);
    const answer = await visitor.request('/logout', {
      method: 'POST',
      headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    });
    assert.equal(answer.status, 403, answer.text);
    assert.equal((await visitor.request('/logout')).status, 405, 'and a link cannot either');
    assert.equal((await visitor.session()).status, 200);
  });

  test('no tampering: every changed cookie is 401', async () => {
    const { visitor } = await signInAt(server);
    const { name, value } = sessionCookie(visitor);
    const forged = [
      '',
      'x',
      'null',
      '{}',
      value.slice(1),
      value.slice(0, -1),
      `${value}A`,
      value + value,
      value.toUpperCase(),
      [...value].reverse().join(''),
      visitor.jar.find(/flow/)?.value ?? 'flow',
      `${value.split('.')[0]}.`,
      'A'.repeat(4000),
      '%00',
      '../../key',
      `${value}%00`,
    ];
    for (let at = 0; at < value.length; at += Math.max(1, Math.floor(value.length / 24))) {
      const other = value[at] === 'A' ? 'B' : 'A';
      forged.push(value.slice(0, at) + other + value.slice(at + 1));
    }
    // The last sextet of unpadded base64 has bits that do not count; a decoder that ignores them accepts another text.
    for (const last of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_') {
      if (last !== value.at(-1)) forged.push(value.slice(0, -1) + last);
    }
    for (const each of forged.filter((one) => one !== value)) {
      const liar = visitorOf(server);
      liar.jar.set(name, each);
      const answer = await liar.session();
      assert.equal(answer.status, 401, `${each.slice(0, 200)} opened: ${answer.text}`);
    }
    assert.equal((await visitor.session()).status, 200);
  });

  test("another installation's cookie is worth nothing", async () => {
    const elsewhere = await start();
    const { visitor } = await signInAt(elsewhere);
    visitor.base = server.address + BASE_PATH;
    assert.equal((await visitor.session()).status, 401);
  });
});

// ---- open redirects ------------------------------------------------------------------------------------------------------------

const EVIL = [
  'https://evil.example',
  'http://evil.example/',
  'HTTPS://EVIL.EXAMPLE',
  '//evil.example',
  '///evil.example',
  '////evil.example/x',
  '/\\evil.example',
  '\\\\evil.example',
  '\\/evil.example',
  '/\\/evil.example',
  '/\t/evil.example',
  '/\n/evil.example',
  '/\r/evil.example',
  '\t//evil.example',
  ' //evil.example',
  '\u0000//evil.example',
  '/\u0000/evil.example',
  '/ /evil.example',
  '//evil.example/%2f..',
  '/%5cevil.example',
  '/%2f/evil.example',
  '/%09/evil.example',
  '//evil%E3%80%82example',
  '//evil。example',
  '/．/evil.example',
  'javascript:alert(1)',
  'JaVaScRiPt:alert(1)',
  'java\nscript:alert(1)',
  'data:text/html,x',
  'vbscript:x',
  'file:///etc/passwd',
  'blob:https://evil.example/x',
  'https:evil.example',
  'https:/evil.example',
  'http:\\\\evil.example',
  'https://example.ru@evil.example',
  'https://example.ru.evil.example',
  'https://evil.example/https://example.ru',
  'https://evil.example?https://example.ru',
  'https://evil.example#@example.ru',
  'https://example.ru:444/',
  'http://example.ru/',
  'https://shop.example.evil.example/',
  'https://shop.example@evil.example/',
  'https://xn--e1awd7f.example/',
  '@evil.example',
  '.evil.example',
  ':80',
  '?//evil.example',
  '/..//evil.example',
  '/./\\evil.example',
  '/x/../..//evil.example',
  '//0x7f000001/',
  '//[::1]/',
  '/\u2028/evil.example',
  '/x\r\nSet-Cookie: a=b',
  '/x\r\nLocation: https://evil.example',
  `/${'x'.repeat(5000)}`,
];

describe('returnTo leads nowhere else', () => {
  test(`${EVIL.length} payloads`, async () => {
    const judge = async (returnTo) => {
      const visitor = visitorOf(server);
      const start = await visitor.request('', {
        method: 'POST',
        json: { userAgent: visitor.userAgent, returnTo },
        headers: { accept: 'application/json' },
      });
      if (start.status !== 200) {
        isProblem(start, 400);
        return;
      }
      await visitor.giveUp(start.json.login);
      const { callback } = await signInAt(server, { start: { returnTo } });
      const { location, 'set-cookie': cookies } = callback.headers;
      assert.match(
        location,
        /^[\x21-\x7e]+$/,
        `${JSON.stringify(returnTo)} gave the header ${JSON.stringify(location)}`,
      );
      const target = new URL(location, `${ORIGIN}${BASE_PATH}/callback`);
      assert.equal(target.origin, ORIGIN, `${JSON.stringify(returnTo)} led to ${location}`);
      assert.ok([cookies].flat().every((line) => !line.startsWith('a=b')));
    };
    // A few at a time: each is a whole sign-in.
    const queue = [...EVIL];
    await Promise.all(
      Array.from({ length: 6 }, async () => {
        while (queue.length > 0) await judge(queue.shift());
      }),
    );
  });

  test('and not from what is no text at all', async () => {
    for (const returnTo of [1, true, null, [], {}, ['/x'], { path: '/x' }]) {
      const visitor = visitorOf(server);
      const { status, text } = await visitor.request('', {
        method: 'POST',
        json: { userAgent: visitor.userAgent, returnTo },
        headers: { accept: 'application/json' },
      });
      assert.ok(status === 400 || status === 200, `${JSON.stringify(returnTo)}: ${status} ${text}`);
    }
  });

  test('good places stay what they are', async () => {
    for (const returnTo of [
      '/',
      '/inside',
      '/a/b?c=d&e=f#g',
      '/%D0%BF%D1%83%D1%82%D1%8C',
      '/x?next=https://other.example/',
    ]) {
      const { callback } = await signInAt(server, { start: { returnTo } });
      assert.equal(callback.headers.location.replace(ORIGIN, ''), returnTo);
    }
  });
});
