// Sessions and the apps that have tokens of them: devices without a browser, who is signed in where, signing out everywhere, and
// apps that are told.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, beforeEach, describe, test } from 'node:test';
import * as oidc from '../harness/app.mjs';
import { SECRET, form, startApp } from '../harness/app.mjs';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { BINARY } from '../harness/paths.mjs';
import { freePort, run } from '../harness/process.mjs';
import { environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator, server, app, listener, browser, found;
before(async () => {
  emulator = cleanup.add(await startEmulator());
  app = cleanup.add(await startApp());
  listener = cleanup.add(await startListener());
  const client = (more) => `{ secret = "${SECRET}", redirect_uris = ["${app.address}/cb"], ${more} }`;
  const clients = [
    client(`id = "grafana", name = "Графики", preset = "grafana", backchannel_logout_uri = "${listener.address}/out"`),
    client('id = "wiki", name = "Вики", consent = "never"'),
    'id = "tv", name = "Телевизор", auth = "none", grants = ["device_code"]',
  ];
  clients[2] = `{ ${clients[2]}, redirect_uris = ["${app.address}/cb"] }`;
  server = cleanup.add(
    await startServer({ upstream: [[emulator.url, 'binary']], settings: { OIDC_CLIENTS: `[${clients.join(', ')}]` } }),
  );
  browser = cleanup.add(await startBrowser());
  found = (await fetchWhole(`${server.address}/.well-known/openid-configuration`)).json;
});

beforeEach(() => app.forget());

/** Where an app hears of sign-outs; it fails as often as it is told to. */
async function startListener() {
  const heard = [];
  let failures = 0;
  const port = await freePort();
  const http = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    if (failures > 0) {
      failures -= 1;
      response.writeHead(503).end();
      return;
    }
    heard.push(new URLSearchParams(Buffer.concat(chunks).toString()).get('logout_token'));
    response.writeHead(204).end();
  });
  await new Promise((resolve) => http.listen(port, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${port}`,
    heard,
    failNext: (times) => (failures = times),
    stop: () => new Promise((resolve) => http.close(resolve)),
  };
}

const scan = async () => {
  const code = await eventually(async () => (await emulator.codes())[0], 'a code to scan', 15_000);
  await emulator.approve(code.track);
};

const profile = async () => cleanup.add(await browser.profile({ viewport: { width: 390, height: 844 } }));

/** A browser with a session and tokens of the first app. */
async function signedIn() {
  const page = await (await profile()).page();
  const asked = oidc.request(found, app, 'grafana');
  await page.goto(asked.url);
  await scan();
  const tokens = (await oidc.redeem(found, asked, (await app.next(page)).params.code)).json;
  return { page, tokens };
}

const session = (page) => page.evaluate(async (base) => (await fetch(`${base}/session`)).status, server.base);

describe('a session', () => {
  test('is shown with its apps, and ends everywhere, which the app hears', async () => {
    const [here, there] = [await signedIn(), await signedIn()];
    await here.page.goto(`${server.base}/account`);
    await here.page.getByText('Графики').waitFor();
    assert.equal(await here.page.getByText('Chrome', { exact: false }).count(), 2);
    await here.page.getByText('этот браузер').waitFor();
    await screenshot(here.page, 'account-sessions');
    await here.page.getByRole('button', { name: 'Выйти на всех устройствах' }).click();
    await here.page.getByText('Вы не вошли').waitFor();
    await there.page.goto(`${server.base}/account`);
    assert.deepEqual([await session(here.page), await session(there.page)], [401, 401]);
    await eventually(async () => listener.heard.length === 2, 'two logout tokens', 10_000);
    const told = await Promise.all(listener.heard.splice(0).map((token) => oidc.claimsOf(found, token)));
    const ids = await Promise.all([here, there].map(({ tokens }) => oidc.claimsOf(found, tokens.id_token)));
    assert.deepEqual(told.map(({ sid }) => sid).sort(), ids.map(({ sid }) => sid).sort());
    for (const claims of told) {
      assert.deepEqual([claims.iss, claims.aud, claims.sub], [found.issuer, 'grafana', ids[0].sub]);
      assert.ok(claims.events['http://schemas.openid.net/event/backchannel-logout'] && !('nonce' in claims));
    }
    for (const { tokens } of [here, there]) {
      const headers = { authorization: `Bearer ${tokens.access_token}` };
      assert.equal((await fetchWhole(found.userinfo_endpoint, { headers })).status, 401);
    }
  });

  test('an app that is down for a moment hears of it later', async () => {
    const { page } = await signedIn();
    listener.failNext(1);
    await page.goto(`${server.base}/account`);
    await page.getByRole('button', { name: 'Выйти', exact: true }).click();
    await page.getByText('Вы не вошли').waitFor();
    await eventually(async () => listener.heard.length === 1, 'the second try', 10_000);
    listener.heard.splice(0);
    assert.match(await server.metrics(), /max_auth_oidc_logouts_told_total \d/);
  });
});

describe('a device', () => {
  const begin = async () =>
    (await form(found.device_authorization_endpoint, { client_id: 'tv', scope: 'openid profile' })).json;
  const poll = async (device) =>
    (
      await form(found.token_endpoint, {
        grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
        device_code: device.device_code,
        client_id: 'tv',
      })
    ).json;

  test('shows a code, which somebody types after they signed in', async () => {
    const device = await begin();
    const page = await (await profile()).page();
    await page.goto(device.verification_uri);
    await screenshot(page, 'device-code');
    await page.getByLabel('Код:').fill('XXXX-XXXX');
    await page.getByRole('button').click();
    await page.getByText('Такого кода нет').waitFor();
    await page.getByLabel('Код:').fill(device.user_code.toLowerCase().replace('-', ''));
    await page.getByRole('button').click();
    await scan();
    await page.getByText('Телевизор').waitFor();
    await page.getByText('127.0.0.1', { exact: true }).waitFor();
    await page.getByText(device.user_code).waitFor();
    await screenshot(page, 'device-ask');
    assert.equal((await poll(device)).error, 'authorization_pending');
    assert.equal((await poll(device)).error, 'slow_down');
    await page.getByRole('button', { name: 'Продолжить' }).click();
    await page.getByText('Вернитесь к нему').waitFor();
    const tokens = await eventually(
      async () => {
        const answer = await poll(device);
        return answer.error === 'slow_down' ? null : answer;
      },
      'the device may ask again',
      20_000,
    );
    const claims = await oidc.claimsOf(found, tokens.id_token);
    assert.deepEqual([claims.aud, claims.iss], ['tv', found.issuer]);
    assert.equal((await form(found.device_authorization_endpoint, { client_id: 'wiki' })).json.error, 'invalid_client');
  });

  test('that is refused gets nothing, and an answer of another site does not count', async () => {
    const device = await begin();
    const { page } = await signedIn();
    const forged = await fetchWhole(`${server.address}/oauth2/device/answer`, {
      method: 'POST',
      headers: { origin: 'https://evil.example', 'content-type': 'application/x-www-form-urlencoded' },
      body: `request=${device.user_code}&answer=yes`,
    });
    assert.equal(forged.status, 403);
    await page.goto(device.verification_uri_complete);
    await page.getByRole('button', { name: 'Отменить' }).click();
    await page.getByText('не получило доступа').waitFor();
    assert.equal((await poll(device)).error, 'access_denied');
  });
});

test('the next key signs after `keys rotate`, and what was signed before is good', async () => {
  const env = environment({ SERVER_OPS_LISTEN: server.ops.replace('http://', '') });
  const keys = async (...words) => {
    const { code, stdout, stderr } = await run(BINARY, ['keys', ...words], { env });
    assert.equal(code, 0, stderr);
    return stdout
      .trim()
      .split('\n')
      .map((line) => line.split(/ +/));
  };
  const before = await keys('list');
  assert.deepEqual(before.map(([state]) => state).sort(), ['next', 'signing']);
  const next = before.find(([state]) => state === 'next')[2];
  const { page, tokens } = await signedIn();
  const young = await run(BINARY, ['keys', 'rotate'], { env });
  assert.equal(young.code, 1);
  assert.match(young.stderr, /apps may not know it yet.* Try again in 1[56] min, or use --now/s);
  const rotated = await keys('rotate', '--now');
  assert.equal(rotated.find(([state]) => state === 'signing')[2], next);
  assert.ok(await oidc.claimsOf(found, tokens.id_token), 'still listed');
  const asked = oidc.request(found, app, 'wiki');
  await page.goto(asked.url);
  const later = (await oidc.redeem(found, asked, (await app.next(page)).params.code)).json;
  const { kid } = JSON.parse(Buffer.from(later.id_token.split('.')[0], 'base64url'));
  assert.equal(kid, next);
  assert.ok(await oidc.claimsOf(found, later.id_token));
  const forged = await fetchWhole(`${server.ops}/keys/rotate`, { method: 'POST' });
  assert.equal(forged.status, 403, 'a page of a browser on this machine cannot');
  const nobody = await run(BINARY, ['keys', 'list'], {
    env: environment({ SERVER_OPS_LISTEN: `127.0.0.1:${await freePort()}` }),
  });
  assert.equal(nobody.code, 2);
  assert.match(nobody.stderr, /the running server is asked, at server\.ops_listen/);
});
