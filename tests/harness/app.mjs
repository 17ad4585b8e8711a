// An app of OpenID Connect without a library: what it asks for, what came back, and whether the signatures are right, by Node's own
// cryptography.

import assert from 'node:assert/strict';
import { createHash, createPublicKey, randomBytes, verify } from 'node:crypto';
import { createServer } from 'node:http';
import { fetchWhole } from './http.mjs';
import { freePort } from './process.mjs';
import { eventually } from './time.mjs';

export const SECRET = 'a secret of thirty-two characters';

/** An app that notes what comes to its address. */
export async function startApp() {
  const seen = [];
  let count = 0;
  const port = await freePort();
  const http = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const url = new URL(request.url, `http://127.0.0.1:${port}`);
    const params = request.method === 'POST' ? new URLSearchParams(Buffer.concat(chunks).toString()) : url.searchParams;
    count += 1;
    seen.push({
      count,
      path: url.pathname,
      method: request.method,
      params: Object.fromEntries(params),
      headers: request.headers,
    });
    response.setHeader('content-type', 'text/html');
    response.end(`<link rel="icon" href="data:,"><h1>answer ${count}</h1>`);
  });
  await new Promise((resolve) => http.listen(port, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${port}`,
    stop: () => new Promise((resolve) => http.close(resolve)),
    /** What came next; the page has come with it, so that it can be sent elsewhere. */
    next: async (page) => {
      const answer = await eventually(async () => seen.shift(), 'the app is asked', 15_000);
      await page.getByText(`answer ${answer.count}`, { exact: true }).waitFor();
      await page.waitForLoadState();
      return answer;
    },
    forget: () => seen.splice(0),
  };
}

/** What an app asks for, and what it keeps to redeem the answer. */
export function request(found, app, client, more = {}) {
  const verifier = randomBytes(32).toString('base64url');
  const params = {
    client_id: client,
    redirect_uri: `${app.address}/cb`,
    response_type: 'code',
    scope: 'openid profile email phone groups',
    state: randomBytes(8).toString('hex'),
    nonce: randomBytes(8).toString('hex'),
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  };
  return { client, verifier, params, url: `${found.authorization_endpoint}?${new URLSearchParams(params)}` };
}

export const form = (url, fields, headers = {}) =>
  fetchWhole(url, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(fields).toString(),
  });

export const redeem = (found, { client, verifier, params }, code) =>
  form(
    found.token_endpoint,
    { grant_type: 'authorization_code', code, redirect_uri: params.redirect_uri, code_verifier: verifier },
    { authorization: `Basic ${Buffer.from(`${client}:${encodeURIComponent(SECRET)}`).toString('base64')}` },
  );

/** The claims of a token, after its signature was checked: by `keys`, or by those that are published now. */
export async function claimsOf(found, token, keys) {
  const [header, payload, signature] = token.split('.');
  const { kid, alg } = JSON.parse(Buffer.from(header, 'base64url'));
  keys ??= (await fetchWhole(found.jwks_uri)).json.keys;
  const jwk = keys.find((key) => key.kid === kid);
  assert.ok(jwk, `${kid} is listed`);
  const key = { key: createPublicKey({ key: jwk, format: 'jwk' }), dsaEncoding: 'ieee-p1363' };
  const hash = alg === 'EdDSA' ? null : 'sha256';
  assert.ok(verify(hash, Buffer.from(`${header}.${payload}`), key, Buffer.from(signature, 'base64url')), alg);
  return JSON.parse(Buffer.from(payload, 'base64url'));
}
