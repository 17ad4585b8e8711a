// OpenID Connect at three nodes over one Redis: any node goes on with what another began, keys change under load, and nothing of it is
// readable anywhere.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import * as oidc from '../harness/app.mjs';
import { SECRET, form } from '../harness/app.mjs';
import { startCluster } from '../harness/cluster.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { BINARY } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { CALLBACK, startProvider } from '../harness/provider.mjs';
import { environment } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';

/** Logins while keys change. */
const LOGINS = Number(process.env.LOGINS ?? 1000);

const cleanup = new Cleanup();
after(() => cleanup.run());

let site, provider, found;
before(async () => {
  provider = await startProvider(cleanup, async ({ emulator, settings }) => {
    site = await startCluster({ cleanup, emulator, settings: { LOG_LEVEL: 'trace', ...settings } });
    return { address: new URL(site.base).origin, base: site.base, stop: () => {} };
  });
  ({ found } = provider);
});

/** An endpoint at one node, past the balancer. */
const at = (node, endpoint) => endpoint.replace(new URL(endpoint).origin, new URL(node.base).origin);

const secrets = new Set([SECRET]);
const fields = (code, verifier) => ({
  grant_type: 'authorization_code',
  code,
  redirect_uri: CALLBACK,
  ...(verifier && { code_verifier: verifier }),
});

test('a code of one node is redeemed at another and refreshed at a third', async () => {
  const [, second, third] = site.nodes;
  const who = provider.visitor();
  const verifier = randomBytes(32).toString('base64url');
  const asked = oidc.request(found, { address: '' }, 'basic', { redirect_uri: CALLBACK, scope: 'openid profile' });
  const { code } = await provider.answered(who, asked.params);
  secrets.add(code).add(asked.verifier).add(verifier);
  for (const cookie of who.jar.values()) secrets.add(cookie);
  const first = await form(at(second, found.token_endpoint), fields(code, asked.verifier), provider.basic('basic'));
  assert.equal(first.status, 200, first.text);
  const refresh = (token) => ({ grant_type: 'refresh_token', refresh_token: token });
  const later = await form(at(third, found.token_endpoint), refresh(first.json.refresh_token), provider.basic('basic'));
  assert.equal(later.status, 200, later.text);
  for (const { json } of [first, later])
    secrets.add(json.access_token).add(json.refresh_token).add(json.id_token.split('.')[2]);
  const headers = { authorization: `Bearer ${later.json.access_token}` };
  const info = await Promise.all(site.nodes.map((node) => fetchWhole(at(node, found.userinfo_endpoint), { headers })));
  const { sub } = await oidc.claimsOf(found, later.json.id_token);
  assert.deepEqual(
    info.map(({ json }) => json.sub),
    [sub, sub, sub],
  );
});

test('of twelve redemptions at all nodes at once one wins, and its tokens die', async () => {
  const { who } = await provider.known();
  const { code } = await provider.answered(who, provider.asked());
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      form(at(site.nodes[index % 3], found.token_endpoint), fields(code), provider.basic('basic')),
    ),
  );
  const won = answers.filter(({ status }) => status === 200);
  assert.ok(won.length <= 1, 'one of twelve');
  for (const { json } of answers.filter(({ status }) => status !== 200)) assert.equal(json.error, 'invalid_grant');
  for (const { json } of won) {
    const headers = { authorization: `Bearer ${json.access_token}` };
    assert.equal((await fetchWhole(found.userinfo_endpoint, { headers })).status, 401, 'the others were replays');
  }
});

test(`no signature fails in ${LOGINS} logins while keys change`, async () => {
  const { who } = await provider.known();
  let [done, lookups, keys] = [0, 0, []];
  // As libraries do it: the list is kept, and fetched again for a key that is not in it.
  const key = async (kid) => {
    if (!keys.some((each) => each.kid === kid)) {
      lookups += 1;
      ({ keys } = (await fetchWhole(found.jwks_uri)).json);
    }
    return keys.find((each) => each.kid === kid);
  };
  const rotate = async (node) => {
    const env = environment({ SERVER_OPS_LISTEN: `127.0.0.1:${node.opsPort}` });
    const { code, stderr } = await run(BINARY, ['keys', 'rotate', '--now'], { env });
    assert.equal(code, 0, stderr);
  };
  const kids = new Set();
  const worker = async () => {
    while (done < LOGINS) {
      const number = (done += 1);
      if (number % 250 === 0) await rotate(site.nodes[(number / 250) % 3]);
      const { code } = await provider.answered(who, provider.asked({ prompt: 'none' }));
      const { json } = await provider.redeem(code);
      const { kid } = JSON.parse(Buffer.from(json.id_token.split('.')[0], 'base64url'));
      kids.add(kid);
      assert.ok(await key(kid), `${kid} is published`);
      await oidc.claimsOf(found, json.id_token, keys);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  assert.ok(kids.size > LOGINS / 250 - 1, `${kids.size} keys signed`);
  assert.ok(lookups <= kids.size + 8, `the list was fetched ${lookups} times`);
});

test('nothing of it is in a log, in metrics or in Redis', async () => {
  const texts = [
    ...site.nodes.map((node) => node.server.output),
    ...(await Promise.all(site.nodes.map((node) => node.server.metrics()))),
    site.redis.everything(),
  ];
  assert.ok(texts.join('').length > 100_000, 'there is something to look through');
  for (const secret of secrets) {
    for (const text of texts) assert.ok(!text.includes(secret), `${secret.slice(0, 8)}… was found`);
  }
});
