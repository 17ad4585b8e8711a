// The modules of the OpenID Foundation's conformance plans for signing out (RP-Initiated Logout, Back-Channel Logout), each by its name.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oidc from '../harness/app.mjs';
import { BYE } from '../harness/provider.mjs';
import { eventually } from '../harness/time.mjs';
import { startProvider } from '../harness/provider.mjs';
import { Cleanup } from '../harness/story.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let found, server, told, visitor, tokens;
before(async () => ({ found, server, told, visitor, tokens } = await startProvider(cleanup)));

const EVENT = 'http://schemas.openid.net/event/backchannel-logout';

describe('RP-Initiated Logout OP', () => {
  /** Somebody who is signed in, asks to leave, and where that leads. */
  async function leaving(params) {
    const who = visitor();
    const { id_token: hint } = await tokens(who);
    const query = new URLSearchParams(params(hint)).toString();
    const answer = await who.request(`${found.end_session_endpoint}?${query}`, { headers: { origin: undefined } });
    return { who, answer, session: async () => (await who.session()).status };
  }

  test('oidcc-rp-initiated-logout-discovery-endpoint-verification', () => {
    assert.ok(found.end_session_endpoint.startsWith(found.issuer));
  });

  test('oidcc-rp-initiated-logout', async () => {
    const { answer, session } = await leaving((hint) => ({
      id_token_hint: hint,
      post_logout_redirect_uri: BYE,
      state: 'x&y',
    }));
    assert.deepEqual([answer.status, answer.headers.location], [303, `${BYE}?state=x%26y`]);
    assert.equal(await session(), 401);
  });

  for (const [name, params] of [
    [
      'bad-post-logout-redirect-uri',
      (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: 'https://evil.example/' }),
    ],
    [
      'modified-id-token-hint',
      (hint) => ({ id_token_hint: hint.slice(0, -8) + 'AAAAAAAA', post_logout_redirect_uri: BYE }),
    ],
    [
      'query-added-to-post-logout-redirect-uri',
      (hint) => ({ id_token_hint: hint, post_logout_redirect_uri: `${BYE}?x=1` }),
    ],
    ['bad-id-token-hint', () => ({ id_token_hint: 'no token', post_logout_redirect_uri: BYE })],
    ['no-id-token-hint', () => ({ post_logout_redirect_uri: BYE })],
  ]) {
    test(`oidcc-rp-initiated-logout-${name}`, async () => {
      const { answer, session } = await leaving(params);
      assert.equal(answer.headers.location, undefined, 'it leads nowhere');
      assert.equal(answer.status, 400, answer.text);
      assert.equal(await session(), 200, 'and nothing was ended');
    });
  }

  for (const [name, params] of [
    ['no-params', () => ({})],
    ['only-state', () => ({ state: 's' })],
  ]) {
    test(`oidcc-rp-initiated-logout-${name}`, async () => {
      const { who, answer, session } = await leaving(params);
      assert.match(answer.text, /name="answer" value="yes"/, 'they are asked');
      assert.equal(await session(), 200);
      const left = await who.request(`${server.address}/oauth2/leave`, {
        method: 'POST',
        headers: { origin: server.address, 'content-type': 'application/x-www-form-urlencoded' },
        body: 'answer=yes',
      });
      assert.deepEqual([left.status, await session()], [200, 401]);
    });
  }

  test('oidcc-rp-initiated-logout-no-post-logout-redirect-uri', async () => {
    const { answer, session } = await leaving((hint) => ({ id_token_hint: hint }));
    assert.deepEqual([answer.status, answer.headers.location, await session()], [200, undefined, 401]);
  });

  test('oidcc-rp-initiated-logout-no-state', async () => {
    const { answer, session } = await leaving((hint) => ({ id_token_hint: hint, post_logout_redirect_uri: BYE }));
    assert.deepEqual([answer.headers.location, await session()], [BYE, 401]);
  });
});

describe('Back-Channel OP', () => {
  test('oidcc-backchannel-logout-discovery-endpoint-verification', () => {
    assert.deepEqual([found.backchannel_logout_supported, found.backchannel_logout_session_supported], [true, true]);
  });

  test('oidcc-backchannel-rp-initiated-logout', async () => {
    const who = visitor();
    const first = await tokens(who, {}, 'other');
    told.heard.splice(0);
    const query = new URLSearchParams({ id_token_hint: first.id_token, post_logout_redirect_uri: BYE });
    await who.request(`${found.end_session_endpoint}?${query}`, { headers: { origin: undefined } });
    const { type, body } = await eventually(async () => told.heard[0], 'the logout token', 10_000);
    assert.equal(type, 'application/x-www-form-urlencoded');
    const token = body.get('logout_token');
    assert.equal(JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).typ, 'logout+jwt');
    const claims = await oidc.claimsOf(found, token);
    assert.deepEqual(
      [claims.iss, claims.aud, claims.sub, claims.sid],
      [found.issuer, 'other', first.claims.sub, first.claims.sid],
    );
    assert.ok(claims.jti && claims.iat && claims.exp - claims.iat <= 120 && !('nonce' in claims));
    assert.deepEqual(claims.events, { [EVENT]: {} });
  });
});
