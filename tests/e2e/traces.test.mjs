// Spans at an OpenTelemetry collector: from the request over the login to MAX's answers, and nothing that is nobody's business.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { after, test } from 'node:test';
import { fetchWhole } from '../harness/http.mjs';
import { Cleanup, signIn, startPair } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

/** A collector that keeps what it gets; `status` is what it answers. */
async function startCollector() {
  const collector = { status: 200, texts: [] };
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    collector.texts.push(Buffer.concat(chunks).toString());
    collector.type = request.headers['content-type'];
    response.writeHead(collector.status).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  collector.url = `http://127.0.0.1:${server.address().port}/v1/traces`;
  collector.stop = () => (server.closeAllConnections(), server.close());
  collector.spans = () =>
    collector.texts
      .map((text) => JSON.parse(text))
      .flatMap(({ resourceSpans }) =>
        resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)),
      );
  return cleanup.add(collector);
}

// The SDK's own variable: a batch each 200 ms instead of 5 s.
process.env.OTEL_BSP_SCHEDULE_DELAY = '200';

const attribute = (span, key) => Object.values(span.attributes.find((one) => one.key === key)?.value ?? {})[0];

test('a sign-in is one trace, which goes on with that of who asked', async () => {
  const collector = await startCollector();
  const { server, emulator } = await startPair(cleanup, {
    settings: { TRACES_ENDPOINT: collector.url, SESSION_PHONE: 'true', SERVER_NODE: 'one' },
  });
  const trace = '0af7651916cd43dd8448eb211c80319c';
  const headers = { traceparent: `00-${trace}-b7ad6b7169203331-01` };
  const { session } = await signIn({ emulator, base: server.direct, how: 'poll', options: { headers } });
  const ended = (spans) => spans.find(({ name }) => name === 'login');
  const spans = await eventually(async () => {
    const spans = collector.spans();
    return ended(spans) && spans.some(({ name }) => name === 'MAX LOGOUT') && spans;
  }, 'the spans of a login');

  assert.equal(collector.type, 'application/json');
  const login = ended(spans);
  assert.deepEqual([login.traceId, attribute(login, 'outcome')], [trace, 'success']);
  const request = spans.find(({ spanId }) => spanId === login.parentSpanId);
  assert.match(request.name, /^POST \/api\/auth\/max\/?$/);
  assert.equal(request.parentSpanId, 'b7ad6b7169203331');
  assert.equal(Number(attribute(request, 'http.response.status_code')), 200);
  const within = spans.filter(({ parentSpanId }) => parentSpanId === login.spanId).map(({ name }) => name);
  for (const name of [
    'connect to MAX',
    'MAX SESSION_INIT',
    'MAX GET_QR',
    'MAX GET_QR_STATUS',
    'MAX LOGIN_BY_QR',
    'MAX LOGOUT',
  ])
    assert.ok(within.includes(name), `${name} in ${within}`);
  for (const span of spans) assert.ok(BigInt(span.endTimeUnixNano) >= BigInt(span.startTimeUnixNano), span.name);
  const text = collector.texts.join();
  for (const secret of [session.sub, session.name, session.phone, '127.0.0.1:', 'token=', '/:auth/'])
    assert.ok(secret && !text.includes(secret), secret);
  assert.ok(text.includes('"service.instance.id"') && text.includes('"one"'));
  const verify = await fetchWhole(`${server.direct}/session`);
  assert.equal(verify.status, 401);
});

test('a collector that is away costs spans, one line a minute, and no sign-in', async () => {
  const collector = await startCollector();
  collector.status = 503;
  const { server, emulator } = await startPair(cleanup, { settings: { TRACES_ENDPOINT: collector.url } });
  for (let count = 0; count < 3; count++) await signIn({ emulator, base: server.direct });
  await eventually(async () => collector.texts.length >= 2, 'two batches');
  await eventually(async () => /traces.endpoint: spans were lost: it answered 503/.test(server.output), 'a warning');
  assert.equal(server.output.match(/spans were lost/g).length, 1);
});

test('of none, none is sent, and whoever decided is heeded', async () => {
  const collector = await startCollector();
  const { server, emulator } = await startPair(cleanup, {
    settings: { TRACES_ENDPOINT: collector.url, TRACES_PERCENT: '0' },
  });
  await signIn({ emulator, base: server.direct });
  const trace = '1af7651916cd43dd8448eb211c80319d';
  await fetchWhole(`${server.direct}/session`, { headers: { traceparent: `00-${trace}-b7ad6b7169203331-01` } });
  const spans = await eventually(async () => collector.spans().length > 0 && collector.spans(), 'a span');
  assert.ok(
    spans.every(({ traceId }) => traceId === trace),
    spans.map(({ name }) => name).join(),
  );
});
