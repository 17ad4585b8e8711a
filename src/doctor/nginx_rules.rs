//! For each finding about nginx, the location that lacks the line: file and line number, out of what `nginx -T` printed.
//! A location given as a regular expression is left out.

use super::finding::{Finding, Site};
use super::nginx_config::{Directive, MAX_DEPTH, read};
use crate::proxies::{Fact, FindingCode, NGINX, ProxyPosition, fixes};

/// A location that serves the path, and all levels around it, the innermost first.
struct Place<'a> {
    location: &'a Directive,
    levels: Vec<&'a [Directive]>,
    server: &'a Directive,
    /// Another place's `proxy_pass` leads here.
    inner: bool,
    /// This one's leads to another place.
    outer: bool,
}

/// Adds file and line to the findings about nginx. `dumps`: one per machine.
pub fn locate(findings: &mut [Finding], dumps: &[String], site: &Site) {
    let roots: Vec<Vec<Directive>> = dumps.iter().map(|dump| read(dump, NGINX.product().main_file)).collect();
    let host = site.origin.split("://").last().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let mut places: Vec<Place<'_>> = roots.iter().flat_map(|root| places(root, host, &site.base)).collect();
    order(&mut places);
    places.sort_by_key(|place| place.inner);
    for finding in findings.iter_mut().filter(|finding| finding.layer.engine() == NGINX) {
        ignored(finding, &places);
        let mut told = Vec::new();
        for place in &places {
            let position = if place.inner { ProxyPosition::Inner } else { ProxyPosition::Outer };
            let other = match finding.position {
                ProxyPosition::Outer => place.inner,
                ProxyPosition::Inner => place.outer && !place.inner,
                _ => false,
            };
            if other {
                continue;
            }
            let facts = fixes(finding.code, finding.layer, position);
            let missing: Vec<String> =
                facts.iter().filter(|fact| !place.has(fact)).map(|fact| format!("`{}`", fact.line)).collect();
            if !missing.is_empty() {
                told.push(format!("{} lacks {}", place.name(), missing.join(", ").replace("{base}", &site.base)));
            }
        }
        if !told.is_empty() {
            finding.place = Some(told.join("; "));
        } else if places.is_empty() {
            finding.evidence +=
                &format!(" (The {} file that was given has no location for this path and name.)", finding.layer.name());
        }
    }
}

