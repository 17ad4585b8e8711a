// Proxies that nobody sells but everybody meets: written here because no product can be configured into them.

import { reset } from '../e2e/harness/relay.mjs';
import http from 'node:http';
import net from 'node:net';
import zlib from 'node:zlib';
import { once } from 'node:events';

/**
 * `hold`: answers are passed on only when they are complete, as an inspecting proxy does it; upgrades are stripped.
 * `killAfterMs`: whatever was asked, its connection is cut so long after it was asked; upgrades pass.
 * `hangUpgrades`: an upgrade is swallowed: no answer, no end.
 * `gzip`: an application's compression middleware that nobody told to flush; respects no-transform, passes no upgrades.
 * `refusePost`: a firewall that lets nobody post.
 * `refuseUpgrade`: the upgrade is answered with 403.
 */
export async function startNodeProxy({ listen, next, hold = false, killAfterMs = 0, hangUpgrades = false, gzip = false, refusePost = false, refuseUpgrade = false }) {
  const sockets = new Set();
  const server = http.createServer((request, response) => {
    if (refusePost && request.method === 'POST') {
      request.resume();
      return response.writeHead(403, { 'content-type': 'text/html' }).end('<h1>Forbidden</h1>');
    }
    if (killAfterMs) {
      const timer = setTimeout(() => request.socket.destroy(), killAfterMs);
      response.once('close', () => clearTimeout(timer));
    }
    const { upgrade: _upgrade, connection: _connection, ...headers } = request.headers;
    const ask = http.request({ host: '127.0.0.1', port: next, method: request.method, path: request.url, headers, agent: false }, (answer) => {
      answer.on('error', () => response.destroy());
      pass(answer, request, response, { hold, gzip });
    });
    ask.on('error', () => {
      if (response.headersSent) return response.destroy();
      response.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>');
    });
    response.once('close', () => ask.destroy());
    request.pipe(ask);
  });

  if (hangUpgrades) server.on('upgrade', () => {});
  else if (refuseUpgrade) server.on('upgrade', (_request, socket) => socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'));
  else if (!hold && !gzip) server.on('upgrade', (request, near, head) => tunnel(request, near, head, next, killAfterMs));
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

function pass(answer, request, response, { hold, gzip }) {
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
  const packs = gzip && !headers['content-encoding'] && !/no-transform/.test(headers['cache-control'] ?? '')
    && /gzip/.test(request.headers['accept-encoding'] ?? '') && answer.statusCode === 200;
  if (!packs) {
    response.writeHead(answer.statusCode, headers);
    response.flushHeaders();
    return void answer.pipe(response);
  }
  const { 'content-length': _length, ...rest } = headers;
  response.writeHead(answer.statusCode, { ...rest, 'content-encoding': 'gzip' });
  response.flushHeaders();
  answer.pipe(zlib.createGzip()).pipe(response);
}

function tunnel(request, near, head, next, killAfterMs) {
  const far = net.connect({ port: next, host: '127.0.0.1' }, () => {
    const lines = [];
    for (let i = 0; i < request.rawHeaders.length; i += 2) lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
    far.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
    if (head.length > 0) far.write(head);
    far.pipe(near);
    near.pipe(far);
  });
  const drop = () => {
    near.destroy();
    far.destroy();
  };
  if (killAfterMs) {
    const timer = setTimeout(drop, killAfterMs);
    near.once('close', () => clearTimeout(timer));
  }
  for (const socket of [near, far]) socket.on('error', drop).on('close', drop);
}

/**
 * The wire between a visitor and the first tier. `stall()`: the connections of now are dead and nobody is told: no byte, no
 * FIN, as when a phone leaves a network; new ones work. `cut()`: they are reset.
 */
export async function startWire(listen, next) {
  const pairs = new Set();
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ port: next, host: '127.0.0.1', allowHalfOpen: true });
    const pair = { near, far, dead: false };
    pairs.add(pair);
    const drop = () => {
      if (pair.dead) return;
      pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const [from, to] of [[near, far], [far, near]]) {
      from.setNoDelay(true);
      from.on('data', (chunk) => { if (!pair.dead) to.write(chunk); });
      from.on('end', () => { if (!pair.dead) to.end(); });
      from.on('error', drop).on('close', drop);
    }
  });
  server.listen(listen, '127.0.0.1');
  await once(server, 'listening');
  return {
    open: () => [...pairs].filter(({ dead }) => !dead).length,
    stall: () => { for (const pair of pairs) pair.dead = true; },
    cut: () => { for (const { near, far, dead } of pairs) if (!dead) for (const socket of [near, far]) reset(socket); },
    stop: async () => {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      server.close();
    },
  };
}
