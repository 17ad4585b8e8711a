// One HTTP request over HTTP/1.1 or HTTP/2, body as it arrives. A connection of its own each time: no pooled surprises.

import http from 'node:http';
import https from 'node:https';
import http2 from 'node:http2';
import zlib from 'node:zlib';
import { deadline } from './time.mjs';

/**
 * Resolves when the head of the answer is in: {status, headers, body (a readable stream), close()}. Over TLS and HTTP/1.1
 * the certificate is looked at where `ca` (PEM) says what to trust.
 */
export async function open(url, { method = 'GET', headers = {}, body, version = 1, ms = 15_000, ca } = {}) {
  const ask = version === 2 ? openH2 : openH1;
  const abort = new AbortController();
  try {
    return await deadline(ask(new URL(url), method, headers, body, abort.signal, ca), ms, `${method} ${url} to answer`);
  } catch (error) {
    // An answer that came too late would keep its socket, unread, and with it this process.
    abort.abort();
    throw error;
  }
}

function openH1(url, method, headers, body, signal, ca) {
  const { request } = url.protocol === 'https:' ? https : http;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, agent: false, ca, rejectUnauthorized: ca !== undefined });
    signal.addEventListener('abort', () => outgoing.destroy());
    outgoing.on('error', reject);
    outgoing.once('response', (incoming) => {
      incoming.on('error', () => {});
      resolve({
        status: incoming.statusCode,
        headers: incoming.headers,
        httpVersion: incoming.httpVersion,
        body: decoded(incoming, incoming.headers),
        close: () => outgoing.destroy(),
      });
    });
    outgoing.end(body);
  });
}

function openH2(url, method, headers, body, signal) {
  return new Promise((resolve, reject) => {
    const session = http2.connect(url.origin, { rejectUnauthorized: false });
    signal.addEventListener('abort', () => session.destroy());
    session.on('error', reject);
    const lower = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
    delete lower.host;
    const stream = session.request({ ':method': method, ':path': url.pathname + url.search, ...lower });
    stream.on('error', reject);
    stream.once('response', (answer) => {
      stream.once('close', () => session.close());
      resolve({
        status: answer[':status'],
        headers: answer,
        httpVersion: '2.0',
        body: decoded(stream, answer),
        close: () => session.destroy(),
      });
    });
    stream.end(body);
  });
}

// As a browser does it: what has come is decoded at once, without waiting for the end.
function decoded(stream, headers) {
  const unpack = {
    gzip: () => zlib.createGunzip({ flush: zlib.constants.Z_SYNC_FLUSH, finishFlush: zlib.constants.Z_SYNC_FLUSH }),
    br: () => zlib.createBrotliDecompress(),
  }[headers['content-encoding']];
  if (!unpack) return stream;
  const out = unpack();
  out.on('error', () => {});
  return stream.pipe(out);
}

/** A whole answer: {status, headers, text, json}. */
export async function fetchWhole(url, options = {}) {
  const answer = await open(url, options);
  answer.body.setEncoding('utf8');
  const whole = async () => {
    let all = '';
    for await (const part of answer.body) all += part;
    return all;
  };
  let text;
  try {
    text = await deadline(whole(), options.ms ?? 15_000, `the body of ${options.method ?? 'GET'} ${url}`);
  } catch (error) {
    answer.close();
    throw error;
  }
  const { body: _body, ...head } = answer;
  return {
    ...head,
    text,
    get json() {
      return JSON.parse(text);
    },
  };
}
