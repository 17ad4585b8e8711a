// A proxy that nobody sells but everybody meets: simulated here, because no product can be configured into it.

import { createHash } from 'node:crypto';
import http from 'node:http';
import net from 'node:net';
import zlib from 'node:zlib';
import { once } from 'node:events';
import { Transform } from 'node:stream';

/**
 * `hold`: answers are passed on only when they are complete, as an inspecting proxy does it; upgrades are stripped.
 * `killAfterMs`: whatever was asked, its connection is cut so long after it was asked; upgrades pass.
 * `hangUpgrades`: an upgrade is swallowed: no answer, no end.
 * `gzip`: an application's compression middleware that nobody told to flush; respects no-transform, passes no upgrades.
 * `refusePost`: a firewall that lets nobody post.
 * `refuseUpgrade`: the upgrade is answered with 403. `stripUpgrade`: it is passed on as an ordinary request.
 * `stream`: what is done to event streams: {lateMs, sinceMs, block, everyMs} (`through`).
 * `lateFramesMs`: what comes through a WebSocket comes so much later.
 * `swallowFrames`: a WebSocket is accepted here, and its frames go nowhere.
 * `delayMs`: a slow connection: everything, either way, takes so much longer.
 * `captive`: the first POST is answered by the page of a hotel's network.
 * `forwarded`: it says where the visitor is, in X-Forwarded-For.
 * `oneWorker`: one request at a time, each answer read to its end before a byte of it is passed on; a browser that goes
 *   away meanwhile is not noticed, as a synchronous worker does not.
 */
