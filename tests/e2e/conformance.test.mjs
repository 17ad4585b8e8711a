// The modules of the OpenID Foundation's conformance plans for a provider (Config, Basic, RP-Initiated Logout, Back-Channel Logout), each
// by its name, as checks of our own: a visitor without a browser, an app without a library. docs/openid.md lists them with what
// the security documents ask beside.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as oidc from '../harness/app.mjs';
import { SECRET, form } from '../harness/app.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { CALLBACK } from '../harness/provider.mjs';
import { pause } from '../harness/time.mjs';
import { startProvider } from '../harness/provider.mjs';
import { Cleanup } from '../harness/story.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let found, server, visitor, asked, authorize, signIn, answered, basic, redeem, tokens, userinfo, known;
before(
  async () =>
    ({ found, server, visitor, asked, authorize, signIn, answered, basic, redeem, tokens, userinfo, known } =
      await startProvider(cleanup)),
);

describe('Config OP', () => {
  test('oidcc-discovery-endpoint-verification', async () => {
    assert.equal(found.issuer, server.address);
    for (const name of ['authorization', 'token', 'userinfo', 'revocation', 'introspection', 'end_session'])
      assert.ok(found[`${name}_endpoint`].startsWith(`${found.issuer}/`), name);
    assert.deepEqual(found.response_types_supported, ['code']);
    assert.ok(found.id_token_signing_alg_values_supported.includes('RS256'));
    assert.ok(found.subject_types_supported.includes('pairwise') && found.scopes_supported.includes('openid'));
    assert.equal(found.request_parameter_supported, false);
    assert.equal(found.request_uri_parameter_supported, false);
    const { keys } = (await fetchWhole(found.jwks_uri)).json;
    assert.ok(keys.every(({ kid, use, d }) => kid && use === 'sig' && d === undefined));
    const oauth = await fetchWhole(`${server.address}/.well-known/oauth-authorization-server`);
    assert.deepEqual(oauth.json, found);
  });
});

