//! Reads what `nginx -T` prints and finds, for each finding, the location that lacks the line: file and line number.
//! No more of nginx is understood than that takes; a location given as a regular expression is left out.

use super::finding::{Finding, Site};
use crate::config::facts::{Code, Fact, Layer, Tier, fix};
use std::rc::Rc;

/// How deep blocks and includes may be nested; more is no configuration.
const DEPTH: usize = 24;

/// One directive, with its block if it has one.
#[derive(Clone, Debug)]
struct Directive {
    words: Vec<String>,
    file: Rc<str>,
    line: usize,
    block: Vec<Directive>,
}

impl Directive {
    fn is(&self, name: &str) -> bool {
        self.words.first().is_some_and(|word| word == name)
    }

    fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

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
    let roots: Vec<Vec<Directive>> = dumps.iter().map(|dump| read(dump)).collect();
    let host = site.origin.split("://").last().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let mut places: Vec<Place<'_>> = roots.iter().flat_map(|root| places(root, host, &site.base)).collect();
    order(&mut places);
    places.sort_by_key(|place| place.inner);
    for finding in findings.iter_mut().filter(|finding| finding.layer == Layer::Nginx) {
        ignored(finding, &places);
        let mut told = Vec::new();
        for place in &places {
            let tier = if place.inner { Tier::Inner } else { Tier::Outer };
            let other = match finding.tier {
                Tier::Outer => place.inner,
                Tier::Inner => place.outer && !place.inner,
                _ => false,
            };
            if other {
                continue;
            }
            let facts = fix(finding.code, Layer::Nginx, tier);
            let missing: Vec<String> =
                facts.iter().filter(|fact| !place.has(fact)).map(|fact| format!("`{}`", fact.line)).collect();
            if !missing.is_empty() {
                told.push(format!("{} lacks {}", place.name(), missing.join(", ").replace("{base}", &site.base)));
            }
        }
        if !told.is_empty() {
            finding.place = Some(told.join("; "));
        } else if places.is_empty() {
            finding.evidence += " (The nginx file that was given has no location for this path and name.)";
        }
    }
}