/// `proxy_ignore_headers X-Accel-Buffering` looks like a second tier from outside; the file tells.
fn ignored(finding: &mut Finding, places: &[Place<'_>]) {
    if finding.code != FindingCode::Buffered {
        return;
    }
    let ignoring = places.iter().find_map(|place| {
        let directive = place.get("proxy_ignore_headers")?;
        directive.arguments().iter().any(|word| word.eq_ignore_ascii_case("x-accel-buffering")).then_some(directive)
    });
    if let Some(directive) = ignoring {
        finding.code = FindingCode::XAccelIgnored;
        finding.position = if places.len() == 1 { ProxyPosition::Single } else { ProxyPosition::Unknown };
        finding.evidence +=
            &format!(" {}:{} has proxy_ignore_headers X-Accel-Buffering.", directive.file, directive.line);
    }
}

/// Which place leads to which.
fn order(places: &mut [Place<'_>]) {
    let listens: Vec<Vec<String>> = places
        .iter()
        .map(|place| {
            let listen = place.server.block.iter().filter(|directive| directive.is("listen"));
            listen.filter_map(|listen| listen.arguments().first().map(|word| port(word))).collect()
        })
        .collect();
    for index in 0..places.len() {
        for target in places[index].targets() {
            let Some(to) = listens.iter().position(|ports| ports.contains(&port(&target))).filter(|to| *to != index)
            else {
                continue;
            };
            places[index].outer = true;
            places[to].inner = true;
        }
    }
}

fn port(address: &str) -> String {
    let address = address.rsplit_once("://").map_or(address, |(_, rest)| rest);
    let address = address.split('/').next().unwrap_or_default();
    address.rsplit_once(':').map_or(address, |(_, port)| port).to_owned()
}

impl<'a> Place<'a> {
    /// The directive in force: of the innermost level that has it.
    fn get(&self, name: &str) -> Option<&'a Directive> {
        self.levels.iter().find_map(|level| level.iter().find(|directive| directive.is(name)))
    }

    /// Headers are inherited only by a level that sets none itself.
    fn header(&self, name: &str) -> Option<&'a str> {
        let set = |directive: &&Directive| directive.is("proxy_set_header");
        let level = self.levels.iter().find(|level| level.iter().any(|directive| set(&directive)))?;
        let header = level.iter().filter(set).map(Directive::arguments);
        header
            .filter(|words| words.first().is_some_and(|word| word.eq_ignore_ascii_case(name)))
            .find_map(|words| words.get(1).map(String::as_str))
    }

    fn has(&self, fact: &Fact) -> bool {
        let wanted: Vec<&str> = fact.line.trim_end_matches(';').split_whitespace().collect();
        match wanted.as_slice() {
            ["proxy_set_header", name, value] => {
                let value_now = self.header(name);
                value_now == Some(*value) || value_now.is_some_and(|now| accepted(name, now, self.inner))
            }
            ["map", from, to, ..] => self.levels.last().is_some_and(|http| {
                http.iter().any(|map| map.is("map") && map.arguments().iter().map(String::as_str).eq([*from, *to]))
            }),
            ["location", ..] => self.get("proxy_pass").is_some(),
            // A time is a matter of taste once somebody chose one.
            [name, ..] if name.ends_with("_timeout") => self.get(name).is_some(),
            [name, words @ ..] => {
                self.get(name).is_some_and(|now| now.arguments().iter().map(String::as_str).eq(words.iter().copied()))
            }
            [] => true,
        }
    }

    fn targets(&self) -> Vec<String> {
        let Some(pass) = self.get("proxy_pass").and_then(|pass| pass.arguments().first()) else { return Vec::new() };
        let name =
            pass.rsplit_once("://").map_or(pass.as_str(), |(_, rest)| rest).split('/').next().unwrap_or_default();
        let upstream = self.levels.last().and_then(|http| {
            http.iter().find(|each| each.is("upstream") && each.arguments().first().is_some_and(|word| word == name))
        });
        match upstream {
            Some(upstream) => {
                let servers = upstream.block.iter().filter(|server| server.is("server"));
                servers.filter_map(|server| server.arguments().first().cloned()).collect()
            }
            None => vec![name.to_owned()],
        }
    }

    fn name(&self) -> String {
        let tier = match (self.outer, self.inner) {
            (true, false) => ", the outer tier",
            (false, true) => ", the inner tier",
            _ => "",
        };
        format!("{}:{} ({}{tier})", self.location.file, self.location.line, self.location.words.join(" "))
    }
}

/// Other values that do the same.
fn accepted(header: &str, value: &str, inner: bool) -> bool {
    match header {
        "Host" => matches!(value, "$host" | "$http_host"),
        // Over the visitor's address an inner tier would write that of the outer one.
        "X-Forwarded-For" if inner => matches!(value, "$proxy_add_x_forwarded_for" | "$http_x_forwarded_for"),
        "X-Forwarded-For" => matches!(value, "$remote_addr" | "$proxy_add_x_forwarded_for" | "$http_x_forwarded_for"),
        "Connection" => value.starts_with('$') || value.eq_ignore_ascii_case("upgrade"),
        _ => false,
    }
}

fn places<'a>(root: &'a [Directive], host: &str, path: &str) -> Vec<Place<'a>> {
    let mut named = Vec::new();
    let mut other = Vec::new();
    for http in root.iter().filter(|directive| directive.is("http")) {
        for server in http.block.iter().filter(|directive| directive.is("server")) {
            let Some(levels) = location(&server.block, path, vec![&http.block]) else { continue };
            let (location, mut levels) = levels;
            levels.reverse();
            let place = Place { location, levels, server, inner: false, outer: false };
            if serves(server, host) { named.push(place) } else { other.push(place) }
        }
    }
    if named.is_empty() { other } else { named }
}

