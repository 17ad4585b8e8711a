// Floods from one address, each bounded in count and time: visitors from another sign in meanwhile as if there were none,
// and what the flood took is given back.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import http2 from 'node:http2';
import net from 'node:net';
import { after, before, describe, test } from 'node:test';
import { fetchWhole } from '../harness/http.mjs';
import { BASE_PATH, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, signIn } from '../harness/story.mjs';
import { deadline, eventually, pause } from '../harness/time.mjs';
import { Visitor } from '../harness/visitor.mjs';

/** File descriptors of the server, as on a small machine where nobody raised the limit. */
const FILES = 400;
/** From src/server/listener.rs: of those, what is for browsers; a private address that is no listed proxy may have half. */
const CONNECTIONS = FILES - 128 - Math.floor((FILES - 128) / 3);
const ONE_ADDRESS = CONNECTIONS / 2;
/** The flood's address; visitors come from 127.0.0.1. */
const FLOOD = '127.0.0.2';

const cleanup = new Cleanup();
after(() => cleanup.run());
let emulator;
let server;
let usual;
let idle;
let memory;
before(async () => {
  emulator = cleanup.add(await startEmulator());
  server = cleanup.add(
    await startServer({
      upstream: [[emulator.url, 'json']],
      shell: `ulimit -n ${FILES}`,
      // So that addresses are counted at all.
      settings: { SERVER_TRUSTED_PROXIES: '[]', LOG_LEVEL: 'info' },
    }),
  );
  await signInTime(server);
  usual = Math.max(...(await Promise.all([signInTime(server), signInTime(server)])));
  idle = idleHttp2(server.port);
  memory = residentKiB(server);
});

