// From the grant to the session: who is told what, where one is sent, and what a session survives.

import assert from 'node:assert/strict';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { tempFolder } from './harness/process.mjs';
import { BASE_PATH, startEmulator, startServer } from './harness/server.mjs';
import { Cleanup, isProblem, signIn } from './harness/story.mjs';
import { pause } from './harness/time.mjs';
import { Visitor } from './harness/visitor.mjs';

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
const signInAt = (at, options = {}) => signIn({ emulator, base: at.address + BASE_PATH, visitor: visitorOf(at), how: 'page', ...options });
const sessionCookie = (visitor) => visitor.jar.names().filter((name) => !name.includes('flow')).map((name) => ({ name, ...visitor.jar.get(name) }))[0];

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
    for (const key of ['sub', 'name', 'first_name', 'last_name', 'picture']) assert.ok(session[key], `${key} in ${JSON.stringify(session)}`);
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

describe('what it survives', () => {
  test('a restart, with a key that nobody else may read', async () => {
    const state = tempFolder('state');
    const first = await start({ state });
    const { visitor, session } = await signInAt(first);
    await first.stop();
    const files = readdirSync(state, { recursive: true }).map((name) => join(state, name)).filter((path) => statSync(path).isFile());
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
    const answer = await visitor.request('/logout', { method: 'POST', headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' } });
    assert.equal(answer.status, 403, answer.text);
    assert.equal((await visitor.request('/logout')).status, 405, 'and a link cannot either');
    assert.equal((await visitor.session()).status, 200);
  });

  test('no tampering: every changed cookie is 401', async () => {
    const { visitor } = await signInAt(server);
    const { name, value } = sessionCookie(visitor);
    const forged = [
      '', 'x', 'null', '{}', value.slice(1), value.slice(0, -1), `${value}A`, value + value, value.toUpperCase(), [...value].reverse().join(''),
      visitor.jar.find(/flow/)?.value ?? 'flow', `${value.split('.')[0]}.`, 'A'.repeat(4000), '%00', '../../key', `${value}%00`,
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
  'https://evil.example', 'http://evil.example/', 'HTTPS://EVIL.EXAMPLE', '//evil.example', '///evil.example', '////evil.example/x',
  '/\\evil.example', '\\\\evil.example', '\\/evil.example', '/\\/evil.example', '/\t/evil.example', '/\n/evil.example', '/\r/evil.example',
  '\t//evil.example', ' //evil.example', '\u0000//evil.example', '/\u0000/evil.example', '/ /evil.example', '//evil.example/%2f..',
  '/%5cevil.example', '/%2f/evil.example', '/%09/evil.example', '//evil%E3%80%82example', '//evil。example', '/．/evil.example',
  'javascript:alert(1)', 'JaVaScRiPt:alert(1)', 'java\nscript:alert(1)', 'data:text/html,x', 'vbscript:x', 'file:///etc/passwd', 'blob:https://evil.example/x',
  'https:evil.example', 'https:/evil.example', 'http:\\\\evil.example', 'https://example.ru@evil.example', 'https://example.ru.evil.example',
  'https://evil.example/https://example.ru', 'https://evil.example?https://example.ru', 'https://evil.example#@example.ru',
  'https://example.ru:444/', 'http://example.ru/', 'https://shop.example.evil.example/', 'https://shop.example@evil.example/', 'https://xn--e1awd7f.example/',
  '@evil.example', '.evil.example', ':80', '?//evil.example', '/..//evil.example', '/./\\evil.example', '/x/../..//evil.example', '//0x7f000001/', '//[::1]/', '/\u2028/evil.example',
  '/x\r\nSet-Cookie: a=b', '/x\r\nLocation: https://evil.example', `/${'x'.repeat(5000)}`,
];

describe('returnTo leads nowhere else', () => {
  test(`${EVIL.length} payloads`, async () => {
    const judge = async (returnTo) => {
      const visitor = visitorOf(server);
      const start = await visitor.request('', { method: 'POST', json: { userAgent: visitor.userAgent, returnTo }, headers: { accept: 'application/json' } });
      if (start.status !== 200) {
        isProblem(start, 400);
        return;
      }
      await visitor.giveUp(start.json.login);
      const { callback } = await signInAt(server, { start: { returnTo } });
      const { location, 'set-cookie': cookies } = callback.headers;
      assert.match(location, /^[\x21-\x7e]+$/, `${JSON.stringify(returnTo)} gave the header ${JSON.stringify(location)}`);
      const target = new URL(location, `${ORIGIN}${BASE_PATH}/callback`);
      assert.equal(target.origin, ORIGIN, `${JSON.stringify(returnTo)} led to ${location}`);
      assert.ok([cookies].flat().every((line) => !line.startsWith('a=b')));
    };
    // A few at a time: each is a whole sign-in.
    const queue = [...EVIL];
    await Promise.all(Array.from({ length: 6 }, async () => {
      while (queue.length > 0) await judge(queue.shift());
    }));
  });

  test('and not from what is no text at all', async () => {
    for (const returnTo of [1, true, null, [], {}, ['/x'], { path: '/x' }]) {
      const visitor = visitorOf(server);
      const { status, text } = await visitor.request('', { method: 'POST', json: { userAgent: visitor.userAgent, returnTo }, headers: { accept: 'application/json' } });
      assert.ok(status === 400 || status === 200, `${JSON.stringify(returnTo)}: ${status} ${text}`);
    }
  });

  test('good places stay what they are', async () => {
    for (const returnTo of ['/', '/inside', '/a/b?c=d&e=f#g', '/%D0%BF%D1%83%D1%82%D1%8C', '/x?next=https://other.example/']) {
      const { callback } = await signInAt(server, { start: { returnTo } });
      assert.equal(callback.headers.location.replace(ORIGIN, ''), returnTo);
    }
  });
});
