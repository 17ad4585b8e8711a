// The command line of `max-auth doctor`: certificates, exit codes, what it refuses, what it compares.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createServer as httpServer } from 'node:http';
import { createServer as httpsServer } from 'node:https';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { BINARY } from './harness/paths.mjs';
import { freePort, run, tempFolder } from './harness/process.mjs';
import { startEmulator } from './harness/server.mjs';
import { Cleanup } from './harness/story.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

const folder = tempFolder('doctor-cli');
const file = (name) => `${folder}/${name}`;
const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore', cwd: folder });
const doctor = (...args) => run(BINARY, ['doctor', ...args], { env: { LANG: 'C', LC_ALL: '', SSL_CERT_FILE: '' }, ms: 60_000 });

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A certificate of our authority, valid from and until what is said (YYYYMMDD). */
function issue(name, { from, until, host = 'localhost' }) {
  writeFileSync(file(`${name}.ext`), `subjectAltName=DNS:${host}\nbasicConstraints=CA:FALSE\n`);
  openssl('req', ...EC, '-subj', `/CN=${host}`, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`));
  openssl('ca', '-batch', '-config', file('ca.cnf'), '-startdate', `${from}000000Z`, '-enddate', `${until}000000Z`,
    '-extfile', file(`${name}.ext`), '-in', file(`${name}.csr`), '-out', file(`${name}.pem`), '-notext');
}

before(() => {
  openssl('req', '-x509', ...EC, '-days', '2', '-subj', '/CN=A test root', '-keyout', file('root.key'), '-out', file('root.pem'));
  writeFileSync(file('index.txt'), '');
  writeFileSync(file('ca.cnf'), `[ca]\ndefault_ca=c\n[c]\ndatabase=${file('index.txt')}\nnew_certs_dir=${folder}\nrand_serial=yes
default_md=sha256\npolicy=p\nprivate_key=${file('root.key')}\ncertificate=${file('root.pem')}\nunique_subject=no\n[p]\ncommonName=supplied\n`);
  const [year] = new Date().toISOString().split('-').map(Number);
  issue('good', { from: `${year - 1}0101`, until: `${year + 2}0101` });
  issue('expired', { from: `${year - 3}0101`, until: `${year - 1}0101` });
  issue('future', { from: `${year + 1}0101`, until: `${year + 2}0101` });
  issue('other', { from: `${year - 1}0101`, until: `${year + 2}0101`, host: 'other.example' });
  for (const [name, authority] of [['self', 'FALSE'], ['self-ca', 'TRUE']]) {
    writeFileSync(file('req.cnf'), `[req]\ndistinguished_name=d\nx509_extensions=e\n[d]\n[e]\nsubjectAltName=DNS:localhost\nbasicConstraints=CA:${authority}\n`);
    openssl('req', '-x509', ...EC, '-config', file('req.cnf'), '-days', '2', '-subj', '/CN=localhost', '-keyout', file(`${name}.key`), '-out', file(`${name}.pem`));
  }
});

function listen(server) {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
    cleanup.add({ stop: () => { server.closeAllConnections(); server.close(); } });
  });
}

/** A site over TLS that knows no max-auth. */
const site = (name) => listen(httpsServer({ key: readFileSync(file(`${name}.key`)), cert: readFileSync(file(`${name}.pem`)) },
  (_, answer) => { answer.statusCode = 404; answer.end('nothing here'); }));

const found = ({ stdout }) => JSON.parse(stdout).findings[0];

for (const [name, words] of [
  ['good', /nobody knows who issued.*--ca-file.*--insecure/], ['expired', /certificate expired \d+ days ago.*--insecure/],
  ['future', /not yet valid, for \d+ more days.*--insecure/], ['self', /is self-signed.*--ca-file.*--insecure/],
  ['self-ca', /is self-signed.*--ca-file.*--insecure/],
]) {
  test(`certificate ${name}: in plain words`, async () => {
    const port = await site(name);
    const told = await doctor('--json', `https://localhost:${port}`);
    assert.equal(told.code, 2, told.output);
    assert.equal(found(told).code, 'tls');
    assert.match(found(told).evidence, words);
    // Behind it is a site without max-auth.
    assert.equal(found(await doctor('--json', '--insecure', `https://localhost:${port}`)).code, 'not-routed');
  });
}

