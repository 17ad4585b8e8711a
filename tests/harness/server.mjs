// The three programs of a sign-in: max-auth itself, its emulator of MAX, and the independent fake MAX.

import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BINARY, DOUBLES, python } from './paths.mjs';
import { fetchWhole } from './http.mjs';
import { freePort, launch, tempFolder } from './process.mjs';
import { eventually } from './time.mjs';

export const BASE_PATH = '/api/auth/max';

/**
 * Starts `max-auth serve`. `settings` are configuration keys by their environment names without the prefix, e.g.
 * {LOGIN_TTL: '3s'}; `upstream` is a list of [url, dialect]. `shell` is run before it in the shell that becomes the server:
 * `ulimit -n 400`.
 */
export async function startServer({
  upstream,
  publicUrl,
  settings = {},
  state = tempFolder('state'),
  port,
  opsPort,
  args = [],
  shell,
} = {}) {
  port ??= await freePort();
  opsPort ??= await freePort();
  const address = `http://127.0.0.1:${port}`;
  const endpoints = upstream?.map(([url, dialect]) => `{ url = "${url}", dialect = "${dialect}" }`);
  const env = environment({
    SERVER_LISTEN: `127.0.0.1:${port}`,
    SERVER_OPS_LISTEN: `127.0.0.1:${opsPort}`,
    SERVER_PUBLIC_URL: publicUrl ?? address,
    STORE_PATH: state,
    LOGIN_STARTS_PER_MINUTE: '0',
    LOG_LEVEL: 'trace',
    ...(endpoints ? { UPSTREAM_ENDPOINTS: `[${endpoints.join(', ')}]` } : {}),
    ...settings,
  });
  const ops = `http://127.0.0.1:${opsPort}`;
  const command = shell
    ? ['sh', ['-c', `${shell} && exec "$0" "$@"`, BINARY, 'serve', ...args]]
    : [BINARY, ['serve', ...args]];
  const running = await launch('max-auth serve', ...command, {
    env,
    ready: () =>
      eventually(async () => (await fetchWhole(`${ops}/healthz`, { ms: 3000 })).status === 200, 'healthz', 30_000),
    startMs: 35_000,
  });
  return Object.assign(running, {
    port,
    state,
    address,
    ops,
    base: (publicUrl ?? address) + BASE_PATH,
    /** The base address without any proxy. */
    direct: address + BASE_PATH,
    metrics: async () => (await fetchWhole(`${ops}/metrics`)).text,
  });
}

/** The environment of a server: nothing of ours but what is asked for, whatever the developer's shell says. */
export function environment(settings) {
  const clean = Object.fromEntries(
    Object.keys(process.env)
      .filter((name) => /^MAX_AUTH_/.test(name))
      .map((name) => [name, undefined]),
  );
  const ours = Object.fromEntries(Object.entries(settings).map(([key, value]) => [`MAX_AUTH_${key}`, value]));
  return { ...clean, ...ours };
}

/** Starts `max-auth emulate`. Knows the phone. */
export async function startEmulator({ args = [], pollMs = 50, token, port } = {}) {
  port ??= await freePort();
  const address = `http://127.0.0.1:${port}`;
  const running = await launch(
    'max-auth emulate',
    BINARY,
    [
      'emulate',
      '--listen',
      `127.0.0.1:${port}`,
      '--poll-ms',
      String(pollMs),
      ...(token ? ['--token', token] : []),
      ...args,
    ],
    {
      env: environment({}),
      ready: () =>
        eventually(
          async () => (await fetchWhole(`${address}/phone/stats`, { ms: 3000 })).status === 200,
          '/phone/stats',
          30_000,
        ),
      startMs: 35_000,
    },
  );
  const phone = async (path, json) => {
    const answer = await fetchWhole(`${address}/phone${path}`, {
      method: json === undefined && !/^\/(approve|decline|expire)/.test(path) ? 'GET' : 'POST',
      headers: json === undefined ? {} : { 'content-type': 'application/json' },
      body: json === undefined ? undefined : JSON.stringify(json),
    });
    if (answer.status >= 300) throw new Error(`/phone${path}: ${answer.status} ${answer.text}`);
    return answer.text ? answer.json : undefined;
  };
  return Object.assign(running, {
    port,
    address,
    url: `ws://127.0.0.1:${port}/websocket`,
    approve: (track) => phone(`/approve/${track}`),
    decline: (track) => phone(`/decline/${track}`),
    expire: (track) => phone(`/expire/${track}`),
    codes: async () => (await phone('/codes')).codes,
    stats: () => phone('/stats'),
    /** Replaces the fault script. */
    fault: (...faults) => phone('/fault', { faults }),
  });
}

/** Starts the fake MAX in Python. Reads its frame log. */
export async function startFakeMax({ scenario = 'ok', args = [], pollMs = 30, approveAfter = 2 } = {}) {
  const port = await freePort();
  const log = join(tempFolder('fake-max'), 'frames.jsonl');
  const running = await launch(
    'fake_max.py',
    python('.venv'),
    [
      join(DOUBLES, 'fake_max.py'),
      '--port',
      String(port),
      '--scenario',
      scenario,
      '--poll-ms',
      String(pollMs),
      '--approve-after',
      String(approveAfter),
      '--log',
      log,
      ...args,
    ],
    { env: { PYTHONUNBUFFERED: '1', PYTHONDONTWRITEBYTECODE: '1' }, ready: (self) => self.printed(/fake MAX on/) },
  );
  return Object.assign(running, {
    port,
    url: `ws://127.0.0.1:${port}/websocket`,
    frames: () => (existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean).map(JSON.parse) : []),
    /** What the client sent, in order, as {opcode, cmd, seq, ver, payload}, whatever the dialect. */
    received() {
      return this.frames()
        .filter(({ ev }) => ev === 'in')
        .map((line) => line.decoded ?? JSON.parse(line.raw));
    },
  });
}