const residentKiB = ({ child }) =>
  Number(readFileSync(`/proc/${child.pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+)/m)[1]);

async function signInTime(at) {
  const began = performance.now();
  await signIn({ emulator, base: at.base, how: 'page' });
  return performance.now() - began;
}

/**
 * A visitor by each transport, and the operator: a second each, or what a slow machine makes of it. A machine that is busy
 * with something else is late once; a server that a flood holds is late each time.
 */
async function othersNoticeNothing(at = server) {
  const limit = Math.max(1000, 8 * usual);
  for (const how of ['page', 'ws', 'sse']) {
    const took = [];
    do {
      const began = performance.now();
      await signIn({ emulator, base: at.base, how });
      took.push(Math.round(performance.now() - began));
    } while (took.at(-1) > limit && took.length < 3);
    assert.ok(took.at(-1) <= limit, `${how}: sign-ins took ${took} ms`);
  }
  assert.equal((await fetchWhole(`${at.ops}/healthz`, { ms: limit })).status, 200);
}

const metric = async (at, pattern) => Number((await at.metrics()).match(pattern)?.[1] ?? 0);
const openConnections = (at) => metric(at, /^max_auth_connections_open (\d+)/m);

/** Sockets of the flood. `open` counts those that the server has not closed. */
class Flood {
  sockets = new Set();
  text = '';

  /** For one test; nothing of it outlives that, whatever becomes of it. */
  constructor(test) {
    test.after(() => {
      for (const socket of this.sockets) socket.destroy();
    });
  }

  async connect(count, port, { reads = true, begin = () => {} } = {}) {
    for (let done = 0; done < count; done += 100) {
      await Promise.all(Array.from({ length: Math.min(100, count - done) }, () => this.#one(port, reads, begin)));
    }
  }

  #one(port, reads, begin) {
    return new Promise((resolve) => {
      const socket = net.connect({ port, host: '127.0.0.1', localAddress: FLOOD });
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        this.sockets.delete(socket);
        resolve();
      });
      if (reads)
        socket.on('data', (data) => {
          if (this.text.length < 1e6) this.text += data.toString('latin1');
        });
      socket.once('connect', () => {
        begin(socket);
        // Whoever has no place is told at once.
        setTimeout(resolve, 20);
      });
    });
  }

  get open() {
    return this.sockets.size;
  }

  write(text) {
    for (const socket of this.sockets) socket.write(text);
  }

  closed(ms, what) {
    return eventually(() => this.open === 0, `${what} to be closed; ${this.open} are open`, ms, 100);
  }

  async end() {
    for (const socket of this.sockets) socket.destroy();
    await this.closed(5000, 'our own sockets');
  }
}

const POST = (path, cookie) =>
  `POST ${BASE_PATH}${path} HTTP/1.1\r\nHost: x\r\nCookie: ${cookie}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n`;

/** A connection that asks once, then answers pings for ever. */
function idleHttp2(port) {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => {});
  const asked = new Promise((resolve, reject) => {
    const stream = session.request({ ':path': `${BASE_PATH}/session` });
    stream.on('error', reject);
    stream.resume().on('end', resolve);
  });
  const began = performance.now();
  const closed = new Promise((resolve) => session.on('close', () => resolve(performance.now() - began)));
  return { asked, closed, stop: () => session.destroy() };
}

describe(`with ${FILES} file descriptors`, { concurrency: false }, () => {
  test('3 000 sockets of one address', async (t) => {
    const flood = new Flood(t);
    await flood.connect(3000, server.port);
    // On a busy machine we hear of the last refusals a little later.
    await eventually(() => flood.open <= ONE_ADDRESS, `no more than ${ONE_ADDRESS} sockets to have a place`, 5000);
    assert.ok(flood.open > ONE_ADDRESS / 2, `only ${flood.open} have one: the rest of this proves nothing`);
    await othersNoticeNothing();
    assert.ok((await metric(server, /^max_auth_connections_refused_total\{why="address"\} (\d+)/m)) >= 2800);
    const warnings = server.output.match(/a connection was refused/g) ?? [];
    assert.ok(warnings.length <= 2, `${warnings.length} warnings of one kind`);
    // Nothing was ever asked on them.
    await flood.closed(30_000, 'connections without a request');
  });

  test('slow heads', async (t) => {
    const flood = new Flood(t);
    await flood.connect(ONE_ADDRESS, server.port, {
      begin: (socket) => socket.write(`GET ${BASE_PATH}/session HTTP/1.1\r\n`),
    });
    assert.ok(flood.open > ONE_ADDRESS / 2);
    const drip = setInterval(() => flood.write('X-A: b\r\n'), 1000);
    try {
      await othersNoticeNothing();
      await flood.closed(30_000, 'slow heads');
    } finally {
      clearInterval(drip);
    }
  });

  test('slow bodies', async (t) => {
    const flood = new Flood(t);
    // All that reads a body, the password form of a login that is waiting included.
    const visitor = new Visitor(server.base);
    const { login } = await visitor.startPage();
    const paths = ['', '/login', `/${login}/wait`, `/${login}/password`];
    let number = 0;
    const begin = (socket) => socket.write(POST(paths[number++ % paths.length], visitor.jar.header));
    await flood.connect(60, server.port, { begin });
    const drip = setInterval(() => flood.write('x'), 1000);
    try {
      await othersNoticeNothing();
      await flood.closed(25_000, 'slow bodies');
    } finally {
      clearInterval(drip);
    }
    assert.equal(flood.text.match(/HTTP\/1\.1 408 /g)?.length, 60);
    assert.match(flood.text, /body-timeout/);
  });

  test('readers who never read', async (t) => {
    const flood = new Flood(t);
    const asks = `GET ${BASE_PATH}/client.js HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(400);
    await flood.connect(20, server.port, { reads: false, begin: (socket) => socket.pause().write(asks) });
    await othersNoticeNothing();
    assert.ok(flood.open > 0);
    // A socket that is not read does not see its end: the server's count does.
    await eventually(
      async () => (await openConnections(server)) <= 3,
      'connections that nobody reads to be closed',
      40_000,
      500,
    );
    await flood.end();
    assert.ok((await metric(server, /^max_auth_connections_ended_total\{why="not-read"\} (\d+)/m)) >= 20);
  });

  test('HTTP/2 streams without a window', async () => {
    const before = residentKiB(server);
    const sessions = Array.from({ length: 40 }, () => {
      const session = http2.connect(`http://127.0.0.1:${server.port}`, {
        localAddress: FLOOD,
        settings: { initialWindowSize: 0 },
      });
      session.on('error', () => {});
      return session;
    });
    let closed = 0;
    for (const session of sessions) {
      session.on('close', () => {
        closed += 1;
      });
      for (let stream = 0; stream < 64; stream++)
        session.request({ ':path': `${BASE_PATH}/widget.js` }).on('error', () => {});
    }
    try {
      // Asking so often is work; the rest of this is about what stays.
      const asked = () =>
        metric(server, /^max_auth_requests_total\{method="GET",route="[^"]*\/widget\.js",status="200"\} (\d+)/m);
      await eventually(async () => (await asked()) >= 64 * sessions.length, 'all of it to be asked', 20_000);
      await othersNoticeNothing();
      const each = (residentKiB(server) - before) / sessions.length;
      assert.ok(each < 256, `${each.toFixed()} KiB a connection`);
      await eventually(() => closed === sessions.length, 'connections that take nothing to be closed', 50_000, 250);
    } finally {
      for (const session of sessions) session.destroy();
    }
  });

  test('an HTTP/2 connection that only answers pings is closed', async () => {
    await idle.asked;
    const lived = await deadline(idle.closed, 100_000, 'an idle connection to be closed');
    assert.ok(lived > 60_000, `closed after ${lived} ms: proxies keep idle connections for a minute`);
  });

  test('afterwards everything is given back', async () => {
    await eventually(async () => (await openConnections(server)) <= 1, 'connections to be given back');
    await othersNoticeNothing();
    const grown = residentKiB(server) - memory;
    assert.ok(grown < 24 * 1024, `${grown} KiB more than before`);
    assert.doesNotMatch(server.output, /panicked|Too many open files/);
  });
});

