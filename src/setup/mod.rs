//! `max-auth setup TARGET`: a whole proxy or deployment file, with a comment why each line is there. The lines that
//! streams need and the templates come from `proxies`, where the doctor takes its fixes from. Apps are `app.rs`.

mod app;
mod refused;

use crate::proxies::{Layer, ProxyPosition, Template, templates};
pub use app::{AppOptions, apps, both_sides, client_id, known as app_named};
pub use refused::Refused;
use refused::{odd, safe};
use std::fmt::Write as _;

/// Where a comment begins (columns), unless its line is longer.
const COMMENT_AT: usize = 60;

/// The longest line with a comment behind it; above it the comment gets a line of its own.
const WIDTH: usize = 132;

/// What the files are about.
#[derive(Clone)]
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
    /// Apps sign in by OpenID Connect: its addresses are passed on, too.
    pub oidc: bool,
    /// The rest of the site is for who is signed in.
    pub protect: bool,
}

/// The file, as text.
pub fn file(target: &str, options: &Options) -> Result<String, Refused> {
    let known = templates().find(|(_, template)| template.target == target);
    let (layer, template) = known.ok_or_else(|| unknown(target))?;
    let values = values(template, options)?;
    let value = |name: &str| values.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value.as_str());
    for (option, asked) in [("oidc", options.oidc), ("protect", options.protect)] {
        if asked && !has_option(template, option) {
            return Err(Refused::NotThere { option, target: template.target, list: with_option(option).join(", ") });
        }
    }
    let tls = !options.plain && !is_inner(template);
    let wanted = |mark: &str| match mark {
        "?oidc" => options.oidc,
        "?protect" => options.protect,
        "?open" => !options.protect,
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
    for line in template.text.lines() {
        let (marks, line) = match line.strip_prefix('?') {
            Some(marked) => marked.split_once(' ').unwrap_or((marked, "")),
            None => ("", line),
        };
        if !marks.split('?').all(|mark| wanted(&format!("?{mark}"))) {
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        match line.trim_start().strip_prefix('@') {
            Some(id) => {
                if let Some(fact) = layer.product().fact(id) {
                    write_line(&mut out, indent, fact.line, fact.why, template.comments_behind, &values);
                }
            }
            None => {
                let (text, comment) = match line.find("    # ").filter(|_| !line.trim_start().starts_with('#')) {
                    Some(at) if template.comments_behind => (&line[..at], &line[at + 6..]),
                    _ => (line, ""),
                };
                write_line(&mut out, indent, text.trim_start(), comment, template.comments_behind, &values);
            }
        }
    }
    // An inline fact.
    for fact in layer.product().all_facts() {
        out = out.replace(&format!("{{={}}}", fact.id), fact.line);
    }
    Ok(out)
}

/// What can be set up, in the order of the help.
pub fn targets() -> Vec<&'static str> {
    let mut all: Vec<(Layer, &str)> = templates().map(|(layer, template)| (layer, template.target)).collect();
    // Tiers of one product stay together; what is not a proxy comes last.
    all.sort_by_key(|(layer, _)| (layer.is_elsewhere(), layer.name()));
    all.into_iter().map(|(_, target)| target).collect()
}

fn has_option(template: &Template, option: &str) -> bool {
    template.text.contains(&format!("\n?{option}"))
}

fn with_option(option: &str) -> Vec<&'static str> {
    let known =
        |target: &&str| templates().any(|(_, template)| template.target == *target && has_option(template, option));
    targets().into_iter().filter(known).collect()
}