describe('Basic OP', () => {
  // Begun first, ended last: 30 seconds lie between.
  let early;
  before(async () => {
    const who = visitor();
    const { code } = await answered(who, asked());
    const first = await redeem(code);
    early = { code, token: first.json.access_token, at: Date.now() };
  });

  test('oidcc-server', async () => {
    const { claims, token_type: type } = await tokens(visitor());
    assert.deepEqual([claims.iss, claims.aud, claims.nonce, type], [found.issuer, 'basic', 'a nonce', 'Bearer']);
    assert.ok(claims.exp > claims.iat && claims.auth_time <= claims.iat && claims.sub.length <= 255);
  });

  test('oidcc-response-type-missing', async () => {
    const { params } = await authorize(visitor(), asked({ response_type: undefined }));
    assert.deepEqual([params.error, params.state, params.iss], ['invalid_request', 'a state', found.issuer]);
  });

  test('oidcc-idtoken-signature', async () => {
    const { id_token: token } = (await known()).first;
    assert.equal(JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).alg, 'RS256');
    assert.ok(await oidc.claimsOf(found, token));
  });

  test('oidcc-idtoken-unsigned', () => {
    assert.ok(!found.id_token_signing_alg_values_supported.includes('none'));
  });

  test('oidcc-userinfo-get', async () => {
    const { first } = await known();
    assert.equal((await userinfo(first.access_token)).json.sub, first.claims.sub);
  });

  test('oidcc-userinfo-post-header', async () => {
    const { first } = await known();
    assert.equal(
      (
        await userinfo(first.access_token, {
          method: 'POST',
          headers: { authorization: `Bearer ${first.access_token}` },
        })
      ).json.sub,
      first.claims.sub,
    );
  });

  test('oidcc-userinfo-post-body', async () => {
    const { first } = await known();
    assert.equal(
      (await form(found.userinfo_endpoint, { access_token: first.access_token })).json.sub,
      first.claims.sub,
    );
    const inAddress = await fetchWhole(`${found.userinfo_endpoint}?access_token=${first.access_token}`);
    assert.equal(inAddress.status, 401, 'never in the address (RFC 9700, 4.3.2)');
  });

  test('oidcc-ensure-request-without-nonce-succeeds-for-code-flow', async () => {
    const { claims } = await tokens((await known()).who, { nonce: undefined });
    assert.ok(!('nonce' in claims));
  });

  for (const [scope, claims] of [
    ['profile', ['name', 'given_name', 'family_name', 'preferred_username', 'updated_at']],
    ['email', ['email', 'email_verified']],
    ['address', []],
    ['phone', []],
    ['all', ['name', 'email', 'groups']],
  ]) {
    test(`oidcc-scope-${scope}`, async () => {
      const asks = scope === 'all' ? 'openid profile email address phone groups' : `openid ${scope}`;
      const { claims: said, access_token: token } = await tokens((await known()).who, { scope: asks });
      const info = (await userinfo(token)).json;
      for (const claim of claims) assert.ok(claim in said && claim in info, claim);
      for (const value of [...Object.values(said), ...Object.values(info)])
        assert.ok(value !== null && value !== '', 'absent rather than null or empty');
      if (claims.includes('email')) assert.equal(said.email_verified, false);
      if (claims.includes('updated_at')) assert.equal(typeof said.updated_at, 'number');
    });
  }

  test('oidcc-alternate-happy-flow', async () => {
    const own = `${CALLBACK}?own=1`;
    const params = await answered((await known()).who, asked({ redirect_uri: own, response_mode: 'query' }));
    assert.equal(params.own, '1', 'the query of a registered address is kept');
    assert.equal((await redeem(params.code, { redirect_uri: own })).status, 200);
  });

  for (const display of ['page', 'popup']) {
    test(`oidcc-display-${display}`, async () => {
      assert.ok((await answered((await known()).who, asked({ display }))).code);
    });
  }

  test('oidcc-prompt-login', async () => {
    const { who, first } = await known();
    const step = await authorize(who, asked({ prompt: 'login' }));
    assert.ok(step.login, 'a new scan, though there is a session');
    await pause(1100);
    const { code } = await signIn(who, step.login);
    const claims = await oidc.claimsOf(found, (await redeem(code)).json.id_token);
    assert.ok(claims.auth_time > first.claims.auth_time && claims.sub === first.claims.sub);
  });

  test('oidcc-prompt-none-not-logged-in', async () => {
    const { params } = await authorize(visitor(), asked({ prompt: 'none' }));
    assert.deepEqual([params.error, params.state], ['login_required', 'a state']);
  });

  test('oidcc-prompt-none-logged-in', async () => {
    const { who, first } = await known();
    const { params } = await authorize(who, asked({ prompt: 'none' }));
    const claims = await oidc.claimsOf(found, (await redeem(params.code)).json.id_token);
    assert.equal(claims.sub, first.claims.sub);
  });

  test('oidcc-max-age-1', async () => {
    const who = visitor();
    const first = await tokens(who);
    await pause(2100);
    const step = await authorize(who, asked({ max_age: '1' }));
    assert.ok(step.login, 'older than a second: a new scan');
    const claims = await oidc.claimsOf(found, (await redeem((await signIn(who, step.login)).code)).json.id_token);
    assert.ok(claims.auth_time > first.claims.auth_time);
  });

  test('oidcc-max-age-10000', async () => {
    const { who } = await known();
    const { params } = await authorize(who, asked({ max_age: '10000' }));
    assert.ok((await oidc.claimsOf(found, (await redeem(params.code)).json.id_token)).auth_time, 'without a scan');
  });

  test('oidcc-ensure-request-with-unknown-parameter-succeeds', async () => {
    assert.ok((await answered((await known()).who, asked({ extra: 'foobar' }))).code);
  });

  test('oidcc-id-token-hint', async () => {
    const { who, first } = await known();
    const { params } = await authorize(who, asked({ prompt: 'none', id_token_hint: first.id_token }));
    assert.ok(params.code);
    const forged = first.id_token.slice(0, -8) + 'AAAAAAAA';
    const refused = await authorize(who, asked({ prompt: 'none', id_token_hint: forged }));
    assert.equal(refused.params.error, 'invalid_request');
  });

  for (const [name, more] of [
    ['oidcc-login-hint', { login_hint: 'somebody@example.ru' }],
    ['oidcc-ui-locales', { ui_locales: 'se' }],
    ['oidcc-claims-locales', { claims_locales: 'se' }],
    ['oidcc-ensure-request-with-acr-values-succeeds', { acr_values: '1 2' }],
  ]) {
    test(name, async () => assert.ok((await answered((await known()).who, asked(more))).code));
  }

  test('oidcc-codereuse', async () => {
    const { code } = await answered((await known()).who, asked());
    assert.equal((await redeem(code)).status, 200);
    assert.equal((await redeem(code)).json.error, 'invalid_grant');
  });

  test('oidcc-ensure-registered-redirect-uri', async () => {
    for (const uri of ['https://evil.example/cb', `${CALLBACK}/`, `${CALLBACK}?x=1`, 'https://app.example.ru:443/cb']) {
      const page = await authorize(visitor(), asked({ redirect_uri: uri }));
      assert.deepEqual([page.status, page.to], [400, ''], `${uri} leads nowhere`);
    }
  });

  test('oidcc-ensure-post-request-succeeds', async () => {
    const who = visitor();
    assert.ok((await answered(who, asked(), { post: true })).code);
  });

  test('oidcc-server-client-secret-post', async () => {
    const { code } = await answered((await known()).who, asked());
    const fields = { grant_type: 'authorization_code', code, redirect_uri: CALLBACK, client_id: 'basic' };
    assert.equal(
      (await form(found.token_endpoint, { ...fields, client_secret: 'wrong' })).json.error,
      'invalid_client',
    );
    assert.equal((await form(found.token_endpoint, { ...fields, client_secret: SECRET })).status, 200);
  });

  const unsigned = (claims) =>
    `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`;

  test('oidcc-request-uri-unsigned-supported-correctly-or-rejected-as-unsupported', async () => {
    const { params } = await authorize(visitor(), asked({ request_uri: 'https://app.example.ru/request.jwt' }));
    assert.equal(params.error, 'request_uri_not_supported');
  });

  test('oidcc-unsigned-request-object-supported-correctly-or-rejected-as-unsupported', async () => {
    const { params } = await authorize(visitor(), asked({ request: unsigned({ scope: 'openid email' }) }));
    assert.equal(params.error, 'request_not_supported');
  });

  test('oidcc-claims-essential', async () => {
    const claims = JSON.stringify({ userinfo: { name: { essential: true } }, id_token: { address: null } });
    const { access_token: token } = await tokens((await known()).who, { claims });
    const info = (await userinfo(token)).json;
    assert.ok(info.name && !('address' in info));
  });

  test('oidcc-ensure-request-object-with-redirect-uri', async () => {
    const { params } = await authorize(
      visitor(),
      asked({ request: unsigned({ redirect_uri: 'https://evil.example/' }) }),
    );
    assert.equal(params.error, 'request_not_supported');
  });

  test('oidcc-refresh-token', async () => {
    const { who } = await known();
    const { refresh_token: first, claims } = await tokens(who, { scope: 'openid offline_access', prompt: 'consent' });
    const refresh = (token) =>
      form(found.token_endpoint, { grant_type: 'refresh_token', refresh_token: token }, basic('basic'));
    const second = (await refresh(first)).json;
    const later = await oidc.claimsOf(found, second.id_token);
    assert.deepEqual(
      [later.iss, later.sub, later.aud, later.auth_time],
      [claims.iss, claims.sub, claims.aud, claims.auth_time],
    );
    assert.ok(!('nonce' in later) && second.refresh_token !== first);
    const stolen = await form(
      found.token_endpoint,
      { grant_type: 'refresh_token', refresh_token: second.refresh_token },
      basic('other'),
    );
    assert.equal(stolen.json.error, 'invalid_grant', 'of another client');
    assert.equal((await refresh(second.refresh_token)).status, 200);
  });

  test('oidcc-ensure-request-with-valid-pkce-succeeds', async () => {
    const { params, verifier } = oidc.request(found, { address: '' }, 'basic', {
      redirect_uri: CALLBACK,
      scope: 'openid',
    });
    const { code } = await answered((await known()).who, params);
    assert.equal((await redeem(code, { code_verifier: 'x'.repeat(43) })).json.error, 'invalid_grant');
    assert.equal((await redeem(code, { code_verifier: verifier })).status, 200, 'a wrong try burns nothing');
  });

  test('oidcc-codereuse-30seconds', async () => {
    await pause(Math.max(0, early.at + 30_500 - Date.now()));
    assert.equal((await userinfo(early.token)).status, 200);
    assert.equal((await redeem(early.code)).json.error, 'invalid_grant');
    assert.equal((await userinfo(early.token)).status, 401, 'the first token dies with it');
  });
});
