// A site of three nodes, a balancer that gives each request to the next one, one Redis: the files of deploy/cluster, run.

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchWhole } from './http.mjs';
import { ROOT } from './paths.mjs';
import { freePort, launch, tempFolder } from './process.mjs';
import { startRedis } from './redis.mjs';
import { BASE_PATH, startServer } from './server.mjs';
import { eventually } from './time.mjs';

/** One process of max-auth that is stopped, killed, halted and started again at the same address. */
export class Node {
  /** MAX sessions that ends of this node's process may have left open, as the next one told. */
  leftOpen = 0;
  halted = false;

  /** @param {object} options of `startServer`; ports and state stay what they are. */
  static async at(name, options) {
    const node = new Node();
    const [port, opsPort, state] = [await freePort(), await freePort(), tempFolder('state')];
    const base = `http://127.0.0.1:${port}${BASE_PATH}`;
    return Object.assign(node, { name, port, opsPort, base, options: { ...options, port, opsPort, state } });
  }

  async start() {
    this.server = await startServer(this.options);
    const left = (await this.server.metrics()).match(/^max_auth_logins_left_open (\d+)/m)?.[1];
    this.leftOpen += Number(left ?? 0);
  }

  async stop(signal) {
    this.go();
    return this.server.stop(signal);
  }

  /** Its time stands still: nothing is closed, nothing answers. */
  halt() {
    this.halted = this.server.child.kill('SIGSTOP');
  }

  go() {
    if (this.halted) this.server.child.kill('SIGCONT');
    this.halted = false;
  }

  async active() {
    return Number((await this.server.metrics()).match(/^max_auth_logins_active (\d+)/m)?.[1] ?? 0);
  }

  async ready() {
    return (await fetchWhole(`${this.server.ops}/readyz`)).text;
  }
}

/** Everything runs when it is given back; `cleanup` ends it. */
export async function startCluster({ cleanup, emulator, settings = {}, redis: redisOptions }) {
  const redis = cleanup.add(await startRedis(redisOptions));
  const key = join(tempFolder('key'), 'store.key');
  writeFileSync(key, Buffer.alloc(32, 5));
  const bind = await freePort();
  const address = `http://127.0.0.1:${bind}`;
  const shared = { STORE_KIND: 'redis', STORE_URL: redis.url, STORE_KEY_FILE: key, LOG_LEVEL: 'info', ...settings };
  const nodes = await Promise.all(
    ['node1', 'node2', 'node3'].map((name) =>
      Node.at(name, {
        upstream: [[emulator.url, 'binary']],
        publicUrl: address,
        settings: { SERVER_NODE: name, ...shared },
      }),
    ),
  );
  for (const node of nodes) cleanup.add(node);
  await Promise.all(nodes.map((node) => node.start()));
  const env = { MAX_AUTH_BIND: `127.0.0.1:${bind}` };
  nodes.forEach((node, index) => {
    env[`MAX_AUTH_NODE${index + 1}`] = `127.0.0.1:${node.port}`;
    env[`MAX_AUTH_OPS${index + 1}`] = String(node.opsPort);
  });
  cleanup.add(
    await launch('haproxy', 'haproxy', ['-db', '-f', join(ROOT, 'deploy/cluster/haproxy.cfg')], {
      env,
      ready: () =>
        eventually(async () => (await fetchWhole(`${address}${BASE_PATH}/session`)).status === 401, 'haproxy'),
    }),
  );
  /** The node that writes a login; only where there is one login. */
  const ownerOf = async () => {
    for (const node of nodes) if ((await node.active()) > 0) return node;
    throw new Error('nobody owns a login');
  };
  return { redis, nodes, bind, address, key, base: address + BASE_PATH, ownerOf };
}
