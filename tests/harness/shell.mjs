// A shell that is typed into, as a page of the documents says.

import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { BINARY } from './paths.mjs';
import { environment } from './server.mjs';
import { eventually } from './time.mjs';

/** The blocks of a page that are for a shell. */
export const shellBlocks = (markdown) => [...markdown.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block]) => block);

export function startShell(cwd, { path = process.env.PATH } = {}) {
  const env = { ...environment({ SERVER_OPS_LISTEN: '127.0.0.1:0' }), PATH: `${dirname(BINARY)}:${path}` };
  const shell = spawn('bash', [], { cwd, env, detached: true });
  let output = '';
  for (const stream of [shell.stdout, shell.stderr]) stream.on('data', (text) => (output += text));
  let typed = 0;
  return {
    /** Types a block and gives what was printed until it had run. */
    async type(block, ms = 20_000) {
      const before = output.length;
      const mark = `=== ${++typed} ends`;
      shell.stdin.write(`${block}\necho "${mark}"\n`);
      await eventually(() => output.includes(`${mark}\n`), `${block}\n${output.slice(before)}`, ms);
      return output.slice(before);
    },
    stop: () => {
      try {
        process.kill(-shell.pid);
      } catch {
        // All of them are gone already.
      }
    },
  };
}