fn is_inner(template: &Template) -> bool {
    template.position == ProxyPosition::Inner
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
fn values(template: &Template, options: &Options) -> Result<Vec<(&'static str, String)>, Refused> {
    let tls = !options.plain && !is_inner(template);
    let outer = template.position == ProxyPosition::Outer;
    let upstream =
        options.upstream.clone().unwrap_or(if outer { "127.0.0.1:8080" } else { "127.0.0.1:3001" }.to_owned());
    let site = options.site.clone().unwrap_or(if outer { upstream.clone() } else { "127.0.0.1:5000".to_owned() });
    let usual = match (is_inner(template), tls) {
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
    let certificate = options.certificate.clone().unwrap_or_else(|| match template.certificate {
        Some(usual) => usual.replace("{domain}", &options.domain),
        None => format!("{folder}/fullchain.pem"),
    });
    let key = options.key.clone().unwrap_or_else(|| format!("{folder}/privkey.pem"));
    for (option, path) in [("certificate", &certificate), ("key", &key)] {
        safe(option, path, "is a path without spaces", |byte| byte.is_ascii_graphic() && !b";{}\"'#".contains(&byte))?;
    }
    let everywhere = template.colon_port && address == "0.0.0.0";
    let listen = if everywhere { format!(":{port}") } else { listen.clone() };
    let mut values = vec![
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
    ];
    // First, because these may hold others.
    let own = template.values.iter().map(|(name, value)| (*name, (*value).to_owned()));
    values.splice(0..0, own);
    Ok(values)
}

fn unknown(target: &str) -> Refused {
    Refused::Unknown { target: target.to_owned(), files: targets().join(", "), apps: apps().join(", ") }
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
    use crate::proxies::{APP, FindingCode as Code};

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
            oidc: false,
            protect: false,
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
        for (layer, template) in templates() {
            for plain in [false, true] {
                let text = file(template.target, &Options { plain, ..options() }).unwrap();
                for left in ["{base}", "{=", "{upstream", "{site", "{listen}", "\n@", " @{", "?tls", "?plain"] {
                    assert!(!text.contains(left), "{} still has {left}:\n{text}", template.target);
                }
                assert!(text.contains("example.ru") && text.contains("/api/auth/max"), "{text}");
                let own = layer.product().all_facts().filter(|_| layer != APP);
                for fact in own.filter(|fact| fact.fixes.iter().any(|code| PREVENTED.contains(code))) {
                    let other = if is_inner(template) { "client" } else { "client-inner" };
                    let line = fact.line.lines().next().unwrap();
                    let line = fill(line, &values(template, &options()).unwrap());
                    assert!(text.contains(&line) || fact.id == other, "{} lacks {line}", template.target);
                }
            }
        }
    }

    #[test]
    fn a_comment_stands_behind_its_line_where_there_is_room() {
        let shown = |indent: usize, line: usize, why: usize, behind: bool| {
            let (indent, mut out) = (" ".repeat(indent), String::new());
            write_line(&mut out, &indent, &"x".repeat(line), &"y".repeat(why), behind, &[]);
            let comment = "y".repeat(why);
            match out.lines().collect::<Vec<_>>().as_slice() {
                [one] => one.find("# ").map_or("none".to_owned(), |at| format!("behind, at {at}")),
                [above, _] if *above == format!("{indent}# {comment}") => "above".to_owned(),
                other => panic!("{other:?}"),
            }
        };
        let room = WIDTH - COMMENT_AT - 2;
        for (indent, line, why, behind, expected) in [
            (4, 10, 20, true, format!("behind, at {COMMENT_AT}")),
            (4, 10, 20, false, "above".to_owned()),
            (4, 10, 0, true, "none".to_owned()),
            (4, 10, room, true, format!("behind, at {COMMENT_AT}")),
            (4, 10, room + 1, true, "above".to_owned()),
            (4, COMMENT_AT - 5, 5, true, format!("behind, at {COMMENT_AT}")),
            (4, COMMENT_AT - 4, 5, true, format!("behind, at {}", COMMENT_AT + 4)),
            (4, COMMENT_AT, 5, true, format!("behind, at {}", COMMENT_AT + 8)),
            (4, COMMENT_AT, room - 4, true, format!("behind, at {}", COMMENT_AT + 8)),
            (4, COMMENT_AT, room - 3, true, "above".to_owned()),
        ] {
            assert_eq!(shown(indent, line, why, behind), expected, "{indent} {line} {why} {behind}");
        }
        let mut out = String::new();
        write_line(&mut out, "  ", "a {\n}", "why", true, &[]);
        write_line(&mut out, "  ", "", "", true, &[]);
        assert_eq!(out, "  # why\n  a {\n  }\n\n");
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
        for (layer, template) in templates() {
            for line in template.text.lines() {
                let line = if line.starts_with('?') { line.split_once(' ').unwrap_or((line, "")).1 } else { line };
                if let Some(id) = line.trim_start().strip_prefix('@') {
                    assert!(layer.product().fact(id).is_some(), "{}: @{id}", template.target);
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
        for list in [": angie, angie-outer,", "traefik, compose, systemd\n", "with MAX: authjs, gitea,"] {
            assert!(unknown.contains(list), "{unknown}");
        }
    }

    /// Each file as it is printed: by itself, over plain HTTP, and with every option.
    #[test]
    fn each_target_prints_what_is_kept() {
        let given = Options {
            domain: "login.example.ru".into(),
            upstream: Some("10.0.0.2:3001".into()),
            site: Some("10.0.0.3:8000".into()),
            base_path: "/max".into(),
            listen: Some("192.0.2.1:8443".into()),
            certificate: Some("/etc/tls/site.pem".into()),
            key: Some("/etc/tls/site.key".into()),
            plain: false,
            oidc: false,
            protect: false,
        };
        let port = Options { listen: Some("8443".into()), ..options() };
        for target in targets() {
            let mut text = String::new();
            for (title, options) in [
                ("as it is", options()),
                ("--plain", Options { plain: true, ..options() }),
                ("--listen 8443", port.clone()),
                ("every option", given.clone()),
                ("every option and --plain", Options { plain: true, ..given.clone() }),
                ("--oidc", Options { oidc: true, ..options() }),
                ("--protect", Options { protect: true, ..options() }),
                ("--oidc --protect --plain", Options { oidc: true, protect: true, plain: true, ..options() }),
            ] {
                let file = file(target, &options).unwrap_or_else(|refused| refused.to_string());
                let _ = writeln!(text, "=== {title}\n{file}");
            }
            crate::snapshot::assert_snapshot(&format!("setup/snapshots/{target}.txt"), &text);
        }
    }

    #[test]
    fn what_is_refused_is_said_with_its_option() {
        let with = |change: &dyn Fn(&mut Options)| {
            let mut options = options();
            change(&mut options);
            file("nginx", &options).err().map(|refused| refused.to_string().split(' ').next().unwrap().to_owned())
        };
        let some = |text: &str| Some(text.to_owned());
        for domain in ["a_b", "b/c", ".\u{451}", "a'b"] {
            assert_eq!(with(&|options| options.domain = domain.into()).as_deref(), Some("--domain"), "{domain}");
        }
        assert_eq!(with(&|options| options.domain = "a-b.9.ru".into()), None);
        for base in ["", "/", "max", "/max/", "/a b", "/a;b", "/a\"b"] {
            assert_eq!(with(&|options| options.base_path = base.into()).as_deref(), Some("--base-path"), "{base}");
        }
        for base in ["/a", "/a/b-c_d.e~f"] {
            assert_eq!(with(&|options| options.base_path = base.into()), None, "{base}");
        }
        for address in ["", "host", ":80", "host:", "host:x", "host:65536", "ho st:80", "ho;st:80"] {
            assert_eq!(with(&|options| options.upstream = some(address)).as_deref(), Some("--upstream"), "{address}");
            assert_eq!(with(&|options| options.site = some(address)).as_deref(), Some("--site"), "{address}");
            assert_eq!(with(&|options| options.listen = some(address)).as_deref(), Some("--listen"), "{address}");
        }
        for address in ["[::1]:80", "my-host_1.local:65535"] {
            assert_eq!(with(&|options| options.upstream = some(address)), None, "{address}");
        }
        for path in ["", "/a b", "/a;b", "/a{b", "/a}b", "/a\"b", "/a'b", "/a#b", "/\u{451}"] {
            let refused = with(&|options| options.certificate = some(path));
            assert_eq!(refused.as_deref(), Some("--certificate"), "{path}");
            assert_eq!(with(&|options| options.key = some(path)).as_deref(), Some("--key"), "{path}");
        }
    }
}
