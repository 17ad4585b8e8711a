//! `max-auth setup TARGET`: a whole proxy or deployment file, with a comment why each line is there. The lines that
//! streams need come from `config::facts`, where the doctor takes its fixes from.

use crate::config::facts::{Fact, Layer, facts};
use std::fmt::Write as _;

/// Where a comment begins (columns), unless its line is longer.
const COMMENT_AT: usize = 60;

/// The longest line with a comment behind it; above it the comment gets a line of its own.
const WIDTH: usize = 132;

/// What can be set up.
struct Target {
    name: &'static str,
    layer: Layer,
    template: &'static str,
    /// Reached by another proxy and not by visitors: no TLS, and its own default address.
    inner: bool,
    /// Comments behind a line are part of the line in Apache's files and in systemd's.
    comments_behind: bool,
}

const fn target(name: &'static str, layer: Layer, template: &'static str) -> Target {
    Target { name, layer, template, inner: false, comments_behind: true }
}

const TARGETS: &[Target] = &[
    target("nginx", Layer::Nginx, include_str!("templates/nginx.conf")),
    target("nginx-outer", Layer::Nginx, include_str!("templates/nginx.conf")),
    Target { inner: true, ..target("nginx-inner", Layer::Nginx, include_str!("templates/nginx-inner.conf")) },
    target("haproxy", Layer::Haproxy, include_str!("templates/haproxy.cfg")),
    target("caddy", Layer::Caddy, include_str!("templates/Caddyfile")),
    target("traefik", Layer::Traefik, include_str!("templates/traefik.yml")),
    target("envoy", Layer::Envoy, include_str!("templates/envoy.yaml")),
    Target { comments_behind: false, ..target("apache", Layer::Apache, include_str!("templates/apache.conf")) },
    target("compose", Layer::App, include_str!("templates/compose.yaml")),
    Target { comments_behind: false, ..target("systemd", Layer::App, include_str!("templates/max-auth.service")) },
];

/// What the files are about.
pub struct Options {
    pub domain: String,
    /// Where max-auth listens (for `nginx-outer`: the inner tier).
    pub upstream: Option<String>,
    /// The site's own application.
    pub site: Option<String>,
    pub base_path: String,
    /// Where the proxy listens.
    pub listen: Option<String>,
    pub certificate: Option<String>,
    pub key: Option<String>,
    /// Visitors come over plain HTTP: for tries, and for a proxy behind one that ends TLS.
    pub plain: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("there is nothing to set up for {0:?}; known are: {list}", list = TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", "))]
    Unknown(String),
    #[error("--{option} {value:?}: {why}")]
    Odd { option: &'static str, value: String, why: &'static str },
}

/// The file, as text.
pub fn file(target: &str, options: &Options) -> Result<String, Refused> {
    let known = TARGETS.iter().find(|known| known.name == target);
    let target = known.ok_or_else(|| Refused::Unknown(target.to_owned()))?;
    let values = values(target, options)?;
    let value = |name: &str| values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
    let tls = !options.plain && !target.inner;
    let wanted = |mark: &str| match mark {
        "?tls" => tls,
        "?plain" => !tls,
        "?redirect" => tls && value("port") == "443",
        // A bare port: all addresses, those of IPv6 too.
        "?tls-six" => tls && value("listen") == value("port"),
        "?plain-six" => !tls && value("listen") == value("port"),
        "?own-certificate" => tls && options.certificate.is_some(),
        _ => true,
    };
    let mut out = String::new();
    for line in target.template.lines() {
        let (mark, line) = match line.strip_prefix('?') {
            Some(_) => line.split_once(' ').unwrap_or((line, "")),
            None => ("", line),
        };
        if !wanted(mark) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.trim_start().strip_prefix('@') {
            Some(id) => {
                if let Some(fact) = fact(target.layer, id) {
                    write_line(&mut out, indent, fact.line, fact.why, target.comments_behind, &values);
                }
            }
            None => {
                let (text, comment) = match line.find("    # ").filter(|_| !line.trim_start().starts_with('#')) {
                    Some(at) if target.comments_behind => (&line[..at], &line[at + 6..]),
                    _ => (line, ""),
                };
                write_line(&mut out, indent, text.trim_start(), comment, target.comments_behind, &values);
            }
        }
    }
    // An inline fact.
    for fact in facts().filter(|fact| fact.layer == target.layer) {
        out = out.replace(&format!("{{={}}}", fact.id), fact.line);
    }
    Ok(out)
}

