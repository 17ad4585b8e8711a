// An app signs people in by OpenID Connect: Chromium is the visitor, the signatures are checked by Node's own cryptography.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import * as oidc from '../harness/app.mjs';
import { SECRET, form, startApp } from '../harness/app.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, scan } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator, server, app, browser, found;
before(async () => {
  emulator = cleanup.add(await startEmulator());
  app = cleanup.add(await startApp());
  const client = (more) => `{ secret = "${SECRET}", redirect_uris = ["${app.address}/cb"], ${more} }`;
  const clients = [
    client(
      'id = "grafana", name = "Графики", preset = "grafana", post_logout_redirect_uris = ["' + app.address + '/bye"]',
    ),
    client('id = "wiki", name = "Вики", scopes = ["openid", "profile", "phone"], id_token_alg = "ES256"'),
    client('id = "post", name = "Почта", email = "required"'),
    client('id = "closed", name = "Касса", allow = ["max:1"], id_token_alg = "EdDSA"'),
  ];
  server = cleanup.add(
    await startServer({ upstream: [[emulator.url, 'binary']], settings: { OIDC_CLIENTS: `[${clients.join(', ')}]` } }),
  );
  browser = cleanup.add(await startBrowser());
  found = (await fetchWhole(`${server.address}/.well-known/openid-configuration`)).json;
});

// One test's mistake is not the next one's.
beforeEach(() => app.forget());

const request = (client, more) => oidc.request(found, app, client, more);
const redeem = (asked, code) => oidc.redeem(found, asked, code);
const claimsOf = (token) => oidc.claimsOf(found, token);

/** What a careful developer would not accept. A phone faster than any person's ends a login before its WebSocket is open. */
const faults = ({ complaints }) =>
  complaints.filter((text) => !/WebSocket is closed before the connection is established/.test(text));

const profile = async () => cleanup.add(await browser.profile({ viewport: { width: 390, height: 844 } }));

/** A visitor who signs in to the first app. */
async function signedIn() {
  const visitor = await profile();
  const page = await visitor.page();
  const asked = request('grafana');
  await page.goto(asked.url);
  await scan(emulator);
  const answer = await app.next(page);
  return { visitor, page, asked, answer };
}

