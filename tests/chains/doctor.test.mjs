// `max-auth doctor` on every chain: it names what is wrong, and nothing else; the lines it prints, put into the
// configuration, make the chain clean. Where a chain is known to need more than the doctor can see from outside, chains.mjs
// says so.

import test, { after, before, describe } from 'node:test';
import assert from 'node:assert/strict';
import { BINARY } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { environment } from '../harness/server.mjs';
import { LOST } from './chains.mjs';
import { DOCTOR_CHAINS } from './doctor-chains.mjs';
import { ByHand, apply } from './fix.mjs';
import { measuredLogin } from './login.mjs';
import { PRODUCTS } from './proxies.mjs';
import { chosen, pool, publish, table } from './report.mjs';
import { missing, startChain, startMax } from './setup.mjs';

/** The promise: a verdict within this. The machine that runs four chains at a time may take a little longer. */
const VERDICT_MS = 5000;
const WIDTH = 3;

const { stdout } = await run(BINARY, ['--help']);
const skip = /^ *doctor\b/m.test(stdout) ? false : 'this max-auth has no doctor yet';
const only = new RegExp(process.env.ONLY || '.');
const chains = [
  ...chosen((chain) => !chain.undiagnosed),
  ...[...LOST, ...DOCTOR_CHAINS].filter(({ name }) => only.test(name) && process.env.FAST !== '1'),
];
const results = new Map();
let max;

/** Runs the doctor at `running`: {report, code, ms}. */
async function ask(running) {
  const from = performance.now();
  const { chain, tiers } = running;
  const hops = chain.hops ? tiers.slice(1).flatMap(({ listen }) => ['--hop', `http://127.0.0.1:${listen}`]) : [];
  const args = [
    'doctor',
    running.base,
    '--json',
    ...(chain.tls ? ['--insecure'] : []),
    ...(chain.slow ? ['--slow'] : []),
    ...hops,
  ];
  const {
    code,
    stdout: text,
    stderr,
  } = await run(BINARY, args, { env: environment({}), ms: running.chain.slow ? 120_000 : 30_000 });
  const ms = performance.now() - from;
  try {
    return { report: JSON.parse(text), code, ms };
  } catch {
    throw new Error(`doctor printed no JSON (exit ${code}): ${text}${stderr}`);
  }
}

const faults = ({ findings }) => findings.filter(({ severity }) => severity === 'fault');
const short = ({ code, layer, tier }) => `${code} (${layer}, ${tier})`;

/** The tiers that a finding is about. */
function tiersOf(chain, { layer, tier }) {
  const same = chain.tiers
    .map(({ product }, i) => ({ i, layer: PRODUCTS[product].layer }))
    .filter((each) => each.layer === layer)
    .map(({ i }) => i);
  if (tier === 'outer') return same.slice(0, 1);
  if (tier === 'inner') return same.slice(-1);
  return same;
}

/** The key of lines for max-auth's own configuration. */
const MAX_AUTH = 'max-auth';

/** What is to be put where, for these findings: a map from the tier to its lines. */
function prescription(chain, report) {
  const lines = new Map();
  const add = (i, more) => lines.set(i, [...new Set([...(lines.get(i) ?? []), ...more])]);
  for (const finding of faults(report)) {
    const tiers = tiersOf(chain, finding);
    const here = finding.fix.map((line) => line.replace(/\b[A-Z]{4,}\b/g, (word) => chain.byHand?.[word] ?? word));
    if (here.length > 0) for (const i of tiers) add(i, here);
    if (finding.layer === 'app' && here.some((line) => /^server\./.test(line))) add(MAX_AUTH, here);
    if (tiers.length === 0) for (const { tier, lines: own } of chain.cure ?? []) add(tier, own);
  }
  return lines;
}

/** `server.trusted_proxies = ["::1/128"]` as the environment says it. */
const settingsOf = (lines) =>
  Object.fromEntries(
    lines
      .map((line) => line.match(/^([\w.]+) = (.*)$/))
      .filter(Boolean)
      .map(([, key, value]) => [key.replace('.', '_').toUpperCase(), value]),
  );

const ROUNDS = 3; // one fault can hide another: what is not routed to us cannot be buffered

async function examine(chain) {
  const result = { chain, rounds: 0, lines: [], said: [] };
  const changes = [];
  for (let round = 0; round <= ROUNDS; round++) {
    let running;
    try {
      running = await startChain(chain, max, {
        settings: Object.assign({}, ...changes.map((lines) => settingsOf(lines.get(MAX_AUTH) ?? []))),
        change: (i, text, place) =>
          changes.reduce(
            (now, lines) =>
              lines.has(i) ? apply(PRODUCTS[chain.tiers[i].product].layer, now, lines.get(i), place) : now,
            text,
          ),
      });
      const said = await ask(running);
      result.said.push(said.report);
      if (round === 0) Object.assign(result, said);
      else Object.assign(result, { after: said, rounds: round });
      const more = prescription(chain, said.report);
      if (more.size === 0 || chain.noBackend) {
        if (round > 0 && chain.delivered === undefined) result.login = await measuredLogin(running, max);
        return result;
      }
      changes.push(more);
      result.lines.push(...[...more.values()].flat());
    } catch (error) {
      if (error instanceof ByHand) result.byHand = error.message;
      else if (round === 0) result.error = error;
      else result.cureError = error;
      return result;
    } finally {
      await running?.stop();
    }
  }
  return result;
}

