// Child processes: started with a deadline, ended by their own handle, none left behind.

import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { deadline } from './time.mjs';

const living = new Set();
const folders = new Set();

// The last resort, for a test that threw before its `after`: children never outlive the file that started them.
process.on('exit', () => {
  for (const child of living) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(1));

export function tempFolder(name) {
  const folder = mkdtempSync(join(tmpdir(), `max-auth-${name}-`));
  folders.add(folder);
  return folder;
}

// Ports below the kernel's ephemeral range, so that no outgoing connection of another test takes one in the meantime.
const FIRST = 18_000;
const LAST = 32_000;
let next = FIRST + ((process.pid * 97) % (LAST - FIRST));

export async function freePort() {
  for (let tries = 0; tries < 200; tries++) {
    const port = next;
    next = next + 1 >= LAST ? FIRST : next + 1;
    if (await canListen(port)) return port;
  }
  throw new Error('no free port');
}

function canListen(port) {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
}

/**
 * Starts a program. `ready` is awaited (with a deadline) and gets the running process; when the program ends before it is
 * ready, the error carries what it printed.
 */
export async function launch(name, command, args, { env = {}, cwd, ready, startMs = 15_000 } = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  living.add(child);
  const started = new Running(name, child);
  try {
    await deadline(
      Promise.race([
        Promise.resolve(ready?.(started)),
        started.exited.then(({ code, signal }) => {
          throw new Error(`${name} ended at start (${signal ?? code})`);
        }),
      ]),
      startMs,
      `${name} to start`,
    );
  } catch (error) {
    await started.stop('SIGKILL');
    error.message += `\n--- ${name} printed ---\n${started.output.slice(-4000)}`;
    throw error;
  }
  return started;
}

/** Runs a program to its end. Never throws for an exit code; throws when it takes too long. */
export async function run(command, args, { env = {}, cwd, ms = 20_000 } = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  living.add(child);
  const running = new Running(command, child);
  try {
    const { code, signal } = await deadline(running.exited, ms, `${command} ${args.join(' ')} to end`);
    return { code, signal, stdout: running.stdout, stderr: running.stderr, output: running.output };
  } catch (error) {
    await running.stop('SIGKILL');
    error.message += `\n${running.output.slice(-4000)}`;
    throw error;
  }
}

class Running {
  #waiters = new Set();

  constructor(name, child) {
    this.name = name;
    this.child = child;
    this.stdout = '';
    this.stderr = '';
    this.output = '';
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8');
      child[stream].on('data', (text) => {
        this[stream] += text;
        this.output += text;
        for (const waiter of this.#waiters) waiter();
      });
    }
    this.exited = new Promise((resolve) => {
      child.once('error', (error) => {
        living.delete(child);
        this.output += String(error);
        resolve({ code: 127, signal: null });
      });
      // "close" and not "exit": by then everything it printed has been read.
      child.once('close', (code, signal) => {
        living.delete(child);
        resolve({ code, signal });
      });
    });
  }

  /** Waits until what was printed matches; gives the match. Looks only at what came after `from` (a length of `output`). */
  printed(pattern, ms = 10_000, from = 0) {
    return deadline(
      new Promise((resolve) => {
        const look = () => {
          const match = this.output.slice(from).match(pattern);
          if (!match) return;
          this.#waiters.delete(look);
          resolve(match);
        };
        this.#waiters.add(look);
        look();
      }),
      ms,
      `${this.name} to print ${pattern}`,
    );
  }

  /** The lines printed so far; those that are JSON, parsed. */
  get lines() {
    return this.output.split('\n').filter(Boolean);
  }

  async stop(signal = 'SIGTERM', ms = 15_000) {
    if (living.has(this.child)) this.child.kill(signal);
    try {
      return await deadline(this.exited, ms, `${this.name} to end after ${signal}`);
    } catch (error) {
      this.child.kill('SIGKILL');
      await this.exited;
      throw error;
    }
  }
}
