// Every chain: a login over it, each event live, once, in order.

import { LOST } from './chains.mjs';
import { measuredLogin } from './login.mjs';
import { cells, matrix } from './matrix.mjs';
import { chosen, publish, table, versions } from './report.mjs';
import { startChain, startMax } from './setup.mjs';

// And one on which only the beginning is refused: the doctor has it among the lost.
const isChosen = ({ name, best }) => best && new RegExp(process.env.ONLY || '.').test(name) && process.env.FAST !== '1';
const chains = [...chosen(), ...LOST.filter(isChosen)];
const COLUMNS = ['chain', 'carried by', 'first event, ms', 'worst lateness, ms', 'verdict', 'what is wrong with it'];
let max;

matrix('every event live, once, in order', chains, {
  width: 4,
  timeout: 900_000,
  prepare: async () => {
    max = await startMax();
  },
  measure: async (chain) => {
    const running = await startChain(chain, max);
    try {
      return await measuredLogin(running, max);
    } finally {
      await running.stop();
    }
  },
  end: async (results) => {
    await max?.stop();
    const rows = chains.map(({ name, what }) => {
      const result = results.get(name);
      return [name, ...(result ? cells(result) : ['-', '-', '-', 'not installed']), what || 'nothing'];
    });
    const live = rows.filter(([, , , , verdict]) => verdict === 'live').length;
    const text = `${table(COLUMNS, rows)}\n\nLive on ${live} of ${rows.length}. ${versions()}.`;
    publish('live', text, { whole: process.env.FAST !== '1' && !process.env.ONLY });
  },
});