export async function startSimulatedProxy({
  listen,
  next,
  hold = false,
  killAfterMs = 0,
  hangUpgrades = false,
  gzip = false,
  refusePost = false,
  refuseUpgrade = false,
  stripUpgrade = false,
  stream = null,
  lateFramesMs = 0,
  delayMs = 0,
  oneWorker = false,
  captive = false,
  swallowFrames = false,
  forwarded = false,
}) {
  const sockets = new Set();
  const queue = oneWorker ? new Queue() : null;
  let welcome = captive;
  const serve = (request, response) => {
    if (welcome && request.method === 'POST') {
      welcome = false;
      request.resume();
      return response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>');
    }
    if (refusePost && request.method === 'POST') {
      request.resume();
      return response.writeHead(403, { 'content-type': 'text/html' }).end('<h1>Forbidden</h1>');
    }
    if (killAfterMs) {
      const timer = setTimeout(() => request.socket.destroy(), killAfterMs);
      response.once('close', () => clearTimeout(timer));
    }
    const { upgrade: _upgrade, connection: _connection, ...headers } = request.headers;
    if (forwarded) headers['x-forwarded-for'] = request.socket.remoteAddress;
    const ask = http.request(
      { host: '127.0.0.1', port: next, method: request.method, path: request.url, headers, agent: false },
      (answer) => {
        answer.on('error', () => response.destroy());
        if (queue) answer.on('close', () => queue.done());
        pass(answer, request, response, { hold: hold || oneWorker, gzip, stream, delayMs });
      },
    );
    ask.on('error', () => {
      queue?.done();
      if (response.headersSent) return response.destroy();
      response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
    });
    if (!oneWorker) response.once('close', () => ask.destroy());
    // One that has gone while it waited for its turn is served all the same: its bytes are here.
    if (request.method === 'GET') ask.end();
    else request.pipe(ask);
  };
  const server = http.createServer((request, response) => {
    if (queue) queue.wait(() => serve(request, response));
    else if (delayMs) setTimeout(() => serve(request, response), delayMs);
    else serve(request, response);
  });

  if (hangUpgrades) server.on('upgrade', () => {});
  else if (swallowFrames) server.on('upgrade', acceptForItself);
  else if (refuseUpgrade)
    server.on('upgrade', (_request, socket) =>
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'),
    );
  else if (!hold && !gzip && !stripUpgrade && !oneWorker) {
    server.on('upgrade', (request, near, head) =>
      tunnel(request, near, head, next, { killAfterMs, lateMs: lateFramesMs || delayMs, delayMs, forwarded }),
    );
  }
  // Without a listener Node hands an upgrade to the ordinary handler, as most proxies do.

  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => {});
  });
  server.listen(listen, '127.0.0.1');
  await once(server, 'listening');
  return {
    output: '',
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

/** Who comes first is served first, and to the end. */
class Queue {
  #waiting = [];
  #busy = false;

  wait(work) {
    this.#waiting.push(work);
    this.#go();
  }

  done() {
    this.#busy = false;
    this.#go();
  }

  #go() {
    if (this.#busy || this.#waiting.length === 0) return;
    this.#busy = true;
    this.#waiting.shift()();
  }
}

/**
 * A stream that goes through something: `lateMs` later, once it is `sinceMs` old; or in whole blocks of `block` bytes, what
 * is left of them when it ends or each `everyMs`.
 */
function through({ lateMs = 0, sinceMs = 0, block = 0, everyMs = 0 }) {
  const began = performance.now();
  const late = () => (performance.now() - began >= sinceMs ? lateMs : 0);
  let held = Buffer.alloc(0);
  let timer = null;
  const out = new Transform({
    transform(chunk, _encoding, done) {
      if (!block) {
        setTimeout(() => this.push(chunk), late());
        return done();
      }
      held = Buffer.concat([held, chunk]);
      const whole = held.length - (held.length % block);
      if (whole > 0) this.push(held.subarray(0, whole));
      held = held.subarray(whole);
      done();
    },
    flush(done) {
      clearInterval(timer);
      if (held.length > 0) this.push(held);
      setTimeout(done, late());
    },
  });
  if (everyMs) {
    timer = setInterval(() => {
      if (held.length > 0) out.push(held);
      held = Buffer.alloc(0);
    }, everyMs);
    out.once('close', () => clearInterval(timer));
  }
  return out;
}

function pass(answer, request, response, { hold, gzip, stream, delayMs }) {
  const { 'transfer-encoding': _chunked, connection: _connection, ...headers } = answer.headers;
  if (hold) {
    const parts = [];
    answer.on('data', (part) => parts.push(part));
    answer.on('end', () => {
      const body = Buffer.concat(parts);
      const bodiless = answer.statusCode === 204 || answer.statusCode === 304;
      response.writeHead(answer.statusCode, bodiless ? headers : { ...headers, 'content-length': body.length });
      response.end(bodiless ? undefined : body);
    });
    return;
  }
  const packs =
    gzip
    && !headers['content-encoding']
    && !/no-transform/.test(headers['cache-control'] ?? '')
    && /gzip/.test(request.headers['accept-encoding'] ?? '')
    && answer.statusCode === 200;
  if (!packs) {
    const shaped =
      stream && /event-stream/.test(headers['content-type'] ?? '') ? stream : delayMs ? { lateMs: delayMs } : null;
    response.writeHead(answer.statusCode, headers);
    if (delayMs) setTimeout(() => response.flushHeaders(), delayMs);
    else response.flushHeaders();
    return void (shaped ? answer.pipe(through(shaped)) : answer).pipe(response);
  }
  const { 'content-length': _length, ...rest } = headers;
  response.writeHead(answer.statusCode, { ...rest, 'content-encoding': 'gzip' });
  response.flushHeaders();
  answer.pipe(zlib.createGzip()).pipe(response);
}

/** The handshake of RFC 6455; nobody behind it. */
function acceptForItself(request, socket) {
  const accept = createHash('sha1')
    .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    .digest('base64');
  const head = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade'];
  socket.on('error', () => {}).write(`${head.join('\r\n')}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
  socket.resume();
}

function tunnel(request, near, head, next, { killAfterMs, lateMs, delayMs, forwarded }) {
  const far = net.connect({ port: next, host: '127.0.0.1' }, () => {
    const lines = forwarded ? [`X-Forwarded-For: ${near.remoteAddress}`] : [];
    for (let i = 0; i < request.rawHeaders.length; i += 2)
      lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    far.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    if (head.length > 0) far.write(head);
    // The answer to the upgrade is in time, as it is at what looks into the frames only behind it.
    let opened = Boolean(delayMs);
    far.on('data', (chunk) => {
      const late = opened ? lateMs : 0;
      opened = true;
      if (!late) return void near.write(chunk);
      setTimeout(() => {
        if (!near.destroyed) near.write(chunk);
      }, late);
    });
    far.on('end', () => setTimeout(() => near.end(), lateMs));
    if (delayMs)
      near
        .on('data', (chunk) =>
          setTimeout(() => {
            if (!far.destroyed) far.write(chunk);
          }, delayMs),
        )
        .on('end', () => far.end());
    else near.pipe(far);
  });
  const drop = () => {
    near.destroy();
    far.destroy();
  };
  if (killAfterMs) {
    const timer = setTimeout(drop, killAfterMs);
    near.once('close', () => clearTimeout(timer));
  }
  near.on('error', drop).on('close', drop);
  far.on('error', drop).on('close', () => setTimeout(drop, lateMs));
}
