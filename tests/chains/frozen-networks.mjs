// Networks that freeze a connection in silence, made of real packet counting: a network namespace with nftables in front of an
// nginx that is right. Must run inside one (`unshare --net`).

import { execFileSync } from 'node:child_process';
import { NGINX_MAP, NGINX_RIGHT, nginx } from './templates.mjs';

const run = (command, args, input) => execFileSync(command, args, { input, encoding: 'utf8', stdio: 'pipe' });

/** What is dropped of the packets from and to a port, as rules of nftables. */
const dropped = (port, condition) => `tcp dport ${port} ${condition} drop\ntcp sport ${port} ${condition} drop`;

/** By name: `what` for people, `rules` of the chain that sees each packet. */
export const NETWORKS = {
  'ru-l4-25': {
    what: 'a connection is frozen behind its 25th packet, both ways counted',
    rules: (port) => dropped(port, 'ct packets > 25'),
  },
  'ru-16k': {
    what: 'a connection is frozen behind 16 KB, both ways counted',
    rules: (port) => dropped(port, 'ct bytes > 16384'),
  },
  'ru-burst': {
    what: 'a fourth new connection within 400 ms freezes the address for 120 s',
    rules: (port) => `${dropped('@frozen', '')}\ntcp dport ${port} tcp flags & (syn | ack) == syn jump counted`,
  },
};

// Three places that each hold one connection for 400 ms; the fourth finds none.
const PLACES = ['a', 'b', 'c'];

/** A link as a network card's, and the sets that all rules share. */
export function prepare() {
  run('ip', ['link', 'set', 'lo', 'up', 'mtu', '1500']);
  run('sysctl', ['-qw', 'net.netfilter.nf_conntrack_acct=1']);
  // Or packets would be joined before they are counted.
  run('ethtool', ['-K', 'lo', 'tso', 'off', 'gso', 'off', 'gro', 'off']);
  const set = (name) => `set ${name} { type inet_service; flags dynamic,timeout; }`;
  const counted = PLACES.map((name) => `tcp dport != @${name} add @${name} { tcp dport timeout 400ms } return`);
  const table = `table inet networks {
${[...PLACES, 'frozen'].map(set).join('\n')}
chain counted {
${counted.join('\n')}
add @frozen { tcp dport timeout 120s } drop
}
chain seen {
type filter hook input priority 0;
}
}
`;
  run('nft', ['-f', '-'], table);
}

/** From now on the port is behind that network. */
export function freeze(name, port) {
  const rules = NETWORKS[name].rules(port).split('\n');
  run('nft', ['-f', '-'], rules.map((rule) => `add rule inet networks seen ${rule}\n`).join(''));
}

// Words that compress as prose does, to less than a third.
const SYLLABLES =
  'site or der de li ve ry price bas ket cou rier ad dress eve ning mor pay ment re ceipt ques tion city'.split(' ');
let seed = 1;
const drawn = (count) => (seed = (seed * 48271) % 0x7fffffff) % count;
const words = Array.from({ length: 90 }, () => Array.from({ length: 2 }, () => SYLLABLES[drawn(24)]).join(''));
const prose = Array.from({ length: 490 }, () => words[Math.min(drawn(90), drawn(90), drawn(90))]).join(' ');

/** A page of a site of 4 KB with the button, compressed as nginx does on Debian. */
const SITE = `<!doctype html><html lang="ru"><meta charset="utf-8"><title>A site</title><link rel="icon" href="data:,">
<h1>A site</h1><p>${prose}</p>
<max-auth-button return-to="/site?in"></max-auth-button>
<script type="module" src="/api/auth/max/widget.js"></script></html>`;

/** The nginx before everything: TLS, HTTP/2, right in every line. */
export const chain = (name) => ({
  name,
  tls: true,
  best: 'long-poll',
  tiers: [
    {
      product: 'nginx 1.22',
      config: nginx({
        tls: true,
        http: NGINX_MAP,
        location: NGINX_RIGHT,
        server: `gzip on; location = /site { default_type text/html; return 200 '${SITE}'; }`,
      }),
    },
  ],
});