describe('an app', () => {
  test('from its button to the name of who signed in', async () => {
    const visitor = await profile();
    const page = await visitor.page();
    const asked = request('grafana');
    await page.goto(asked.url);
    await page.getByText('Графики').waitFor();
    await page.locator('.code img').waitFor();
    await screenshot(page, 'oidc-login');
    await scan(emulator);
    const answer = await app.next(page);
    assert.equal(answer.params.state, asked.params.state);
    assert.equal(answer.params.iss, found.issuer);
    assert.equal(answer.headers.referer, undefined);
    const tokens = await redeem(asked, answer.params.code);
    assert.equal(tokens.status, 200, tokens.text);
    assert.match(tokens.headers['cache-control'], /no-store/);
    const claims = await claimsOf(tokens.json.id_token);
    assert.equal(claims.nonce, asked.params.nonce);
    assert.equal(claims.aud, 'grafana');
    assert.ok(claims.name && claims.email.endsWith('@max.invalid') && claims.email_verified === false);
    assert.ok(!('phone_number' in claims), 'not among the scopes of that client');
    const userinfo = await fetchWhole(found.userinfo_endpoint, {
      headers: { authorization: `Bearer ${tokens.json.access_token}` },
    });
    assert.deepEqual([userinfo.json.sub, userinfo.json.name], [claims.sub, claims.name]);
    assert.equal((await redeem(asked, answer.params.code)).json.error, 'invalid_grant');
    assert.deepEqual(faults(visitor), []);
  });

  test('an app that asks for an address', async () => {
    const visitor = await profile();
    const page = await visitor.page();
    const asked = request('post');
    await page.goto(asked.url);
    await scan(emulator);
    const field = page.getByLabel('Адрес почты для этого приложения');
    await field.waitFor();
    await page.getByText('Почта', { exact: true }).waitFor();
    await screenshot(page, 'oidc-email');
    await page.emulateMedia({ colorScheme: 'dark' });
    await screenshot(page, 'oidc-email-dark');
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
    // What the browser lets through is looked at again.
    await field.fill('ivan@localhost');
    await page.getByRole('button', { name: 'Продолжить' }).click();
    await page.getByRole('alert').waitFor();
    assert.equal(await field.inputValue(), 'ivan@localhost');
    await screenshot(page, 'oidc-email-wrong');
    await field.fill('ivan@example.ru');
    await page.getByRole('button', { name: 'Продолжить' }).click();
    const tokens = await redeem(asked, (await app.next(page)).params.code);
    const claims = await claimsOf(tokens.json.id_token);
    assert.deepEqual([claims.email, claims.email_verified], ['ivan@example.ru', false]);

    await page.goto(`${server.base}/account`);
    await page.getByLabel('Почта').fill('petr@example.ru');
    await page.getByRole('button', { name: 'Сохранить' }).click();
    await page.waitForLoadState();
    await screenshot(page, 'oidc-email-account');
    const silent = request('post', { prompt: 'none' });
    await page.goto(silent.url);
    const again = await redeem(silent, (await app.next(page)).params.code);
    assert.equal((await claimsOf(again.json.id_token)).email, 'petr@example.ru');
    assert.deepEqual(
      faults(visitor).filter((text) => !/status of 400/.test(text)),
      [],
    );
  });

  test('the second one asks, and a cross-site form and form_post work', async () => {
    const { visitor, page } = await signedIn();
    const asked = request('wiki', { response_mode: 'form_post' });
    const fields = Object.entries(asked.params).map(([name, value]) => `<input name="${name}" value="${value}">`);
    await page.setContent(
      `<form method="post" action="${found.authorization_endpoint}">${fields.join('')}<button>go</button></form>`,
    );
    await page.getByRole('button').click();
    await page.getByText('Вики').waitFor();
    await screenshot(page, 'oidc-ask');
    await page.getByRole('button', { name: 'Продолжить' }).click();
    const answer = await app.next(page);
    assert.equal(answer.method, 'POST');
    const claims = await claimsOf((await redeem(asked, answer.params.code)).json.id_token);
    assert.match(claims.phone_number, /^\+\d+$/);
    await page.goto(request('wiki', { prompt: 'none' }).url);
    assert.ok((await app.next(page)).params.code, 'agreed to, and remembered');
    const again = request('wiki', { prompt: 'login' });
    await page.goto(again.url);
    await scan(emulator);
    const later = await claimsOf((await redeem(again, (await app.next(page)).params.code)).json.id_token);
    assert.ok(later.auth_time >= claims.auth_time && later.sub === claims.sub && later.sid !== claims.sid);
    assert.deepEqual(faults(visitor), []);
  });

  test('who may not is told so, and the app as well', async () => {
    const { page } = await signedIn();
    await page.goto(request('closed').url);
    await page.getByText('Касса').waitFor();
    await screenshot(page, 'oidc-denied');
    await page.getByRole('button', { name: 'Вернуться' }).click();
    assert.equal((await app.next(page)).params.error, 'access_denied');
  });

  test('a wrong address leads nowhere, and the page says what is wrong', async () => {
    const page = await (await profile()).page();
    const answer = await page.goto(request('grafana', { redirect_uri: 'https://evil.example/cb' }).url);
    assert.equal(answer.status(), 400);
    await page.getByText('redirect_uri is not registered').waitFor();
    await screenshot(page, 'oidc-wrong');
  });

  test('signing out: asked first without a hint, at once with one, and the tokens go with it', async () => {
    const { page, asked, answer } = await signedIn();
    const tokens = (await redeem(asked, answer.params.code)).json;
    await page.goto(found.end_session_endpoint);
    await screenshot(page, 'oidc-leave');
    await page.getByRole('button', { name: 'Отменить' }).click();
    assert.equal(await page.evaluate(async (base) => (await fetch(`${base}/session`)).status, server.base), 200);
    const out = new URLSearchParams({
      id_token_hint: tokens.id_token,
      post_logout_redirect_uri: `${app.address}/bye`,
      state: 's',
    });
    await page.goto(`${found.end_session_endpoint}?${out}`);
    assert.deepEqual((await app.next(page)).params, { state: 's' });
    const refreshed = await form(found.token_endpoint, {
      grant_type: 'refresh_token',
      refresh_token: tokens.refresh_token,
      client_id: 'grafana',
      client_secret: SECRET,
    });
    assert.equal(refreshed.json.error, 'invalid_grant');
  });
});