fn serves(server: &Directive, host: &str) -> bool {
    let names: Vec<&String> =
        server.block.iter().filter(|each| each.is("server_name")).flat_map(Directive::arguments).collect();
    names.is_empty()
        || names.iter().any(|name| {
            let wildcard = name.strip_prefix('*').is_some_and(|end| host.ends_with(end));
            *name == host || *name == "_" || name.is_empty() || wildcard
        })
}

type Found<'a> = (&'a Directive, Vec<&'a [Directive]>);

/// The longest prefix, and inside it again. Levels come outermost first.
fn location<'a>(block: &'a [Directive], path: &str, mut levels: Vec<&'a [Directive]>) -> Option<Found<'a>> {
    if levels.len() > MAX_DEPTH {
        return None;
    }
    levels.push(block);
    let fitting = block.iter().filter(|directive| directive.is("location")).filter_map(|location| {
        let length = match location.arguments() {
            [prefix] => path.starts_with(prefix.as_str()).then_some(prefix.len()),
            [modifier, prefix] if modifier == "^~" => path.starts_with(prefix.as_str()).then_some(prefix.len()),
            _ => None,
        }?;
        Some((length, location))
    });
    let (_, best) = fitting.max_by_key(|(length, _)| *length)?;
    match location(&best.block, path, levels.clone()) {
        Some(deeper) => Some(deeper),
        None => {
            levels.push(&best.block);
            Some((best, levels))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = r#"# configuration file /etc/nginx/nginx.conf:
events { }
http {
    map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
    proxy_set_header Host $host; # inherited only where none is set
    include conf.d/*.conf;
}
# configuration file /etc/nginx/conf.d/inner.conf:
server {
    listen 127.0.0.1:8080;
    location / { proxy_pass http://127.0.0.1:3001; proxy_buffering off; }
}
# configuration file /etc/nginx/conf.d/outer.conf:
upstream tier { server 127.0.0.1:8080; }
server {
    listen 443 ssl;
    server_name example.ru;
    location / { proxy_pass http://tier; }
    location /api/ {
        proxy_pass http://tier;
        proxy_http_version 1.1;
        proxy_set_header Upgrade "$http_upgrade";
    }
}
server { listen 444; server_name other.example; location / { proxy_pass http://tier; } }
"#;

    fn located(code: FindingCode, tier: ProxyPosition, dump: &str) -> Finding {
        let site = Site { base: "/api/auth/max".into(), origin: "https://example.ru".into() };
        let mut findings = [Finding::new(code, NGINX, "").at(tier)];
        locate(&mut findings, &[dump.to_owned()], &site);
        findings[0].clone()
    }

    #[test]
    fn a_finding_gets_the_file_and_line_that_lacks_the_line() {
        let outer = "/etc/nginx/conf.d/outer.conf:6 (location /api/, the outer tier) lacks";
        assert_eq!(
            located(FindingCode::Buffered, ProxyPosition::Outer, DUMP).place.unwrap(),
            format!("{outer} `proxy_buffering off;`")
        );
        let place = located(FindingCode::WsUpgradeNotPassed, ProxyPosition::Unknown, DUMP).place.unwrap();
        assert!(place.contains(&format!("{outer} `proxy_set_header Connection $connection_upgrade;`; ")), "{place}");
        assert!(!place.contains("map"), "the map is there: {place}");
        let inner = "/etc/nginx/conf.d/inner.conf:3 (location /, the inner tier) lacks `proxy_http_version 1.1;`";
        assert!(place.contains(inner), "{place}");
        let host = located(FindingCode::HostRewritten, ProxyPosition::Outer, DUMP).place.unwrap();
        assert!(host.contains("lacks `proxy_set_header Host"), "a location that sets headers inherits none: {host}");
    }

    #[test]
    fn an_ignored_header_is_seen_in_the_file() {
        let dump =
            "http { server { location / {\nproxy_ignore_headers Expires X-Accel-Buffering; proxy_pass http://a; } } }";
        let finding = located(FindingCode::Buffered, ProxyPosition::Outer, dump);
        assert_eq!((finding.code, finding.position), (FindingCode::XAccelIgnored, ProxyPosition::Single));
        assert!(finding.evidence.contains("nginx.conf:2"), "{}", finding.evidence);
    }

    #[test]
    fn odd_text_is_no_harm() {
        for dump in ["", "{", "}}}}", "a {{{{", "\"", "include include;", "http{server{location / {", "${", "x ${y"] {
            located(FindingCode::Buffered, ProxyPosition::Outer, dump);
        }
        let deep = "a {".repeat(10_000);
        located(FindingCode::Buffered, ProxyPosition::Outer, &deep);
    }

    fn place_in(dump: &str, code: FindingCode) -> String {
        located(code, ProxyPosition::Unknown, dump).place.unwrap_or_default()
    }

    fn http(servers: &str) -> String {
        format!("http {{\n{servers}\n}}")
    }

    #[test]
    fn the_location_that_serves_the_path_is_found() {
        let pass = "proxy_pass http://127.0.0.1:3001;";
        for (servers, expected) in [
            ("server { location / { P } location /api { P } location /apis { P } }", "nginx.conf:2 (location /api)"),
            ("server { location ^~ /api/auth { P } location /api { P } }", "nginx.conf:2 (location ^~ /api/auth)"),
            ("server { location ~ /api/auth/max { P } location / { P } }", "nginx.conf:2 (location /)"),
            ("server { location /api { location /api/auth { P } } }", "nginx.conf:2 (location /api/auth)"),
            (
                "server { server_name a.example; location / { P } }\nserver { server_name example.ru; location / { P } }",
                "nginx.conf:3 (location /)",
            ),
            (
                "server { server_name *.ru; location / { P } }\nserver { server_name x.example; location / { P } }",
                "nginx.conf:2 (location /)",
            ),
            (
                "server { server_name x.example; location / { P } }\nserver { server_name _; location / { P } }",
                "nginx.conf:3 (location /)",
            ),
            (
                "server { server_name x.example; location / { P } }\nserver { server_name ''; location / { P } }",
                "nginx.conf:3 (location /)",
            ),
            ("server { server_name x.example; location / { P } }", "nginx.conf:2 (location /)"),
        ] {
            let place = place_in(&http(&servers.replace('P', pass)), FindingCode::Buffered);
            assert_eq!(place, format!("{expected} lacks `proxy_buffering off;`"), "{servers}");
        }
        let none = located(FindingCode::Buffered, ProxyPosition::Unknown, "http { server { location /x { } } }");
        assert!(none.place.is_none() && none.evidence.contains("The nginx file that was given has no location"));
    }

    #[test]
    fn what_is_there_in_another_form_is_not_asked_for() {
        let lacks = |lines: &str, code| {
            place_in(&http(&format!("server {{ location / {{ proxy_pass http://x; {lines} }} }}")), code)
        };
        use FindingCode::{
            Buffered, Cached, ClientAddressLost, HostRewritten, IdleTimeout, NotRouted, WsUpgradeNotPassed,
        };
        for (lines, code) in [
            ("proxy_buffering off;", Buffered),
            ("proxy_cache off;", Cached),
            ("proxy_read_timeout 5m; proxy_send_timeout 5m;", IdleTimeout),
            ("proxy_set_header Host $host;", HostRewritten),
            ("proxy_set_header host $http_host;", HostRewritten),
            ("proxy_set_header X-Forwarded-For $remote_addr;", ClientAddressLost),
            ("proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;", ClientAddressLost),
            ("proxy_set_header X-Forwarded-For $http_x_forwarded_for;", ClientAddressLost),
            ("", NotRouted),
        ] {
            assert_eq!(lacks(lines, code), "", "{lines}");
        }
        for (lines, code, line) in [
            ("proxy_buffering on;", Buffered, "`proxy_buffering off;`"),
            ("proxy_set_header Host $proxy_host;", HostRewritten, "`proxy_set_header Host $http_host;`"),
            ("proxy_set_header Host other;", HostRewritten, "`proxy_set_header Host $http_host;`"),
            (
                "proxy_set_header X-Forwarded-For me;",
                ClientAddressLost,
                "`proxy_set_header X-Forwarded-For $remote_addr;`",
            ),
            ("proxy_read_timeout 5m;", IdleTimeout, "`proxy_send_timeout 1h;`"),
        ] {
            assert_eq!(lacks(lines, code), format!("nginx.conf:2 (location /) lacks {line}"), "{lines}");
        }
        let mapped = |line: &str| {
            let place = "server { location / { proxy_pass http://x; proxy_http_version 1.1; proxy_set_header Upgrade \
                         $http_upgrade; proxy_set_header Connection $connection_upgrade; } }";
            place_in(&http(&format!("{line}\n{place}")), WsUpgradeNotPassed)
        };
        assert_eq!(mapped("map $http_upgrade $connection_upgrade { }"), "");
        for line in [
            "map $uri $connection_upgrade { }",
            "map $http_upgrade $other { }",
            "geo $http_upgrade $connection_upgrade { }",
        ] {
            assert!(mapped(line).contains("lacks `map"), "{line}: {}", mapped(line));
        }
        let upgrade = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection";
        for (value, line) in [("$any", "`map"), ("Upgrade", "`map"), ("''", "`proxy_set_header Connection")] {
            let place = lacks(&format!("{upgrade} {value};"), WsUpgradeNotPassed);
            assert!(place.contains(&format!("lacks {line}")), "{value}: {place}");
        }
    }

    #[test]
    fn tiers_are_told_by_where_they_lead() {
        let two = |outer: &str, inner: &str| {
            let servers = format!(
                "server {{ listen 80; location / {{ proxy_pass {outer}; }} }}\nserver {{ listen {inner}; location / {{ proxy_pass http://x:9; }} }}"
            );
            place_in(&http(&servers), FindingCode::Buffered)
        };
        let both = "nginx.conf:2 (location /, the outer tier) lacks `proxy_buffering off;`; nginx.conf:3 (location /, the inner tier) lacks \
                    `proxy_buffering off;`";
        for (outer, inner) in
            [("http://127.0.0.1:81", "81"), ("http://10.0.0.1:81/", "127.0.0.1:81"), ("http://h:81/a", "[::]:81")]
        {
            assert_eq!(two(outer, inner), both, "{outer} {inner}");
        }
        assert!(!two("http://127.0.0.1:82", "81").contains("tier"));
        let itself = http("server { listen 81; location / { proxy_pass http://127.0.0.1:81; } }");
        assert!(!place_in(&itself, FindingCode::Buffered).contains("tier"), "a server is not its own tier");
        // The inner tier must not write over the visitor's address.
        let inner = located(FindingCode::ClientAddressLost, ProxyPosition::Inner, DUMP).place.unwrap();
        assert!(inner.contains("inner.conf:3") && !inner.contains("outer.conf"), "{inner}");
        let outer = located(FindingCode::ClientAddressLost, ProxyPosition::Outer, DUMP).place.unwrap();
        assert!(outer.contains("outer.conf:6") && !outer.contains("inner.conf"), "{outer}");
    }

    #[test]
    fn only_an_ignored_x_accel_buffering_is_another_finding() {
        let with = |ignored: &str, code| {
            let dump = format!(
                "http {{ server {{ location / {{ proxy_pass http://x; proxy_ignore_headers {ignored}; }} }} }}"
            );
            located(code, ProxyPosition::Outer, &dump).code
        };
        assert_eq!(with("x-accel-buffering", FindingCode::Buffered), FindingCode::XAccelIgnored);
        assert_eq!(with("Expires", FindingCode::Buffered), FindingCode::Buffered);
        assert_eq!(with("X-Accel-Buffering", FindingCode::Compressed), FindingCode::Compressed);
        let other = Finding::new(FindingCode::Buffered, crate::proxies::layer("caddy"), "");
        let mut findings = [other.clone()];
        locate(&mut findings, &[DUMP.to_owned()], &Site { base: "/api".into(), origin: "https://example.ru".into() });
        assert_eq!(findings[0], other, "what is not nginx has no file here");
    }
}
