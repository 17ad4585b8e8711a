// A Redis of our own, on a free port, with what it knows on disk.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';
import { freePort, launch, tempFolder } from './process.mjs';
import { eventually } from './time.mjs';

/** Valkey, or another Redis. */
const STORE_SERVER = process.env.STORE_SERVER ?? 'redis-server';

/** `start()` after `stop()` is the same Redis again: its port and, unless `keep` is false, its data. */
export async function startRedis({ keep = true } = {}) {
  const [port, folder] = [await freePort(), tempFolder('redis')];
  const redis = { port, url: `redis://127.0.0.1:${port}` };
  const cli = (...words) =>
    execFileSync('redis-cli', ['-p', String(port), ...words], { encoding: 'utf8', stdio: 'pipe' }).trim();
  redis.cli = cli;
  /** Every name and value, one after the other. */
  redis.everything = () => {
    const script = `local all, at = {}, '0'
      repeat
        local page = redis.call('SCAN', at, 'COUNT', 1000)
        at = page[1]
        for _, key in ipairs(page[2]) do
          all[#all + 1] = key
          local kind = redis.call('TYPE', key).ok
          if kind == 'string' then all[#all + 1] = redis.call('GET', key) end
          if kind == 'hash' then for _, part in ipairs(redis.call('HGETALL', key)) do all[#all + 1] = part end end
        end
      until at == '0'
      return table.concat(all, '\n')`;
    const options = { encoding: 'latin1', stdio: 'pipe', maxBuffer: 256 * 1024 * 1024 };
    return execFileSync('redis-cli', ['-p', String(port), 'EVAL', script, '0'], options);
  };
  redis.start = async () => {
    const config = keep ? [join(ROOT, 'deploy/cluster/redis.conf')] : ['--save', '', '--appendonly', 'no'];
    const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
    redis.running = await launch('redis-server', STORE_SERVER, [...config, ...place], {
      ready: () => eventually(() => /PONG/.test(cli('ping')), 'redis'),
    });
    return redis;
  };
  redis.stop = (signal) => {
    redis.go();
    return redis.running.stop(signal);
  };
  // Its time stands still: connections stay, nothing answers.
  redis.halt = () => {
    redis.halted = redis.running.child.kill('SIGSTOP');
  };
  redis.go = () => {
    if (redis.halted) redis.running.child.kill('SIGCONT');
    redis.halted = false;
  };
  return redis.start();
}