/// `proxy_ignore_headers X-Accel-Buffering` looks like a second tier from outside; the file tells.
fn ignored(finding: &mut Finding, places: &[Place<'_>]) {
    if finding.code != Code::Buffered {
        return;
    }
    let ignoring = places.iter().find_map(|place| {
        let directive = place.get("proxy_ignore_headers")?;
        directive.arguments().iter().any(|word| word.eq_ignore_ascii_case("x-accel-buffering")).then_some(directive)
    });
    if let Some(directive) = ignoring {
        finding.code = Code::XAccelIgnored;
        finding.tier = if places.len() == 1 { Tier::Single } else { Tier::Unknown };
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
    if levels.len() > DEPTH {
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

/// The whole tree, includes in their places. Text without markers is one file.
fn read(dump: &str) -> Vec<Directive> {
    let mut files: Vec<(Rc<str>, Vec<Directive>)> = Vec::new();
    let mut name: Rc<str> = "nginx.conf".into();
    let mut text = String::new();
    for line in dump.lines() {
        let marker = line.strip_prefix("# configuration file ").and_then(|rest| rest.strip_suffix(':'));
        match marker {
            Some(path) => {
                push(&mut files, &name, &text);
                name = path.into();
                text.clear();
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    push(&mut files, &name, &text);
    let Some((main, root)) = files.first() else { return Vec::new() };
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    expand(root, &files, &folder, 0)
}

fn push(files: &mut Vec<(Rc<str>, Vec<Directive>)>, name: &Rc<str>, text: &str) {
    let mut words = tokens(text).into_iter().peekable();
    if words.peek().is_some() {
        files.push((Rc::clone(name), block(&mut words, name, 0)));
    }
}

fn expand(block: &[Directive], files: &[(Rc<str>, Vec<Directive>)], folder: &str, depth: usize) -> Vec<Directive> {
    let mut out = Vec::new();
    if depth > DEPTH {
        return out;
    }
    for directive in block {
        match (directive.is("include"), directive.arguments().first()) {
            (true, Some(pattern)) => {
                let pattern = if pattern.starts_with('/') { pattern.clone() } else { format!("{folder}/{pattern}") };
                for (_, included) in files.iter().filter(|(name, _)| glob(&pattern, name)) {
                    out.extend(expand(included, files, folder, depth + 1));
                }
            }
            _ => {
                let mut directive = directive.clone();
                directive.block = expand(&directive.block, files, folder, depth + 1);
                out.push(directive);
            }
        }
    }
    out
}

/// `*` within one folder.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            let Some(rest) = name.strip_prefix(before) else { return false };
            (0..=rest.len())
                .filter(|end| rest.is_char_boundary(*end) && !rest[..*end].contains('/'))
                .any(|end| glob(after, &rest[end..]))
        }
    }
}

enum Token {
    Word(String, usize),
    Open,
    Close,
    End,
}

fn block(tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>, file: &Rc<str>, depth: usize) -> Vec<Directive> {
    let mut out = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut line = 0;
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word, at) => {
                if words.is_empty() {
                    line = at;
                }
                words.push(word);
            }
            Token::Close => break,
            Token::End | Token::Open => {
                let inside = match token {
                    Token::Open if depth < DEPTH => block(tokens, file, depth + 1),
                    _ => Vec::new(),
                };
                if !words.is_empty() {
                    out.push(Directive {
                        words: std::mem::take(&mut words),
                        file: Rc::clone(file),
                        line,
                        block: inside,
                    });
                }
            }
        }
    }
    out
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut line = 1;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => line += 1,
            '#' => while characters.next_if(|next| *next != '\n').is_some() {},
            ';' => out.push(Token::End),
            '{' => out.push(Token::Open),
            '}' => out.push(Token::Close),
            quote @ ('"' | '\'') => {
                let (mut word, began) = (String::new(), line);
                while let Some(next) = characters.next() {
                    match next {
                        '\\' => word.extend(characters.next()),
                        _ if next == quote => break,
                        _ => {
                            line += usize::from(next == '\n');
                            word.push(next);
                        }
                    }
                }
                out.push(Token::Word(word, began));
            }
            _ if character.is_whitespace() => {}
            _ => {
                let mut word = String::from(character);
                // `${name}` is part of a word.
                while let Some(next) =
                    characters.next_if(|next| !next.is_whitespace() && !";{}".contains(*next) || *next == '{')
                {
                    if next == '{' && !word.ends_with('$') {
                        out.push(Token::Word(std::mem::take(&mut word), line));
                        out.push(Token::Open);
                        break;
                    }
                    word.push(next);
                    if next == '{' {
                        for inside in characters.by_ref() {
                            word.push(inside);
                            if inside == '}' {
                                break;
                            }
                        }
                    }
                }
                if !word.is_empty() {
                    out.push(Token::Word(word, line));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;

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

    fn located(code: Code, tier: Tier, dump: &str) -> Finding {
        let site = Site { base: "/api/auth/max".into(), origin: "https://example.ru".into() };
        let mut findings = [Finding::new(code, Severity::Fault, Layer::Nginx, tier, "")];
        locate(&mut findings, &[dump.to_owned()], &site);
        findings[0].clone()
    }

    #[test]
    fn a_finding_gets_the_file_and_line_that_lacks_the_line() {
        let outer = "/etc/nginx/conf.d/outer.conf:6 (location /api/, the outer tier) lacks";
        assert_eq!(
            located(Code::Buffered, Tier::Outer, DUMP).place.unwrap(),
            format!("{outer} `proxy_buffering off;`")
        );
        let place = located(Code::WsUpgradeNotPassed, Tier::Unknown, DUMP).place.unwrap();
        assert!(place.contains(&format!("{outer} `proxy_set_header Connection $connection_upgrade;`; ")), "{place}");
        assert!(!place.contains("map"), "the map is there: {place}");
        let inner = "/etc/nginx/conf.d/inner.conf:3 (location /, the inner tier) lacks `proxy_http_version 1.1;`";
        assert!(place.contains(inner), "{place}");
        let host = located(Code::HostRewritten, Tier::Outer, DUMP).place.unwrap();
        assert!(host.contains("lacks `proxy_set_header Host"), "a location that sets headers inherits none: {host}");
    }

    #[test]
    fn an_ignored_header_is_seen_in_the_file() {
        let dump =
            "http { server { location / {\nproxy_ignore_headers Expires X-Accel-Buffering; proxy_pass http://a; } } }";
        let finding = located(Code::Buffered, Tier::Outer, dump);
        assert_eq!((finding.code, finding.tier), (Code::XAccelIgnored, Tier::Single));
        assert!(finding.evidence.contains("nginx.conf:2"), "{}", finding.evidence);
    }

    #[test]
    fn odd_text_is_no_harm() {
        for dump in ["", "{", "}}}}", "a {{{{", "\"", "include include;", "http{server{location / {", "${", "x ${y"] {
            located(Code::Buffered, Tier::Outer, dump);
        }
        let deep = "a {".repeat(10_000);
        located(Code::Buffered, Tier::Outer, &deep);
    }
}
