// The provider as conformance tests see it: a visitor without a browser, an app without a library, and an address at which an app hears of
// sign-outs.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import * as oidc from './app.mjs';
import { SECRET, form } from './app.mjs';
import { fetchWhole } from './http.mjs';
import { freePort } from './process.mjs';
import { startEmulator, startServer } from './server.mjs';
import { Visitor, trackOf } from './visitor.mjs';

export const CALLBACK = 'https://app.example.ru/cb';
export const BYE = 'https://app.example.ru/bye';

/** The address at which the second app hears of sign-outs. */
async function startListener() {
  const heard = [];
  const port = await freePort();
  const http = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    heard.push({ type: request.headers['content-type'], body: new URLSearchParams(Buffer.concat(chunks).toString()) });
    response.writeHead(200).end();
  });
  await new Promise((resolve) => http.listen(port, '127.0.0.1', resolve));
  return { address: `http://127.0.0.1:${port}`, heard, stop: () => new Promise((resolve) => http.close(resolve)) };
}

/**
 * Two clients: `basic`, which may have everything, and `other`, which hears of sign-outs. `start` gives a server, or a site of
 * several nodes.
 */
export async function startProvider(cleanup, start = startServer) {
  const emulator = cleanup.add(await startEmulator());
  const told = cleanup.add(await startListener());
  const common = `secret = "${SECRET}", redirect_uris = ["${CALLBACK}", "${CALLBACK}?own=1"], post_logout_redirect_uris = ["${BYE}"]`;
  const all = 'scopes = ["openid", "profile", "email", "phone", "groups", "offline_access"], email = "synthetic"';
  const grants = 'grants = ["authorization_code", "refresh_token"]';
  const clients = [
    `{ id = "basic", ${common}, ${all}, pkce = "optional", ${grants} }`,
    `{ id = "other", ${common}, pkce = "optional", ${grants}, backchannel_logout_uri = "${told.address}/out" }`,
  ];
  const upstream = [[emulator.url, 'binary']];
  const server = cleanup.add(
    await start({ upstream, emulator, settings: { OIDC_CLIENTS: `[${clients.join(', ')}]` } }),
  );
  const found = (await fetchWhole(`${server.address}/.well-known/openid-configuration`)).json;

  const visitor = () => new Visitor(server.base);

  /** What an app asks for: `undefined` takes a parameter away. */
  function asked(more = {}, client = 'basic') {
    const params = {
      client_id: client,
      redirect_uri: CALLBACK,
      response_type: 'code',
      scope: 'openid',
      state: 'a state',
      nonce: 'a nonce',
      ...more,
    };
    return Object.fromEntries(Object.entries(params).filter(([, value]) => value !== undefined));
  }

  /** Where `/authorize` leads: to the sign-in, to a page, or back with an answer. */
  async function authorize(who, params, { post = false } = {}) {
    const query = new URLSearchParams(params).toString();
    const options = post
      ? {
          method: 'POST',
          headers: { origin: 'https://app.example.ru', 'content-type': 'application/x-www-form-urlencoded' },
          body: query,
        }
      : { headers: { origin: undefined } };
    const answer = await who.request(found.authorization_endpoint + (post ? '' : `?${query}`), options);
    return post && answer.status === 303 ? led(await follow(who, answer)) : led(answer);
  }

  const follow = (who, answer) =>
    who.request(new URL(answer.headers.location, server.address).href, { headers: { origin: undefined } });

  function led(answer) {
    const to = answer.headers.location ?? '';
    const login = to.match(/\/login\?request=([\w-]+)$/);
    if (login) return { login: login[1] };
    if (to.startsWith('https://app.example.ru/')) {
      const url = new URL(to);
      return { back: url.origin + url.pathname, params: Object.fromEntries(url.searchParams) };
    }
    return { status: answer.status, text: answer.text, to };
  }

  /** Scans, and goes the way back to the app; what the app is told. */
  async function signIn(who, request) {
    const page = await who.startPage({ request });
    const stream = who.pages(page.login, page.next);
    const seen = page.events.find(({ event }) => event === 'qr') ?? (await stream.until('qr'));
    await emulator.approve(trackOf(seen));
    const success = await stream.outcome();
    assert.equal(success.event, 'success');
    let answer = await who.request(success.data.redirect, { headers: { origin: undefined } });
    for (let hops = 0; hops < 3 && answer.headers.location?.startsWith('/'); hops++) answer = await follow(who, answer);
    if (answer.status === 200) answer = await agree(who, answer);
    return led(answer).params;
  }

  /** The question whether the app may know is answered with yes. */
  async function agree(who, page) {
    const id = page.text.match(/name="request" value="([\w-]+)"/)[1];
    return who.request(`${server.address}/oauth2/answer`, {
      method: 'POST',
      headers: { origin: server.address, 'content-type': 'application/x-www-form-urlencoded' },
      body: `request=${id}&answer=yes`,
    });
  }

  /** The whole way, with a scan where one is asked for: what the app is told. */
  async function answered(who, params, options) {
    const first = await authorize(who, params, options);
    if (first.login) return signIn(who, first.login);
    if (first.params) return first.params;
    assert.equal(first.status, 200, first.text);
    return led(await agree(who, first)).params;
  }

  const basic = (client) => ({
    authorization: `Basic ${Buffer.from(`${client}:${encodeURIComponent(SECRET)}`).toString('base64')}`,
  });

  const redeem = (code, more = {}, client = 'basic') =>
    form(
      found.token_endpoint,
      { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, ...more },
      basic(client),
    );

  /** Tokens and the claims of the ID token. */
  async function tokens(who, more = {}, client = 'basic') {
    const { code, error } = await answered(who, asked(more, client));
    assert.ok(code, error);
    const answer = await redeem(code, more.redirect_uri ? { redirect_uri: more.redirect_uri } : {}, client);
    assert.equal(answer.status, 200, answer.text);
    return { ...answer.json, claims: await oidc.claimsOf(found, answer.json.id_token) };
  }

  const userinfo = (token, options = {}) =>
    fetchWhole(found.userinfo_endpoint, { headers: { authorization: `Bearer ${token}` }, ...options });

  /** A session that other tests look at and leave as it is. */
  let kept;
  const known = () =>
    (kept ??= (async () => {
      const who = visitor();
      return { who, first: await tokens(who, { scope: 'openid' }) };
    })());

  return { found, server, told, visitor, asked, authorize, signIn, answered, basic, redeem, tokens, userinfo, known };
}