/** Whether a finding is what is expected; "a|b" means either. */
const fits = (finding, expected) =>
  ['code', 'layer', 'tier', 'severity'].every((key) => expected[key].split('|').includes(finding[key]));

describe('the doctor', { skip }, () => {
  before(
    async () => {
      max = await startMax();
      // The slow ones first: they wait, the others work.
      const here = chains
        .filter((chain) => missing(chain).length === 0)
        .sort((a, b) => Boolean(b.slow) - Boolean(a.slow));
      await pool(here, WIDTH + here.filter(({ slow }) => slow).length, async (chain) =>
        results.set(chain.name, await examine(chain)),
      );
    },
    { timeout: 900_000 },
  );

  after(async () => {
    await max?.stop();
    const rows = chains
      .filter(({ name }) => results.has(name))
      .map(({ name }) => {
        const { report, error, after: cure, cureError, byHand, ms } = results.get(name);
        if (error) return [name, `ERROR ${error.message.split('\n')[0]}`, '', '-', '-'];
        const left = cure
          ? faults(cure.report).map(short).join(', ')
            || `clean${results.get(name).rounds > 1 ? ` (${results.get(name).rounds} rounds)` : ''}`
          : '';
        const verdict = cureError ? 'FAILED' : left || (byHand ? 'for a person' : '');
        return [
          name,
          faults(report).map(short).join(', ') || 'clean',
          report.findings
            .filter(({ severity }) => severity === 'note')
            .map(({ code }) => code)
            .join(', '),
          Math.round(ms),
          verdict,
        ];
      });
    publish('doctor', table(['chain', 'faults (layer, tier)', 'notes', 'ms', 'with the lines put in'], rows), {
      whole: process.env.FAST !== '1' && !process.env.ONLY,
    });
  });

  for (const chain of chains) {
    test(
      chain.name,
      { skip: missing(chain).length > 0 && `not installed: ${missing(chain)} (scripts/setup chains)` },
      (t) => {
        const { report, code, error, after: cure, cureError, byHand, login, said: rounds } = results.get(chain.name);
        if (error) throw error;
        const all = `\n${JSON.stringify(report.findings, null, 1)}`;
        assert.equal(report.schema, 1);

        // What is expected is there, and no other fault.
        const expected = chain.findings ?? [];
        if (chain.prints) assert.match(report.findings.flatMap(({ fix }) => fix).join('\n'), chain.prints);
        if (chain.never) {
          for (const each of [report, ...(rounds ?? [])]) {
            for (const { code: name, fix } of each.findings)
              assert.doesNotMatch(fix.join('\n'), chain.never, `${name} prints what is there${all}`);
          }
        }
        for (const each of expected)
          assert.ok(
            report.findings.some((finding) => fits(finding, each)),
            `no ${each.severity} ${short(each)}${all}`,
          );
        for (const each of faults(report))
          assert.ok(
            expected.some((one) => fits(each, one)),
            `a fault that is not one: ${short(each)}${all}`,
          );
        for (const { code: name, seconds } of expected) {
          if (seconds !== undefined)
            assert.equal(Math.round(report.findings.find((finding) => finding.code === name).seconds), seconds);
        }
        for (const finding of report.findings) {
          assert.ok(finding.evidence && finding.where && Array.isArray(finding.fix), JSON.stringify(finding));
          assert.ok(finding.fix.length + finding.advice.length > 0, JSON.stringify(finding));
          for (const line of finding.fix)
            assert.doesNotMatch(
              line,
              /^(allow|do not|leave|let|pass on|raise|renew|see|send|start|switch) /,
              'a sentence is no line',
            );
          assert.match(finding.page, new RegExp(`#${finding.code}$`));
        }

        // The exit code says the same.
        const delivered = chain.delivered ?? true;
        assert.equal(report.delivered, delivered, all);
        const best = report.transport === 'websocket' && faults(report).length === 0;
        assert.equal(code, delivered ? (best ? 0 : 1) : 2, `exit ${code}, transport ${report.transport}${all}`);
        if (!chain.slow) assert.ok(report.durationMs <= VERDICT_MS, `took ${report.durationMs} ms`);

        // The cure.
        if (cureError) throw cureError;
        if (byHand) return t.diagnostic(`for a person: ${byHand}`);
        if (!cure && chain.left) return;
        if (!cure)
          return assert.ok(
            faults(report).length === 0
              || chain.noBackend
              || faults(report).every((finding) => finding.fix.length === 0 || tiersOf(chain, finding).length === 0),
            'nothing was cured',
          );
        const left = faults(cure.report).filter(({ code: name }) => !chain.left?.includes(name));
        assert.deepEqual(left.map(short), [], `with its own lines\n${JSON.stringify(cure.report.findings, null, 1)}`);
        if (!chain.left) assert.equal(cure.report.transport, 'websocket');
        if (!chain.left) assert.equal(cure.code, 0);
        if (login && !chain.left) {
          assert.deepEqual(login.faults, []);
          assert.equal(login.transport, 'websocket', `client: ${JSON.stringify(login.report)}`);
        }
      },
    );
  }
});
