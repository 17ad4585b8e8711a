// Puts the doctor's lines into a configuration, as an administrator would who reads them and nothing else: a line that is
// there already is replaced, the others go to the place that `where` names (the "#fix" marks of templates.mjs).

const escape = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

const at = (text, mark, lines) => {
  const found = text.match(new RegExp(`^([ \\t]*)${mark}$`, 'm'));
  if (!found) throw new Error(`the configuration has no ${mark}`);
  const indented = lines
    .flatMap((line) => line.split('\n'))
    .map((line) => found[1] + line)
    .join('\n');
  return text.replace(found[0], `${indented}\n${found[0]}`);
};

/** Every line either replaces what `pattern(line)` finds, or goes to `mark`. */
const replaceOrAdd = (pattern, mark) => (text, lines) =>
  lines.reduce((now, line) => {
    const old = pattern(line);
    return old && old.test(now) ? now.replace(old, () => line) : at(now, mark, [line]);
  }, text);

/** What the doctor can only say in words. */
export class ByHand extends Error {}

/** From `start` to the brace that closes it. */
function withoutBlock(text, start) {
  const from = text.indexOf(start);
  if (from < 0) return text;
  let depth = 0;
  for (let i = text.indexOf('{', from); i < text.length; i++) {
    depth += text[i] === '{' ? 1 : text[i] === '}' ? -1 : 0;
    if (depth === 0) return text.slice(0, from) + text.slice(i + 1);
  }
  throw new Error(`${start} does not end`);
}

const APPLY = {
  nginx(text, lines, { next }) {
    let now = text;
    for (const line of lines) {
      // Said to be for where the module is.
      if (/^modsecurity/.test(line) && !/modsecurity/.test(now)) continue;
      if (/^body_filter_by_lua/.test(line)) {
        if (/body_filter_by_lua/.test(now)) now = at(withoutBlock(now, 'body_filter_by_lua_block'), '#fix', [line]);
        continue;
      }
      if (/^map /.test(line)) {
        if (!now.includes(line)) now = at(now, '#fix-http', [line]);
        continue;
      }
      if (/^location /.test(line)) {
        // A block of its own before the site's, with the address of what is really behind.
        const [, path] = line.match(/^location (\S+)/);
        const block = `location ${path} {\n            proxy_pass http://127.0.0.1:${next};\n            #fix\n        }\n        `;
        now = now.replace(/location (?=\/ )/, () => `${block}location `);
        continue;
      }
      // One directive: its name, and for headers the name of the header too. "ZONE" is what stands there now.
      const [, key] = line.match(/^(proxy_set_header \S+|\S+)/);
      const old = new RegExp(`(?<![\\w$])${escape(key)}\\s[^;]*;`);
      const [before, location, rest] = split(now);
      const there = location.match(old)?.[0];
      const zone = there?.match(/zone=(\w+)/)?.[1] ?? there?.split(/\s+/)[1]?.replace(';', '');
      const put = line.replace('ZONE', zone ?? 'ZONE');
      now = there ? before + location.replace(old, () => put) + rest : before + at(location, '#fix', [put]) + rest;
    }
    return now;
  },

  haproxy: replaceOrAdd(
    (line) => /^timeout (client|server|tunnel)\b/.test(line) && new RegExp(`timeout ${line.split(' ')[1]} .*`),
    '#fix',
  ),

  apache(text, all, { next }) {
    const lines = /^\s*Sec/m.test(text)
      ? all
      : all.filter((line, i) => ![all[i - 1], line, all[i + 1]].some((near) => /SecResponse/.test(near ?? '')));
    // The lines name the address of max-auth; in a chain it is the next tier that stands there.
    return at(
      text,
      '#fix',
      lines.map((line) =>
        /^upgrade=/.test(line)
          ? `ProxyPass "/api" "http://127.0.0.1:${next}/api" ${line}`
          : line.replace(/http:\/\/[^/"]+/, `http://127.0.0.1:${next}`),
      ),
    );
  },

  caddy(text, lines) {
    const block = lines.join('\n');
    const without = /\bencode\b/.test(block) ? text.replace(/^\s*encode .*$/m, '') : text;
    if (/^flush_interval/.test(block)) return without.replace(/(reverse_proxy [^{]*\{)/, `$1\n\t\t${block}`);
    return at(without, '#fix', lines);
  },

  traefik: replaceOrAdd((line) => /^middlewares:/.test(line) && /middlewares: \[.*\]/, '#fix'),

  envoy(text, lines) {
    return lines.reduce((now, line) => {
      if (/^timeout:/.test(line)) return at(now.replace(/^ *timeout: .*\n/m, ''), '#fix-route', [line]);
      if (/^allow_connect:/.test(line)) return now.replace(/allow_connect: \w+/, line);
      const [key] = line.split(':');
      return at(now.replace(new RegExp(`^ *${key}: .*\\n`, 'm'), ''), '#fix-hcm', [line]);
    }, text);
  },

  varnish(text, lines) {
    return lines.reduce((now, line) => {
      if (/^sub /.test(line)) return now.replace(/^sub /m, () => `${line}\nsub `);
      if (/^\.\w+_timeout/.test(line)) return now.replace(/(backend default \{[^}]*)\}/, `$1 ${line} }`);
      return at(now, /beresp/.test(line) ? '#fix-response' : /bereq/.test(line) ? '#fix-pipe' : '#fix-recv', [line]);
    }, text);
  },

  lighttpd: replaceOrAdd((line) => new RegExp(`^${escape(line.split('=')[0].trim())} *=.*$`, 'm'), '#fix'),
  gunicorn: (text, lines) => at(text, '#fix', lines),
  squid: (text, lines) => at(text, '#fix', lines),
  h2o: replaceOrAdd((line) => new RegExp(`^(?<= *)${escape(line.split(':')[0])}: .*$`, 'm'), '#fix'),
};

// What stands before, in and behind the location that takes the sign-in.
function split(text) {
  const start = text.search(/location \/(api\/auth\/max|) /);
  const end = text.indexOf('#fix\n', start) + '#fix\n'.length;
  return [text.slice(0, start), text.slice(start, end), text.slice(end)];
}

/** The configuration with these lines in it. `place` is {next}: the port of the tier behind. */
export function apply(layer, text, lines, place) {
  const how = APPLY[layer];
  if (!how) throw new ByHand(lines.join('; '));
  return how(text, lines, place);
}
