// A Redis of our own, on a free port, with what it knows on disk.

import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from './paths.mjs';
import { freePort, launch, tempFolder } from './process.mjs';
import { eventually } from './time.mjs';

/** `start()` after `stop()` is the same Redis again: its port and, unless `keep` is false, its data. */
export async function startRedis({ keep = true } = {}) {
  const [port, folder] = [await freePort(), tempFolder('redis')];
  const redis = { port, url: `redis://127.0.0.1:${port}` };
  const cli = (...words) => execFileSync('redis-cli', ['-p', String(port), ...words], { encoding: 'utf8' }).trim();
  redis.cli = cli;
  redis.start = async () => {
    const config = keep ? [join(ROOT, 'deploy/cluster/redis.conf')] : ['--save', '', '--appendonly', 'no'];
    const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', folder];
    redis.running = await launch('redis-server', 'redis-server', [...config, ...place], {
      ready: () => eventually(() => /PONG/.test(cli('ping')), 'redis'),
    });
    return redis;
  };
  redis.stop = (signal) => redis.running.stop(signal);
  return redis.start();
}
