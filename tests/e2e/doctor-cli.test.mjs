// The command line of `max-auth doctor`: certificates, exit codes, what it refuses, what it compares.

import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { createServer as httpServer } from 'node:http';
import { createServer as httpsServer } from 'node:https';
import { connect, createServer as tcpServer } from 'node:net';
import { readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { BINARY } from '../harness/paths.mjs';
import { freePort, launch, run, tempFolder } from '../harness/process.mjs';
import { startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

const folder = tempFolder('doctor-cli');
const file = (name) => `${folder}/${name}`;
const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore', cwd: folder });
const doctor = (...args) =>
  run(BINARY, ['doctor', ...args], { env: { LANG: 'C', LC_ALL: '', SSL_CERT_FILE: '' }, ms: 60_000 });

const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** A certificate of our authority, valid from and until what is said (YYYYMMDD). */
function issue(name, { from, until, host = 'localhost' }) {
  writeFileSync(file(`${name}.ext`), `subjectAltName=DNS:${host}\nbasicConstraints=CA:FALSE\n`);
  openssl('req', ...EC, '-subj', `/CN=${host}`, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`));
  openssl(
    'ca',
    '-batch',
    '-config',
    file('ca.cnf'),
    '-startdate',
    `${from}000000Z`,
    '-enddate',
    `${until}000000Z`,
    '-extfile',
    file(`${name}.ext`),
    '-in',
    file(`${name}.csr`),
    '-out',
    file(`${name}.pem`),
    '-notext',
  );
}

before(() => {
  openssl(
    'req',
    '-x509',
    ...EC,
    '-days',
    '2',
    '-subj',
    '/CN=A test root',
    '-keyout',
    file('root.key'),
    '-out',
    file('root.pem'),
  );
  writeFileSync(file('index.txt'), '');
  writeFileSync(
    file('ca.cnf'),
    `[ca]\ndefault_ca=c\n[c]\ndatabase=${file('index.txt')}\nnew_certs_dir=${folder}\nrand_serial=yes
default_md=sha256\npolicy=p\nprivate_key=${file('root.key')}\ncertificate=${file('root.pem')}\nunique_subject=no\n[p]\ncommonName=supplied\n`,
  );
  const [year] = new Date().toISOString().split('-').map(Number);
  issue('good', { from: `${year - 1}0101`, until: `${year + 2}0101` });
  issue('expired', { from: `${year - 3}0101`, until: `${year - 1}0101` });
  issue('future', { from: `${year + 1}0101`, until: `${year + 2}0101` });
  issue('other', { from: `${year - 1}0101`, until: `${year + 2}0101`, host: 'other.example' });
  for (const [name, authority] of [
    ['self', 'FALSE'],
    ['self-ca', 'TRUE'],
  ]) {
    writeFileSync(
      file('req.cnf'),
      `[req]\ndistinguished_name=d\nx509_extensions=e\n[d]\n[e]\nsubjectAltName=DNS:localhost\nbasicConstraints=CA:${authority}\n`,
    );
    openssl(
      'req',
      '-x509',
      ...EC,
      '-config',
      file('req.cnf'),
      '-days',
      '2',
      '-subj',
      '/CN=localhost',
      '-keyout',
      file(`${name}.key`),
      '-out',
      file(`${name}.pem`),
    );
  }
});

function listen(server) {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(server.address().port));
    cleanup.add({
      stop: () => {
        server.closeAllConnections();
        server.close();
      },
    });
  });
}

/** A site over TLS that knows no max-auth. */
const site = (name) =>
  listen(
    httpsServer({ key: readFileSync(file(`${name}.key`)), cert: readFileSync(file(`${name}.pem`)) }, (_, answer) => {
      answer.statusCode = 404;
      answer.end('nothing here');
    }),
  );

const found = ({ stdout }) => JSON.parse(stdout).findings[0];

for (const [name, words] of [
  ['good', /nobody knows who issued.*--ca-file.*--insecure/],
  ['expired', /certificate expired \d+ days ago.*--insecure/],
  ['future', /not yet valid, for \d+ more days.*--insecure/],
  ['self', /is self-signed.*--ca-file.*--insecure/],
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
  assert.equal(
    found(await doctor('--json', '--ca-file', file('root.pem'), `https://localhost:${port}`)).code,
    'not-routed',
  );
  const env = { LANG: 'C', SSL_CERT_FILE: file('root.pem') };
  assert.equal(found(await run(BINARY, ['doctor', '--json', `https://localhost:${port}`], { env })).code, 'not-routed');
  for (const name of ['self', 'self-ca']) {
    const own = await site(name);
    assert.equal(
      found(await doctor('--json', '--ca-file', file(`${name}.pem`), `https://localhost:${own}`)).code,
      'not-routed',
      name,
    );
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
  const port = await listen(
    httpServer((request, answer) => {
      answer.writeHead(301, { location: `http://${request.headers.host}${request.url}` });
      answer.end();
    }),
  );
  const told = await doctor('--json', `http://127.0.0.1:${port}`);
  assert.equal(told.code, 2);
  assert.equal(found(told).code, 'redirect-loop');
  assert.match(found(told).evidence, /to itself/);
});

test('what cannot be asked is 3, with the reason', async () => {
  writeFileSync(file('empty.pem'), '');
  for (const [args, words] of [
    [[], /required/],
    [['http://'], /empty host/],
    [['ftp://example.ru'], /begins with http/],
    [['http://127.0.0.1:99999'], /port/],
    [['http://127.0.0.1:1', '--hop', 'ftp://x'], /begins with http/],
    [['--nonsense'], /unexpected argument/],
    [['http://127.0.0.1:1', '--ca-file', file('none.pem')], /none\.pem/],
    [['http://127.0.0.1:1', '--ca-file', file('empty.pem')], /no certificate/],
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
  const asked = (url) =>
    run(BINARY, ['doctor', '--upstream', '--json'], {
      env: { LANG: 'C', MAX_AUTH_UPSTREAM_ENDPOINTS: `[{ url = "${url}", dialect = "binary" }]` },
      ms: 60_000,
    });
  const fine = await asked(emulator.url);
  const report = JSON.parse(fine.stdout);
  assert.deepEqual(
    [fine.code, report.delivered, report.transport, report.url, report.upstream.reachable],
    [0, null, null, null, true],
    fine.output,
  );
  assert.match(report.upstream.endpoints[0], /a code after/);
  const none = await asked(`ws://127.0.0.1:${await freePort()}/websocket`);
  assert.deepEqual([none.code, JSON.parse(none.stdout).upstream.reachable], [2, false], none.output);
});

test('--explain tells the page, and the nearest for a slip', async () => {
  const told = await doctor('--explain', 'ws-frames-held');
  assert.equal(told.code, 0);
  assert.match(told.stdout, /^ws-frames-held\n[^]*\*\*The line\.\*\*/);
  const slip = await doctor('--explain', 'bufered');
  assert.equal(slip.code, 3);
  assert.match(slip.stderr, /nearest is buffered/);
  assert.equal((await doctor('--explain', 'buffered', 'http://127.0.0.1:1')).code, 3);
});

/** A max-auth behind a middle whose WebSockets can be taken away. */
async function line() {
  const emulator = cleanup.add(await startEmulator({ pollMs: 20 }));
  const server = cleanup.add(await startServer({ upstream: [[emulator.url, 'binary']] }));
  const { hostname, port } = new URL(server.direct);
  const state = { sockets: true };
  const open = new Set();
  const middle = tcpServer((visitor) => {
    const inner = connect(Number(port), hostname);
    for (const [from, to] of [
      [visitor, inner],
      [inner, visitor],
    ]) {
      open.add(from);
      from
        .on('error', () => to.destroy())
        .on('close', () => {
          open.delete(from);
          to.destroy();
        });
    }
    visitor.on('data', (bytes) =>
      inner.write(state.sockets ? bytes : bytes.toString('latin1').replace(/^upgrade:.*\r\n/im, ''), 'latin1'),
    );
    inner.pipe(visitor);
  });
  await new Promise((resolve) => middle.listen(0, '127.0.0.1', resolve));
  cleanup.add({
    stop: () => {
      for (const socket of open) socket.destroy();
      middle.close();
    },
  });
  return { url: `http://127.0.0.1:${middle.address().port}`, state };
}

test('--save and --against tell what changed since it worked', async () => {
  const { url, state } = await line();
  const before = await doctor(url, '--json', '--save', file('saved.json'));
  const same = await doctor(url, '--against', file('saved.json'));
  assert.match(same.stdout, /since it was saved: nothing changed/);
  assert.equal(same.code, before.code, same.output);
  state.sockets = false;
  const worse = await doctor(url, '--json', '--against', file('saved.json'));
  const { changes, findings } = JSON.parse(worse.stdout);
  assert.deepEqual(changes.transport, { was: 'websocket', is: 'sse' });
  assert.ok(
    changes.appeared.some((name) => name.startsWith('fault ws-upgrade-not-passed')),
    worse.stdout,
  );
  assert.equal(worse.code, 1);
  for (const finding of findings) assert.match(finding.who, /^(you|your hoster|nobody)\b/);

  writeFileSync(file('foreign.json'), '{"name":"package"}');
  for (const [args, words] of [
    [[url, '--against', file('foreign.json')], /foreign\.json is no report of this doctor/],
    [[url, '--against', file('none.json')], /none\.json/],
    [['http://127.0.0.1:1', '--against', file('saved.json')], /was saved of http:.*is asked now/],
    [['--upstream', '--save', file('x.json')], /required/],
    [[url, '--save', '/nowhere/x.json'], /\/nowhere\/x\.json/],
  ]) {
    const refused = await doctor(...args);
    assert.equal(refused.code, 3, refused.output);
    assert.match(refused.stderr, words);
  }
});

test('the report speaks the language that LANG or --lang names; a file gets no colours and no progress', async () => {
  const url = `http://127.0.0.1:${await freePort()}`;
  const with_ = (env, ...args) =>
    run(BINARY, ['doctor', url, ...args], { env: { LC_ALL: '', LC_MESSAGES: '', ...env } });
  for (const [told, words] of [
    [await with_({ LANG: 'ru_RU.UTF-8' }), /Посетители не могут войти/],
    [await with_({ LANG: 'C' }), /Visitors cannot sign in/],
    [await with_({ LANG: 'C' }, '--lang', 'ru'), /доставка: никак/],
    [await with_({ LANG: 'ru' }, '--lang', 'en'), /delivered by: none/],
  ]) {
    assert.match(told.stdout, words);
    assert.equal(told.stderr, '');
    assert.doesNotMatch(told.stdout, /\u001b/);
  }
});

// Whatever the machine that runs the tests says of colours.
const terminals = spawnSync('script', ['-qec', 'true', '/dev/null']).status === 0;
const onTerminal = (command, env = {}) =>
  run('script', ['-qec', command, '/dev/null'], {
    env: { LANG: 'C', LC_ALL: '', NO_COLOR: undefined, TERM: 'xterm', ...env },
    ms: 60_000,
  });

test('on a terminal it shows what has answered', { skip: !terminals && 'no script(1) here' }, async () => {
  const { url } = await line();
  const told = await onTerminal(`${BINARY} doctor ${url}`);
  for (const part of ['path to max-auth', 'WebSocket', 'event streams', 'pages and posts']) {
    assert.match(told.stdout, new RegExp(`\\.\\.\\. ${part} +answered after \\d`));
  }
  assert.ok(told.stdout.indexOf('answered after') < told.stdout.indexOf('max-auth doctor http'), told.stdout);
  const colour = /\u001b\[[0-9;]*m/;
  assert.match(told.stdout, colour);
  assert.doesNotMatch((await onTerminal(`${BINARY} doctor ${url}`, { NO_COLOR: '1' })).stdout, colour);
});

test('--slow says how long still', { skip: !terminals && 'no script(1) here' }, async () => {
  const { url } = await line();
  const told = await onTerminal(`timeout 8 ${BINARY} doctor --slow ${url}`);
  assert.match(told.stdout, /still 6[0-9] s/);
});

test('--watch marks the first change, until Ctrl-C', async () => {
  const { url, state } = await line();
  const watching = await launch('max-auth doctor', BINARY, ['doctor', '--watch', url], {
    env: { LANG: 'C', LC_ALL: '' },
    ready: (self) => self.printed(/long-poll +\d+ ms/, 20_000),
  });
  cleanup.add(watching);
  assert.match(watching.output, /websocket +\d+ ms\nsse +\d+ ms\n/);
  state.sockets = false;
  await watching.printed(/websocket +does not get through +<- first change \+0:\d\d, was \d+ ms/, 40_000);
  assert.equal((await watching.stop('SIGINT')).code, 1);
});