describe('a log that nobody reads', () => {
  test('stops nothing, and says so once somebody reads it', async () => {
    const quiet = cleanup.add(
      await startServer({ upstream: [[emulator.url, 'json']], settings: { LOG_LEVEL: 'debug' } }),
    );
    quiet.child.stderr.pause();
    // A line each: what fits into the pipe, into Node and into the queue, and as much again.
    const asks = `GET ${BASE_PATH}/session HTTP/1.1\r\nHost: x\r\n\r\n`.repeat(30_000);
    const socket = net.connect({ port: quiet.port, host: '127.0.0.1' });
    let answers = 0;
    socket.on('data', (data) => {
      answers += data.toString('latin1').split('HTTP/1.1 401').length - 1;
    });
    socket.write(asks);
    await eventually(() => answers > 29_000, 'all answers', 60_000);
    socket.destroy();
    await othersNoticeNothing(quiet);
    const dropped = await metric(quiet, /^max_auth_log_lines_dropped_total (\d+)/m);
    assert.ok(dropped > 1000, `${dropped} lines dropped`);
    quiet.child.stderr.resume();
    await quiet.printed(/log lines were dropped, because nobody read standard error.*lines=\d+/);
    await pause(0);
    const from = quiet.output.length;
    await signInTime(quiet);
    await quiet.printed(/signed in/, 10_000, from);
  });

  test('a thousand refused pages are one warning', async () => {
    const own = cleanup.add(await startServer({ upstream: [[emulator.url, 'json']], settings: { LOG_LEVEL: 'info' } }));
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(
        Array.from({ length: 100 }, () =>
          fetchWhole(`${own.direct}/logout`, { method: 'POST', headers: { origin: 'https://evil.example' } }),
        ),
      );
      assert.ok(answers.every(({ status }) => status === 403));
    }
    await othersNoticeNothing(own);
    const warnings = own.output.match(/a request was refused/g) ?? [];
    assert.ok(warnings.length >= 1 && warnings.length <= 2, `${warnings.length} warnings`);
    assert.match(await own.metrics(), /^max_auth_origin_refused_total 1000$/m);
  });
});