test('a certificate for another name tells both', async () => {
  const port = await site('other');
  const told = await doctor('--json', '--ca-file', file('root.pem'), `https://localhost:${port}`);
  assert.match(found(told).evidence, /for another name: other\.example, not localhost/);
});

test('a private authority is accepted when it is named', async () => {
  const port = await site('good');
  assert.equal(found(await doctor('--json', '--ca-file', file('root.pem'), `https://localhost:${port}`)).code, 'not-routed');
  const env = { LANG: 'C', SSL_CERT_FILE: file('root.pem') };
  assert.equal(found(await run(BINARY, ['doctor', '--json', `https://localhost:${port}`], { env })).code, 'not-routed');
  for (const name of ['self', 'self-ca']) {
    const own = await site(name);
    assert.equal(found(await doctor('--json', '--ca-file', file(`${name}.pem`), `https://localhost:${own}`)).code, 'not-routed', name);
  }
});

test('a port that speaks something else than its address says', async () => {
  const plain = await listen(httpServer((_, answer) => answer.end('x')));
  const https = found(await doctor('--json', `https://127.0.0.1:${plain}`));
  assert.equal(https.code, 'tls');
  assert.match(https.evidence, /speaks plain HTTP/);
  const port = await site('good');
  const http = found(await doctor('--json', `http://localhost:${port}`));
  assert.equal(http.code, 'tls');
  assert.match(http.evidence, /speaks TLS, not plain HTTP: ask https:/);
});

test('a redirect to itself is told as such', async () => {
  const port = await listen(httpServer((request, answer) => {
    answer.writeHead(301, { location: `http://${request.headers.host}${request.url}` });
    answer.end();
  }));
  const told = await doctor('--json', `http://127.0.0.1:${port}`);
  assert.equal(told.code, 2);
  assert.equal(found(told).code, 'redirect-loop');
  assert.match(found(told).evidence, /to itself/);
});

test('what cannot be asked is 3, with the reason', async () => {
  writeFileSync(file('empty.pem'), '');
  for (const [args, words] of [
    [[], /required/], [['http://'], /empty host/], [['ftp://example.ru'], /begins with http/], [['http://127.0.0.1:99999'], /port/],
    [['http://127.0.0.1:1', '--hop', 'ftp://x'], /begins with http/], [['--nonsense'], /unexpected argument/],
    [['http://127.0.0.1:1', '--ca-file', file('none.pem')], /none\.pem/], [['http://127.0.0.1:1', '--ca-file', file('empty.pem')], /no certificate/],
    [['http://127.0.0.1:1', '--nginx', file('none.conf')], /none\.conf/],
  ]) {
    const told = await doctor(...args);
    assert.equal(told.code, 3, `${args}: ${told.output}`);
    assert.match(told.stderr, words);
  }
  assert.equal((await doctor('--help')).code, 0);
});

const alone = spawnSync('unshare', ['-rn', 'true']).status === 0;
test('a network that is down here is 3', { skip: !alone && 'no namespaces here' }, async () => {
  for (const url of ['http://192.0.2.1', 'http://name.invalid.example']) {
    const told = await run('unshare', ['-rn', BINARY, 'doctor', url], { env: { LANG: 'C' } });
    assert.equal(told.code, 3, told.output);
    assert.match(told.stderr, /network of this machine/);
  }
});

test('MAX alone: nothing is said of a line that was not asked', async () => {
  const emulator = cleanup.add(await startEmulator({ pollMs: 20 }));
  const asked = (url) => run(BINARY, ['doctor', '--upstream', '--json'], {
    env: { LANG: 'C', MAX_AUTH_UPSTREAM_ENDPOINTS: `[{ url = "${url}", dialect = "binary" }]` }, ms: 60_000,
  });
  const fine = await asked(emulator.url);
  const report = JSON.parse(fine.stdout);
  assert.deepEqual([fine.code, report.delivered, report.transport, report.url, report.upstream.reachable], [0, null, null, null, true], fine.output);
  assert.match(report.upstream.endpoints[0], /a code after/);
  const none = await asked(`ws://127.0.0.1:${await freePort()}/websocket`);
  assert.deepEqual([none.code, JSON.parse(none.stdout).upstream.reachable], [2, false], none.output);
});
