// An app that nobody registered: its client_id is the address of a document about it, which a real https server has.

import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import { after, before, describe, test } from 'node:test';
import * as oidc from '../harness/app.mjs';
import { startBrowser, screenshot } from '../harness/browser.mjs';
import { authority } from '../harness/certificate.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { freePort } from '../harness/process.mjs';
import { startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, scan } from '../harness/story.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let emulator, app, browser, upstream, host, ca;
const asked = [];
before(async () => {
  emulator = cleanup.add(await startEmulator());
  app = cleanup.add(await oidc.startApp());
  browser = cleanup.add(await startBrowser());
  upstream = [[emulator.url, 'binary']];
  ca = authority();
  const port = await freePort();
  host = `https://localhost:${port}`;
  const documents = {
    '/client.json': (id) => ({ client_id: id, client_name: 'Ваш банк', redirect_uris: [`${app.address}/cb`] }),
    '/other.json': () => ({ client_id: `${host}/client.json`, redirect_uris: [`${app.address}/cb`] }),
    '/long.json': (id) => ({ client_id: id, redirect_uris: [`${app.address}/cb`], more: 'x'.repeat(6000) }),
  };
  const server = createServer({ key: ca.key, cert: ca.cert }, (request, response) => {
    asked.push(request.url);
    if (request.url === '/moved.json') return response.writeHead(302, { location: `${host}/client.json` }).end();
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(documents[request.url]?.(`${host}${request.url}`) ?? {}));
  });
  await new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  cleanup.add({ stop: () => new Promise((resolve) => server.close(resolve)) });
});

const start = async (settings) => {
  const server = cleanup.add(await startServer({ upstream, settings: { UPSTREAM_CA_FILE: ca.root, ...settings } }));
  return (await fetchWhole(`${server.address}/.well-known/openid-configuration`)).json;
};

const ON = { OIDC_CLIENT_ID_METADATA_DOCUMENTS: 'true' };
const NEAR = { ...ON, OIDC_CLIENT_ID_METADATA_NETWORKS: '["127.0.0.0/8", "::1/128"]' };

describe('an app that nobody registered', () => {
  test('signs people in, who are asked and see its host', async () => {
    const found = await start(NEAR);
    assert.equal(found.client_id_metadata_document_supported, true);
    assert.ok(found.token_endpoint_auth_methods_supported.includes('none'));
    const visitor = cleanup.add(await browser.profile({ viewport: { width: 390, height: 844 } }));
    const page = await visitor.page();
    const request = oidc.request(found, app, `${host}/client.json`, { scope: 'openid profile' });
    const begun = await page.goto(request.url);
    assert.equal(begun.status(), 200, await page.content());
    await scan(emulator);
    await page.getByRole('button', { name: 'Продолжить' }).waitFor();
    assert.match(await page.content(), /localhost:\d+/);
    assert.doesNotMatch(await page.content(), /банк/, 'a name of its own choice');
    await screenshot(page, 'oidc-document');
    await page.getByRole('button', { name: 'Продолжить' }).click();
    const { params } = await app.next(page);
    const tokens = await fetchWhole(found.token_endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        client_id: `${host}/client.json`,
        code: params.code,
        redirect_uri: request.params.redirect_uri,
        code_verifier: request.verifier,
      }).toString(),
    });
    assert.equal(tokens.status, 200, tokens.text);
    const claims = await oidc.claimsOf(found, tokens.json.id_token);
    assert.equal(claims.aud, `${host}/client.json`);
    assert.ok(claims.name);
    for (const path of ['/other.json', '/long.json', '/moved.json']) {
      const refused = await fetchWhole(oidc.request(found, app, host + path).url);
      assert.equal(refused.status, 400, path);
    }
    assert.deepEqual(
      asked,
      ['/client.json', '/other.json', '/long.json', '/moved.json'],
      'once each, nothing followed',
    );
  });

  test('is asked only where it is public, unless its network is named', async () => {
    asked.length = 0;
    for (const settings of [ON, {}]) {
      const found = await start(settings);
      assert.equal(found.client_id_metadata_document_supported, settings === ON ? true : undefined);
      const refused = await fetchWhole(oidc.request(found, app, `${host}/client.json`).url);
      assert.equal(refused.status, 400);
    }
    assert.deepEqual(asked, []);
  });
});
