// The table of `make compare`: medians of all rounds, their ratios to the relay, and the aims. node table.mjs FIGURES, a file of lines
// "measure scheme kind value".

import { readFileSync } from 'node:fs';

const ROWS = [
  ['memory', 'memory of a waiting login, KiB', { ws: 2.0, wss: 1.2 }],
  ['waiting', '1 000 that wait a minute, CPU s', { ws: 1.3, wss: 1.3 }],
  ['finished', 'a finished login, CPU ms', { ws: 2.0, wss: 1.5 }],
  ['start', 'start of the process to first code, ms', {}],
];

const figures = new Map();
for (const line of readFileSync(process.argv[2], 'utf8').trim().split('\n')) {
  const [measure, scheme, kind, value] = line.split(/\s+/);
  const key = `${measure} ${scheme} ${kind}`;
  figures.set(key, [...(figures.get(key) ?? []), Number(value)]);
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Processor time is read in steps of 10 ms: a try that is too short has none.
const digits = (value) => (!Number.isFinite(value) ? '' : value.toFixed(value < 1 ? 3 : value < 100 ? 2 : 0));
const columns = (texts) => texts.map((text) => text.padStart(11)).join('');

console.log(`\n${''.padEnd(44)}${columns(['relay', 'max-auth', 'ratio', 'aim', 'Node', 'ratio'])}`);
for (const [measure, words, aims] of ROWS) {
  for (const scheme of ['ws', 'wss']) {
    const [relay, ours, node] = ['relay', 'ours', 'node'].map((kind) =>
      median(figures.get(`${measure} ${scheme} ${kind}`)),
    );
    const aim = aims[scheme];
    const held =
      aim === undefined || !Number.isFinite(ours / relay) ? '' : `${aim} ${ours / relay <= aim ? 'held' : 'missed'}`;
    const texts = [digits(relay), digits(ours), digits(ours / relay), held, digits(node), digits(node / relay)];
    console.log(`${`${words}, ${scheme}`.padEnd(44)}${columns(texts)}`);
  }
}
