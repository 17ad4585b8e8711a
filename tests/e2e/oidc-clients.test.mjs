// Apps that sign people in with other people's libraries: openid-client and Auth.js. Chromium is the visitor.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { Auth } from '@auth/core';
import * as openid from 'openid-client';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { certificate } from '../harness/certificate.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { freePort } from '../harness/process.mjs';
import { BASE_PATH, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, scan } from '../harness/story.mjs';
import { startTwoTiers } from '../harness/two-tiers.mjs';

const SECRET = 'a secret of thirty-two characters';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator, browser, app, authjs, plain, tls;
before(async () => {
  emulator = cleanup.add(await startEmulator());
  browser = cleanup.add(await startBrowser());
  app = cleanup.add(await startApp((_request, response) => response.end('<h1>answered</h1>')));
  authjs = cleanup.add(await startApp(throughAuthJs));
  plain = cleanup.add(await startServer({ upstream: [[emulator.url, 'binary']], settings: clients() }));
  const port = await freePort();
  const publicUrl = `https://localhost:${port}`;
  tls = cleanup.add(await startServer({ upstream: [[emulator.url, 'binary']], publicUrl, settings: clients() }));
  // The whole address is max-auth's: /oauth2/ and /.well-known/ are beside its base path.
  cleanup.add(await startTwoTiers({ server: tls.port, site: tls.port, port }));
});

function clients() {
  const client = (id, more, to = `${app.address}/cb`) => `{ id = "${id}", redirect_uris = ["${to}"], ${more} }`;
  const out = `post_logout_redirect_uris = ["${app.address}/bye"]`;
  const grants = 'grants = ["authorization_code", "refresh_token"]';
  const list = [
    client('rs256', `secret = "${SECRET}", ${grants}, ${out}`),
    client('es256', `secret = "${SECRET}", ${grants}, ${out}, id_token_alg = "ES256"`),
    client('eddsa', `auth = "none", ${grants}, ${out}, id_token_alg = "EdDSA"`),
    client(
      'blog',
      `secret = "${SECRET}", preset = "authjs", name = "Блог", subject = "public"`,
      `${authjs.address}/auth/callback/max`,
    ),
  ];
  list.push(
    client(
      'till',
      `secret = "${SECRET}", preset = "authjs", allow = ["max:1"]`,
      `${authjs.address}/auth/callback/till`,
    ),
  );
  return { OIDC_CLIENTS: `[${list.join(', ')}]` };
}

