// Where things are.

import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const BINARY = resolve(ROOT, process.env.MAX_AUTH_BIN ?? 'target/debug/max-auth');
export const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';

const tools = process.env.MAXTOOLS ? resolve(process.env.MAXTOOLS) : resolve(ROOT, '../shared/tools');

/** The folder of the independent MAX double and the real MAX clients; null in a clone that has none. */
export const TOOLS = existsSync(join(tools, 'max-double/fake_max.py')) ? tools : null;
export const NO_TOOLS = `NOT TESTED: no MAX double and no MAX clients at ${tools} (set MAXTOOLS)`;
if (!TOOLS) process.stderr.write(`\n${'!'.repeat(100)}\n${NO_TOOLS}\n${'!'.repeat(100)}\n\n`);

export const python = (environment) => join(ROOT, environment, 'bin/python');
