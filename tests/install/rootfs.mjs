// A clean Debian to install into, and the way a service of it is started: by what its unit says.

import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../harness/paths.mjs';
import { launch, run } from '../harness/process.mjs';

const KEPT = join(ROOT, 'target/install-test');
/** Debian 12; SUITE=trixie for the next one. */
const SUITE = process.env.SUITE ?? 'bookworm';

/** Runs to its end, and that is a good one. */
export async function fine(command, args, options) {
  const ended = await run(command, args, { ms: 120_000, ...options });
  assert.equal(ended.code, 0, `${command} ${args.join(' ')}\n${ended.output}`);
  return ended;
}

/** Debian's smallest system and what else it shall have, as a tar file. Half a minute the first time. */
async function debian(packages) {
  const kept = join(KEPT, `${[SUITE, ...packages].join('-')}.tar`);
  if (existsSync(kept)) return kept;
  mkdirSync(KEPT, { recursive: true });
  const fresh = `${kept.slice(0, -4)}-fresh.tar`;
  const include = packages.map((name) => `--include=${name}`);
  await fine('mmdebstrap', ['--quiet', '--variant=minbase', ...include, SUITE, fresh], { ms: 600_000 });
  renameSync(fresh, kept);
  return kept;
}

export class RootFs {
  static async make(packages = []) {
    const tar = await debian(packages);
    const path = mkdtempSync(join(KEPT, 'root-'));
    await fine('tar', ['-C', path, '-xf', tar, '--exclude=./dev/*', '--exclude=./var/cache/apt/archives/*.deb']);
    // A shell's `>/dev/null` must not make a file.
    await fine('mknod', ['-m', '666', join(path, 'dev/null'), 'c', '1', '3']);
    return new RootFs(path);
  }

  constructor(path) {
    this.path = path;
  }

  stop() {
    rmSync(this.path, { recursive: true, force: true });
  }

  at(path) {
    return join(this.path, path);
  }

  has(path) {
    return existsSync(this.at(path));
  }

  read(path) {
    return readFileSync(this.at(path), 'utf8');
  }

  /** A command inside, as root, with nothing of our environment. */
  run(command, ...args) {
    const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND=noninteractive', 'LC_ALL=C.UTF-8'];
    return run('chroot', [this.path, ...env, command, ...args], { ms: 120_000 });
  }

  async fine(command, ...args) {
    const ended = await this.run(command, ...args);
    assert.equal(ended.code, 0, `${command} ${args.join(' ')}\n${ended.output}`);
    return ended;
  }

  /** "0640 root:max-auth" of a path inside. */
  async mode(path) {
    return (await this.fine('stat', '-c', '%04a %U:%G', path)).stdout.trim();
  }

  async install(deb, ...options) {
    await fine('cp', [deb, this.at('package.deb')]);
    const ended = await this.fine('dpkg', ...options, '-i', '/package.deb');
    rmSync(this.at('package.deb'));
    return ended;
  }

  /** The settings of a unit's [Service], those that may be repeated as lists. */
  unit(name) {
    const text = this.read(`usr/lib/systemd/system/${name}`);
    const service = text.split('[Service]\n')[1].split('\n[')[0];
    const settings = {};
    for (const [, key, value] of service.matchAll(/^(\w+)=(.*)$/gm)) (settings[key] ??= []).push(value);
    return settings;
  }

  /** What systemd would read of EnvironmentFile= and Environment=. */
  environment(unit) {
    const files = (unit.EnvironmentFile ?? []).map((file) => file.replace(/^-/, ''));
    const lines = files.filter((file) => this.has(file)).flatMap((file) => this.read(file).split('\n'));
    return [...(unit.Environment ?? []), ...lines.filter((line) => /^\w+=/.test(line))].map((line) =>
      line.replace(/^(\w+)='(.*)'$/, '$1=$2'),
    );
  }

  /**
   * The words that start one command of the unit: in a mount namespace where only the state directory can be written, as its
   * user without any capability, with its environment, its umask and its limits.
   */
  asUnit(unit, command) {
    const [user] = unit.User;
    const state = this.at(`var/lib/${unit.StateDirectory[0]}`);
    const mounts = [
      'set -e',
      'mount --make-rprivate /',
      `mount --bind '${this.path}' '${this.path}'`,
      `mount --bind '${state}' '${state}'`,
      `mount -o remount,bind,ro '${this.path}'`,
      `mount -t proc proc '${this.path}/proc'`,
      // More than ours we may not be allowed.
      `ulimit -n ${unit.LimitNOFILE[0]} 2>/dev/null || true`,
      `ulimit -c ${unit.LimitCORE[0]}`,
      `umask ${unit.UMask[0]}`,
      'exec "$@"',
    ];
    const dropped = ['--reuid', user, '--regid', unit.Group[0], '--init-groups', '--no-new-privs', '--inh-caps=-all'];
    return [
      'unshare',
      ['--mount', 'bash', '-c', mounts.join('\n'), 'bash', 'chroot', this.path].concat(
        ['setpriv', ...dropped, '--bounding-set=-all', 'env', '-i', 'PATH=/usr/bin:/bin', ...this.environment(unit)],
        command.split(' '),
      ),
    ];
  }

  /** As `systemctl start`: ExecStartPre to its end, then ExecStart, until it is ready. */
  async start(name, ready) {
    const unit = this.unit(name);
    for (const command of unit.ExecStartPre) await fine(...this.asUnit(unit, command));
    return launch(name, ...this.asUnit(unit, unit.ExecStart[0]), { ready, startMs: 35_000 });
  }
}
