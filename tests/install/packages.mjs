// The Debian package, and the next one.

import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BINARY, ROOT } from '../harness/paths.mjs';
import { tempFolder } from '../harness/process.mjs';
import { fine } from './rootfs.mjs';

export const UNIT = 'max-auth.service';
export const CONFIG = '/etc/max-auth/max-auth.toml';
export const STATE = '/var/lib/max-auth';

/** The package as it is built, and one of a higher version with another file of settings. Gives both paths. */
export async function packages() {
  const folder = tempFolder('deb');
  const [first, second, parts] = ['first.deb', 'second.deb', 'parts'].map((name) => join(folder, name));
  await fine(join(ROOT, 'scripts/deb'), [BINARY, first], { env: { FAST: '1' }, ms: 300_000 });
  await fine('dpkg-deb', ['-R', first, parts]);
  const control = readFileSync(join(parts, 'DEBIAN/control'), 'utf8');
  writeFileSync(
    join(parts, 'DEBIAN/control'),
    control.replace(/^Version: .*$/m, (line) => `${line}+next`),
  );
  appendFileSync(join(parts, CONFIG), '\n# Said by the next version only.\n');
  await fine('dpkg-deb', ['--root-owner-group', '-Zgzip', '-z1', '-b', parts, second], { ms: 120_000 });
  return { first, second };
}
