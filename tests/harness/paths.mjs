// Where things are.

import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
export const BINARY = resolve(ROOT, process.env.MAX_AUTH_BIN ?? 'target/debug/max-auth');

/** MAX and its clients by other hands: a fake MAX, and real client libraries. */
export const DOUBLES = join(ROOT, 'tests/doubles');

export const python = (environment) => join(ROOT, environment, 'bin/python');
