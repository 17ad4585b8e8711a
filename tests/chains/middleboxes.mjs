// Middleboxes that break one thing only, for the doctor: what no product can be configured into.

import http from 'node:http';
import net from 'node:net';
import { createHash } from 'node:crypto';
import { once } from 'node:events';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/**
 * `lateMs`: every byte of an event stream arrives so much later; all else at once.
 * `deaf`: a WebSocket is accepted here, and its frames go nowhere.
 */
export async function startMiddlebox({ listen, next, lateMs = 0, deaf = false }) {
  const sockets = new Set();
  const server = http.createServer((request, response) => {
    const { upgrade: _upgrade, connection: _connection, ...headers } = request.headers;
    headers['x-forwarded-for'] = request.socket.remoteAddress;
    const ask = http.request(
      { host: '127.0.0.1', port: next, method: request.method, path: request.url, headers, agent: false },
      (answer) => {
        const { 'transfer-encoding': _chunked, connection: _hop, ...rest } = answer.headers;
        const wait = /event-stream/.test(rest['content-type'] ?? '') ? lateMs : 0;
        const later = (what) => (wait ? setTimeout(what, wait) : what());
        response.writeHead(answer.statusCode, rest);
        response.flushHeaders();
        answer.on('data', (chunk) => later(() => response.write(chunk)));
        answer.on('end', () => later(() => response.end()));
        answer.on('error', () => response.destroy());
      },
    );
    ask.on('error', () => response.destroy());
    response.once('close', () => ask.destroy());
    request.pipe(ask);
  });
  server.on('upgrade', (request, near, head) => {
    near.on('error', () => {});
    if (deaf) {
      const accept = createHash('sha1')
        .update(request.headers['sec-websocket-key'] + GUID)
        .digest('base64');
      near.write(
        `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
      );
      near.resume();
      return;
    }
    const far = net.connect({ port: next, host: '127.0.0.1' }, () => {
      const lines = [`X-Forwarded-For: ${near.remoteAddress}`];
      for (let i = 0; i < request.rawHeaders.length; i += 2)
        lines.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}`);
      far.write(`${request.method} ${request.url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`);
      if (head.length > 0) far.write(head);
      far.pipe(near);
      near.pipe(far);
    });
    const drop = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', drop).on('close', drop);
  });
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