/** A web app: what `answer` makes of a request. */
async function startApp(answer) {
  const port = await freePort();
  const http = createServer((request, response) => {
    response.setHeader('content-type', 'text/html; charset=utf-8');
    answer(request, response);
  });
  await new Promise((resolve) => http.listen(port, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${port}`,
    stop: () => {
      http.closeAllConnections();
      return new Promise((resolve) => http.close(resolve));
    },
  };
}

const visit = async () => await cleanup.add(await browser.profile()).page();

/** Who the browser is signed in as, by the site's own session. */
const session = (page, server) =>
  page
    .context()
    .request.get(`${server.base}/session`)
    .then((answer) => (answer.ok() ? answer.json() : answer.status()));

// ---- openid-client --------------------------------------------------------------------------------------------------------

/** As in Node with this certificate among the trusted ones. */
async function trusting(url, { method, headers, body }) {
  const ca = readFileSync(certificate().certificate);
  const plainHeaders = Object.fromEntries(new Headers(headers));
  const answer = await fetchWhole(url, { method, headers: plainHeaders, body: body?.toString(), ca });
  return new Response(answer.text, { status: answer.status, headers: answer.headers });
}

/** What openid-client finds. The ID token's signature is looked at, too, which TLS would spare it. */
function discover(server, id, metadata, auth) {
  const issuer = server.base.slice(0, -BASE_PATH.length);
  const execute = [openid.enableNonRepudiationChecks];
  if (issuer.startsWith('http:'))
    return openid.discovery(new URL(issuer), id, metadata, auth, {
      execute: [...execute, openid.allowInsecureRequests],
    });
  return openid.discovery(new URL(issuer), id, metadata, auth, { execute, [openid.customFetch]: trusting });
}

/** To the provider and back: the address with the answer, and what it is held against. `phone`: a code is to be scanned. */
async function answered(page, config, { phone = true, ...more } = {}) {
  const checks = {
    pkceCodeVerifier: openid.randomPKCECodeVerifier(),
    expectedState: openid.randomState(),
    expectedNonce: openid.randomNonce(),
    idTokenExpected: true,
  };
  const url = openid.buildAuthorizationUrl(config, {
    redirect_uri: `${app.address}/cb`,
    scope: 'openid profile',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    code_challenge: await openid.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...more,
  });
  await page.goto(url.href);
  if (phone) await scan(emulator);
  await page.waitForURL((to) => to.href.startsWith(`${app.address}/cb?`));
  return [new URL(page.url()), checks];
}

const signIn = async (page, config, options) =>
  openid.authorizationCodeGrant(config, ...(await answered(page, config, options)));

/** Everything that an app does between its button and its way out. */
async function wholeLife(server, id, { metadata, auth, introspects = true }) {
  const config = await discover(server, id, metadata, auth);
  assert.ok(config.serverMetadata().supportsPKCE());
  const page = await visit();
  const tokens = await signIn(page, config);
  const who = await session(page, server);
  const claims = tokens.claims();
  assert.equal(claims.name, who.name);
  assert.notEqual(claims.sub, who.sub, 'pairwise: not the number of MAX');
  const userinfo = await openid.fetchUserInfo(config, tokens.access_token, claims.sub);
  assert.equal(userinfo.name, claims.name);

  const fresh = await openid.refreshTokenGrant(config, tokens.refresh_token);
  assert.deepEqual([fresh.claims().sub, fresh.claims().auth_time], [claims.sub, claims.auth_time]);
  assert.notEqual(fresh.refresh_token, tokens.refresh_token, 'rotated');
  if (introspects) {
    const said = await openid.tokenIntrospection(config, fresh.access_token);
    assert.deepEqual([said.active, said.sub, said.client_id], [true, claims.sub, id]);
  }

  await openid.tokenRevocation(config, fresh.access_token);
  if (introspects) assert.deepEqual(await openid.tokenIntrospection(config, fresh.access_token), { active: false });
  await assert.rejects(openid.fetchUserInfo(config, fresh.access_token, claims.sub), { status: 401 });

  const again = await signIn(page, config, { phone: false, prompt: 'none' });
  assert.equal(again.claims().sub, claims.sub);

  const state = openid.randomState();
  const out = { post_logout_redirect_uri: `${app.address}/bye`, id_token_hint: again.id_token, state };
  await page.goto(openid.buildEndSessionUrl(config, out).href);
  await page.waitForURL(`${app.address}/bye?state=${state}`);
  assert.equal(await session(page, server), 401);
  await assert.rejects(signIn(page, config, { phone: false, prompt: 'none' }), { error: 'login_required' });
  await assert.rejects(openid.refreshTokenGrant(config, fresh.refresh_token), { error: 'invalid_grant' });
}

describe('openid-client', () => {
  test('over http on the loopback, RS256, its secret by Basic', () =>
    wholeLife(plain, 'rs256', { auth: openid.ClientSecretBasic(SECRET) }));

  test('over TLS behind nginx, ES256, its secret in the body', () =>
    wholeLife(tls, 'es256', {
      metadata: { id_token_signed_response_alg: 'ES256' },
      auth: openid.ClientSecretPost(SECRET),
    }));

  test('over TLS behind nginx, EdDSA, without a secret', () =>
    wholeLife(tls, 'eddsa', {
      metadata: { id_token_signed_response_alg: 'EdDSA' },
      auth: openid.None(),
      introspects: false,
    }));

  test('a wrong secret is refused, and the code is not lost by it', async () => {
    const right = await discover(plain, 'rs256', {}, openid.ClientSecretBasic(SECRET));
    const wrong = await discover(plain, 'rs256', {}, openid.ClientSecretBasic('another secret altogether'));
    const answer = await answered(await visit(), right);
    await assert.rejects(openid.authorizationCodeGrant(wrong, ...answer), ({ status, cause }) => {
      assert.deepEqual([status, cause[0].scheme], [401, 'basic']);
      return true;
    });
    assert.ok((await openid.authorizationCodeGrant(right, ...answer)).claims().sub);
  });
});

// ---- Auth.js --------------------------------------------------------------------------------------------------------------

const authProvider = (id, clientId) => ({
  id,
  name: id.toUpperCase(),
  type: 'oidc',
  issuer: plain.address,
  clientId,
  clientSecret: SECRET,
  checks: ['pkce', 'state', 'nonce'],
});

/** What Auth.js says of an answer that it does not take. */
const refusals = [];

const authConfig = () => ({
  logger: { error: () => {}, debug: (what, detail) => what === 'OAuthCallbackError' && refusals.push(detail) },
  secret: 'of the session cookie of the app, 32 or more',
  trustHost: true,
  providers: [authProvider('max', 'blog'), authProvider('till', 'till')],
  callbacks: {
    // Without a database Auth.js makes up an id at each sign-in; what stays is the account's.
    jwt: ({ token, account }) => (account ? { ...token, sub: account.providerAccountId } : token),
    session: ({ session, token }) => ({ ...session, user: { ...session.user, id: token.sub } }),
  },
});

/** A page that says who is signed in, and /auth/, which is all Auth.js. */
async function throughAuthJs(request, response) {
  const url = new URL(request.url, authjs.address);
  const headers = Object.fromEntries(Object.entries(request.headers).filter(([name]) => name !== 'connection'));
  if (!url.pathname.startsWith('/auth/')) {
    const answer = await Auth(new Request(`${authjs.address}/auth/session`, { headers }), authConfig());
    const { user } = (await answer.json()) ?? {};
    response.end(user ? `<h1>${user.name}</h1><p>${user.id}</p>` : '<a href="/auth/signin">Sign in</a>');
    return;
  }
  const body = request.method === 'POST' ? await new Response(request).text() : undefined;
  const answer = await Auth(new Request(url, { method: request.method, headers, body }), authConfig());
  response.statusCode = answer.status;
  for (const [name, value] of answer.headers) if (name !== 'set-cookie') response.setHeader(name, value);
  response.setHeader('set-cookie', answer.headers.getSetCookie());
  response.end(await answer.text());
}

describe('Auth.js', () => {
  test('from its button to the name of who signed in, and out again', async () => {
    const page = await visit();
    await page.goto(authjs.address);
    await page.getByText('Sign in').click();
    await page.getByRole('button', { name: 'Sign in with MAX' }).click();
    await page.getByText('Блог').waitFor();
    await scan(emulator);
    await page.waitForURL(`${authjs.address}/`);
    const who = await session(page, plain);
    await page.getByRole('heading', { name: who.name }).waitFor();
    await page.getByText(who.sub, { exact: true }).waitFor();
    await screenshot(page, 'oidc-authjs');
    await page.goto(`${authjs.address}/auth/signout`);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByText('Sign in').waitFor();
  });
  test('who may not sign in comes back to the page with the button, which says that it failed', async () => {
    const page = await visit();
    await page.goto(`${authjs.address}/auth/signin`);
    await page.getByRole('button', { name: 'Sign in with TILL' }).click();
    await scan(emulator);
    await page.getByRole('button', { name: 'Вернуться' }).click();
    await page.waitForURL(`${authjs.address}/auth/signin?error=OAuthCallbackError`);
    await page.getByText('Try signing in with a different account').waitFor();
    assert.deepEqual(
      refusals.map(({ providerId, error }) => [providerId, error]),
      [['till', 'access_denied']],
    );
  });
});
