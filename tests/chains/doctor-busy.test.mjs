// The doctor on a machine whose cores are all busy with something else: what comes late there is nobody's fault, and no
// run may find one. RUNS=500 for a proof; a few for every day.

import test, { after, before } from 'node:test';
import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { BINARY } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { environment } from '../harness/server.mjs';
import { CHAINS } from './chains.mjs';
import { pool } from './report.mjs';
import { missing, startChain, startMax } from './setup.mjs';

const RUNS = Number(process.env.RUNS ?? 24);
/** Doctors at a time: they disturb each other, too. */
const WIDTH = Number(process.env.WIDTH ?? 3);

/** Right chains of several kinds, all of them without any finding of their own. */
const chains = CHAINS.filter(({ name }) =>
  [
    'nginx-right',
    'two-nginx-both',
    'caddy-encode-h2',
    'apache-right',
    'haproxy-right-h2',
    'traefik-compress-h2',
  ].includes(name),
).filter((chain) => missing(chain).length === 0);

let max;
let running = [];
let burners = [];

before(
  async () => {
    max = await startMax();
    running = await Promise.all(chains.map((chain) => startChain(chain, max)));
    // A loop on each core, ended with the test.
    burners = Array.from(
      { length: availableParallelism() },
      () => new Worker('for (;;) Math.sqrt(Math.random());', { eval: true }),
    );
  },
  { timeout: 120_000 },
);

after(async () => {
  for (const burner of burners) await burner.terminate();
  for (const each of running) await each.stop();
  await max?.stop();
});

test('a busy machine is no fault of a proxy', { timeout: 60_000 + RUNS * 10_000 }, async (t) => {
  const wrong = [];
  let slowest = 0;
  await pool(
    Array.from({ length: RUNS }, (_, i) => running[i % running.length]),
    WIDTH,
    async ({ base, chain }) => {
      const { stdout } = await run(BINARY, ['doctor', base, '--json', ...(chain.tls ? ['--insecure'] : [])], {
        env: environment({}),
        ms: 60_000,
      });
      const report = JSON.parse(stdout);
      slowest = Math.max(slowest, report.durationMs);
      for (const { code, severity, layer, evidence } of report.findings)
        wrong.push(`${chain.name}: ${severity} ${code} (${layer}): ${evidence}`);
    },
  );
  t.diagnostic(
    `${RUNS} runs, ${availableParallelism()} cores busy, ${WIDTH} doctors at a time: ${wrong.length} findings, the slowest took ${slowest} ms`,
  );
  assert.deepEqual(wrong, []);
});