fn fact(layer: Layer, id: &str) -> Option<&'static Fact> {
    facts().find(|fact| fact.layer == layer && fact.id == id)
}

/// One line (or block) with its comment behind or, where there is no room, above it.
fn write_line(out: &mut String, indent: &str, line: &str, why: &str, behind: bool, values: &[(&'static str, String)]) {
    let (line, why) = (fill(line, values), fill(why, values));
    let width = indent.len() + line.len();
    let fits = behind && !line.contains('\n') && width.max(COMMENT_AT) + why.len() + 2 <= WIDTH;
    if !why.is_empty() && !fits {
        let _ = writeln!(out, "{indent}# {why}");
    }
    for part in line.lines() {
        let part = format!("{indent}{part}");
        match !why.is_empty() && fits {
            true if part.len() < COMMENT_AT => {
                let _ = writeln!(out, "{part:<COMMENT_AT$}# {why}");
            }
            true => {
                let _ = writeln!(out, "{part}    # {why}");
            }
            false => {
                let _ = writeln!(out, "{}", part.trim_end());
            }
        }
    }
    if line.is_empty() {
        out.push('\n');
    }
}

fn fill(text: &str, values: &[(&'static str, String)]) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// What the templates' placeholders stand for.
fn values(target: &Target, options: &Options) -> Result<Vec<(&'static str, String)>, Refused> {
    let tls = !options.plain && !target.inner;
    let outer = target.name == "nginx-outer";
    let upstream =
        options.upstream.clone().unwrap_or(if outer { "127.0.0.1:8080" } else { "127.0.0.1:3001" }.to_owned());
    let site = options.site.clone().unwrap_or(if outer { upstream.clone() } else { "127.0.0.1:5000".to_owned() });
    let usual = match (target.inner, tls) {
        (true, _) => "127.0.0.1:8080",
        (false, true) => "443",
        (false, false) => "80",
    };
    let listen = options.listen.clone().unwrap_or_else(|| usual.to_owned());
    let (upstream_host, upstream_port) = host_and_port("upstream", &upstream)?;
    let (site_host, site_port) = host_and_port("site", &site)?;
    let (address, port) = match listen.parse::<u16>() {
        Ok(_) => ("0.0.0.0", listen.as_str()),
        Err(_) => host_and_port("listen", &listen)?,
    };
    safe("domain", &options.domain, "is not a name such as example.ru", |byte| {
        byte.is_ascii_alphanumeric() || b".-".contains(&byte)
    })?;
    safe("base-path", &options.base_path, "is not a path such as /api/auth/max", |byte| {
        byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte)
    })?;
    if !options.base_path.starts_with('/') || options.base_path.len() < 2 || options.base_path.ends_with('/') {
        return Err(odd("base-path", &options.base_path, "begins with / and does not end with one"));
    }
    let folder = format!("/etc/letsencrypt/live/{}", options.domain);
    let certificate = options.certificate.clone().unwrap_or_else(|| match target.layer {
        Layer::Haproxy => format!("/etc/haproxy/{}.pem", options.domain),
        _ => format!("{folder}/fullchain.pem"),
    });
    let key = options.key.clone().unwrap_or_else(|| format!("{folder}/privkey.pem"));
    for (option, path) in [("certificate", &certificate), ("key", &key)] {
        safe(option, path, "is a path without spaces", |byte| byte.is_ascii_graphic() && !b";{}\"'#".contains(&byte))?;
    }
    let title = if outer { "The outer tier: what visitors reach." } else { "One nginx between visitors and max-auth." };
    // HAProxy and Traefik name every address with a colon.
    let everywhere = matches!(target.layer, Layer::Haproxy | Layer::Traefik) && address == "0.0.0.0";
    let listen = if everywhere { format!(":{port}") } else { listen.clone() };
    Ok(vec![
        ("title", title.to_owned()),
        ("domain", options.domain.clone()),
        ("scheme", if tls { "https" } else { "http" }.to_owned()),
        ("base", options.base_path.clone()),
        ("upstream-host", upstream_host.to_owned()),
        ("upstream-port", upstream_port.to_owned()),
        ("upstream", upstream.clone()),
        ("site-host", site_host.to_owned()),
        ("site-port", site_port.to_owned()),
        ("site", site.clone()),
        ("next", if outer { "the inner tier" } else { "max-auth (server.listen)" }.to_owned()),
        ("rest", if outer { "the inner tier" } else { "your application" }.to_owned()),
        ("address", address.to_owned()),
        ("port", port.to_owned()),
        ("listen", listen),
        ("certificate", certificate),
        ("key", key),
    ])
}

fn odd(option: &'static str, value: &str, why: &'static str) -> Refused {
    Refused::Odd { option, value: value.to_owned(), why }
}

/// What goes into a configuration file must not be able to end its line.
fn safe(option: &'static str, value: &str, why: &'static str, fine: impl Fn(u8) -> bool) -> Result<(), Refused> {
    if !value.is_empty() && value.bytes().all(fine) { Ok(()) } else { Err(odd(option, value, why)) }
}

fn host_and_port<'a>(option: &'static str, address: &'a str) -> Result<(&'a str, &'a str), Refused> {
    let why = "is not an address such as 127.0.0.1:3001";
    let (host, port) = address.rsplit_once(':').ok_or_else(|| odd(option, address, why))?;
    safe(option, host, why, |byte| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte))?;
    port.parse::<u16>().map_err(|_| odd(option, address, why))?;
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::facts::Code;

    fn options() -> Options {
        Options {
            domain: "example.ru".into(),
            upstream: None,
            site: None,
            base_path: "/api/auth/max".into(),
            listen: None,
            certificate: None,
            key: None,
            plain: false,
        }
    }

    /// What a file that was just set up must not lack.
    const PREVENTED: &[Code] = &[
        Code::WsUpgradeNotPassed,
        Code::WsUpgradeRefused,
        Code::Buffered,
        Code::Delayed,
        Code::IdleTimeout,
        Code::TotalTimeout,
        Code::ClientAddressLost,
        Code::HostRewritten,
    ];

    #[test]
    fn every_file_holds_the_facts_of_its_layer_and_no_placeholder() {
        for target in TARGETS {
            for plain in [false, true] {
                let text = file(target.name, &Options { plain, ..options() }).unwrap();
                for left in ["{base}", "{=", "{upstream", "{site", "{listen}", "\n@", " @{", "?tls", "?plain"] {
                    assert!(!text.contains(left), "{} still has {left}:\n{text}", target.name);
                }
                assert!(text.contains("example.ru") && text.contains("/api/auth/max"), "{text}");
                let own = facts().filter(|fact| fact.layer == target.layer && target.layer != Layer::App);
                for fact in own.filter(|fact| fact.cures.iter().any(|code| PREVENTED.contains(code))) {
                    let other = if target.inner { "client" } else { "client-inner" };
                    let line = fact.line.lines().next().unwrap();
                    let line = fill(line, &values(target, &options()).unwrap());
                    assert!(text.contains(&line) || fact.id == other, "{} lacks {line}", target.name);
                }
            }
        }
    }

    #[test]
    fn nginx_listens_on_ipv6_too_unless_told_an_address() {
        for target in ["nginx", "nginx-outer"] {
            let text = file(target, &options()).unwrap();
            for line in ["    listen [::]:80;", "    listen [::]:443 ssl http2;", "    listen 443 ssl http2;"] {
                assert!(text.contains(line), "{target} lacks {line}:\n{text}");
            }
            let plain = file(target, &Options { plain: true, ..options() }).unwrap();
            assert!(plain.contains("    listen [::]:80;"), "{plain}");
        }
        let one = file("nginx", &Options { listen: Some("127.0.0.1:8443".into()), ..options() }).unwrap();
        assert!(!one.contains("[::]"), "{one}");
    }

    #[test]
    fn every_reference_of_a_template_is_a_fact() {
        for target in TARGETS {
            for line in target.template.lines() {
                let line = if line.starts_with('?') { line.split_once(' ').unwrap_or((line, "")).1 } else { line };
                if let Some(id) = line.trim_start().strip_prefix('@') {
                    assert!(fact(target.layer, id).is_some(), "{}: @{id}", target.name);
                }
            }
        }
    }

    #[test]
    fn nothing_odd_gets_into_a_file() {
        for domain in ["", "a b", "example.ru;", "a\nb", "a{b"] {
            assert!(file("nginx", &Options { domain: domain.into(), ..options() }).is_err(), "{domain}");
        }
        let bad = file("nginx", &Options { upstream: Some("localhost".into()), ..options() });
        assert_eq!(bad.unwrap_err().to_string(), "--upstream \"localhost\": is not an address such as 127.0.0.1:3001");
        let unknown = file("iis", &options()).unwrap_err().to_string();
        assert!(
            unknown.contains("nginx, nginx-outer, nginx-inner, haproxy, caddy, traefik, envoy, apache, compose"),
            "{unknown}"
        );
    }
}
