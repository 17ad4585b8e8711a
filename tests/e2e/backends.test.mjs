// The snippets of docs/how-to/backends.md, taken out of it and run: who is signed in is let in, whatever is not quite a token of
// this site is not.

import assert from 'node:assert/strict';
import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { fetchWhole } from '../harness/http.mjs';
import { ROOT, python } from '../harness/paths.mjs';
import { freePort, launch, tempFolder } from '../harness/process.mjs';
import { Cleanup, signIn, startPair } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const DOCUMENT = readFileSync(join(ROOT, 'docs/how-to/backends.md'), 'utf8');

/** The fenced block whose first line names this file. */
function snippet(file) {
  const blocks = [...DOCUMENT.matchAll(/^```\w+\n(.*?)^```$/gms)].map(([, text]) => text);
  const found = blocks.find((text) => /^(#|\/\/) (lib\/)?([\w.-]+);/.exec(text)?.[3] === file);
  assert.ok(found, `docs/how-to/backends.md has a block for ${file}`);
  return found;
}

/** Each: the file of the document, a program of ours that serves /me with it, and how that is started. */
const BACKENDS = [
  {
    name: 'Express',
    file: 'max-auth.mjs',
    program: process.execPath,
    main: [
      'main.mjs',
      `import { createServer } from 'node:http';
import { signedIn } from './max-auth.mjs';
createServer((request, response) =>
  signedIn(request, response, () => response.end(JSON.stringify({ sub: request.user.sub }))),
).listen(Number(process.env.PORT), '127.0.0.1');
`,
    ],
  },
  {
    name: 'Django',
    file: 'max_auth.py',
    program: python('.venv-backends'),
    main: [
      'main.py',
      `import os
from wsgiref.simple_server import make_server
from django.conf import settings
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=['*'])
import django
django.setup()
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path
from max_auth import signed_in

@signed_in
def me(request):
    return JsonResponse({'sub': request.max_user['sub']})

urlpatterns = [path('me', me)]
make_server('127.0.0.1', int(os.environ['PORT']), get_wsgi_application()).serve_forever()
`,
    ],
  },
  {
    name: 'Rails',
    file: 'max_auth.rb',
    program: '/usr/bin/ruby',
    needs: ['/usr/share/doc/ruby-jwt', '/usr/share/doc/ruby-webrick'],
    main: [
      'main.rb',
      `require 'webrick'
require_relative 'max_auth'
server = WEBrick::HTTPServer.new(Port: ENV['PORT'].to_i, BindAddress: '127.0.0.1', AccessLog: [])
server.mount_proc('/me') do |request, response|
  user = MaxAuth.user(request['Authorization'])
  response.status = 401 unless user
  response.body = JSON.generate(sub: user['sub']) if user
end
server.start
`,
    ],
  },
];

const cleanup = new Cleanup();
after(() => cleanup.run());

const base64 = (value) => Buffer.from(value).toString('base64url');

/** An issuer of our own, whose tokens can be wrong in any one way. */
async function startIssuer() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const keys = [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' }];
  const server = createServer((request, response) => {
    if (request.url !== '/oauth2/jwks') response.statusCode = 404;
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ keys }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const now = Math.floor(Date.now() / 1000);
  const token = (claims = {}, head = {}, key = privateKey) => {
    const said = { iss: issuer, aud: issuer, sub: '7', iat: now, exp: now + 300, ...claims };
    const signed = [{ alg: 'RS256', typ: 'JWT', kid: 'one', ...head }, said]
      .map((part) => base64(JSON.stringify(part)))
      .join('.');
    const signature = {
      RS256: () => sign('sha256', Buffer.from(signed), key),
      // The public key, which everybody has, as the secret of another algorithm.
      HS256: () =>
        createHmac('sha256', publicKey.export({ type: 'spki', format: 'pem' }))
          .update(signed)
          .digest(),
      none: () => '',
    }[head.alg ?? 'RS256'];
    return `${signed}.${base64(signature())}`;
  };
  return { issuer, token, now, stranger, stop: () => server.close() };
}

let server, person, own;
before(async () => {
  const pair = await startPair(cleanup);
  server = pair.server;
  person = (await signIn({ emulator: pair.emulator, base: server.base })).visitor;
  own = cleanup.add(await startIssuer());
});

async function startBackend({ name, file, program, main: [main, text] }, site) {
  const folder = tempFolder('backend');
  writeFileSync(join(folder, file), snippet(file));
  writeFileSync(join(folder, main), text);
  symlinkSync(join(ROOT, 'tests/node_modules'), join(folder, 'node_modules'));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}/me`;
  const answers = () => eventually(async () => (await fetchWhole(url)).status === 401, `${name} to answer`, 20_000);
  const running = await launch(name, program, [join(folder, main)], {
    cwd: folder,
    env: { PORT: String(port), MAX_AUTH_PUBLIC_URL: site, PYTHONDONTWRITEBYTECODE: '1' },
    ready: answers,
    startMs: 25_000,
  });
  cleanup.add(running);
  return async (token) => {
    const { status, text } = await fetchWhole(url, { headers: { authorization: `Bearer ${token}` } });
    return status === 200 ? JSON.parse(text).sub : status;
  };
}

for (const backend of BACKENDS) {
  const missing = [backend.program, ...(backend.needs ?? [])].find((file) => !existsSync(file));
  describe(backend.name, { skip: missing && `${missing} is not here` }, () => {
    test('lets in who is signed in, by both ways to a token', async () => {
      const ask = await startBackend(backend, server.address);
      const { token } = (await person.request('/session?token=1')).json;
      assert.equal(await ask(token), '401041669');
      assert.equal(await ask((await person.request('/verify?token=1')).headers['x-auth-token']), '401041669');
      const [head, payload, signature] = token.split('.');
      const other = base64(Buffer.from(payload, 'base64url').toString().replace('401041669', '401041660'));
      assert.equal(await ask(`${head}.${other}.${signature}`), 401, 'somebody else');
      assert.equal(await ask(own.token({ iss: server.address, aud: server.address })), 401, 'of another key');
    });

    test('refuses each token that is wrong in one thing', async () => {
      const { issuer, token, now, stranger } = own;
      const ask = await startBackend(backend, issuer);
      assert.equal(await ask(token()), '7');
      for (const [what, wrong] of [
        ['of an app', token({ aud: 'grafana' })],
        ['for nobody', token({ aud: undefined })],
        ['of another site', token({ iss: 'https://example.ru' })],
        ['over', token({ iat: now - 900, exp: now - 600 })],
        ['without an end', token({ exp: undefined })],
        ['about nobody', token({ sub: undefined })],
        ['unsigned', token({}, { alg: 'none' })],
        ['signed with what is public', token({}, { alg: 'HS256' })],
        ["signed with a stranger's key", token({}, {}, stranger)],
        ['of a key that is not listed', token({}, { kid: 'two' })],
        ['no token', 'x'],
        ['nothing', ''],
      ]) {
        assert.equal(await ask(wrong), 401, what);
      }
      assert.equal(await ask(token()), '7', 'still');
    });
  });
}

test('a backend that listens refuses a token as soon as its session is over', async () => {
  const folder = tempFolder('backend');
  for (const file of ['max-auth.mjs', 'max-auth-logout.mjs']) writeFileSync(join(folder, file), snippet(file));
  writeFileSync(
    join(folder, 'main.mjs'),
    `import { createServer } from 'node:http';
import { signedIn } from './max-auth.mjs';
import { isOver, loggedOut } from './max-auth-logout.mjs';
createServer(async (request, response) => {
  if (request.url === '/me')
    return signedIn(request, response, () => {
      response.statusCode = isOver(request.user) ? 401 : 200;
      response.end();
    });
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  request.body = Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString()));
  return loggedOut(request, response);
}).listen(Number(process.env.PORT), '127.0.0.1');
`,
  );
  symlinkSync(join(ROOT, 'tests/node_modules'), join(folder, 'node_modules'));
  const port = await freePort();
  const told = `http://127.0.0.1:${port}/max-auth/logout`;
  const pair = await startPair(cleanup, { settings: { SESSION_BACKCHANNEL_LOGOUT_URI: told } });
  const me = async (token) =>
    (await fetchWhole(`http://127.0.0.1:${port}/me`, { headers: { authorization: `Bearer ${token}` } })).status;
  cleanup.add(
    await launch('Express', process.execPath, [join(folder, 'main.mjs')], {
      cwd: folder,
      env: { PORT: String(port), MAX_AUTH_PUBLIC_URL: pair.server.address, MAX_AUTH_LOGOUT_URI: told },
      ready: () => eventually(async () => (await me('x')) === 401, 'the backend to answer', 20_000),
    }),
  );
  const tokenOf = async (visitor) => (await visitor.request('/session?token=1')).json.token;
  const [one, other] = [
    (await signIn({ emulator: pair.emulator, base: pair.server.base })).visitor,
    (await signIn({ emulator: pair.emulator, base: pair.server.base })).visitor,
  ];
  const [token, kept] = [await tokenOf(one), await tokenOf(other)];
  assert.deepEqual([await me(token), await me(kept)], [200, 200]);
  assert.equal((await one.request('/logout', { method: 'POST' })).status, 204);
  await eventually(async () => (await me(token)) === 401, 'the backend to know', 5_000);
  assert.equal(await me(kept), 200, 'another session of the same person');
  const answers = async (logout_token) =>
    (await fetchWhole(told, { method: 'POST', body: new URLSearchParams({ logout_token }).toString() })).status;
  assert.equal(await answers(kept), 400, 'an identity token ends nothing');
  assert.equal(await answers('x'), 400);
  assert.equal(await me(kept), 200);
});
