//! `max-auth setup APP`: both sides of an app that signs people in with MAX, our `[[oidc.clients]]` and its own settings. All
//! that is known of an app stands on its page of docs/recipes: the blocks whose fence has a `title` go where that says.

use super::refused::{Refused, odd, safe};
use crate::base::id;
use crate::base::rng::Rng;
use crate::config::secret_hash;
use std::fmt::Write as _;
use url::Url;

/// By the names of the presets, with their pages.
const PAGES: &[(&str, &str)] = &[
    ("authjs", include_str!("../../docs/recipes/authjs.md")),
    ("gitea", include_str!("../../docs/recipes/gitea.md")),
    ("gitlab", include_str!("../../docs/recipes/gitlab.md")),
    ("grafana", include_str!("../../docs/recipes/grafana.md")),
    ("keycloak", include_str!("../../docs/recipes/keycloak.md")),
    ("mod_auth_openidc", include_str!("../../docs/recipes/mod_auth_openidc.md")),
    ("nextcloud", include_str!("../../docs/recipes/nextcloud.md")),
    ("oauth2-proxy", include_str!("../../docs/recipes/oauth2-proxy.md")),
    ("portainer", include_str!("../../docs/recipes/portainer.md")),
    ("synapse", include_str!("../../docs/recipes/synapse.md")),
];

/// What the pages have for the address of max-auth.
const PAGES_ISSUER: &str = "example.ru";

/// What the pages have for the hash of the app's secret, for the secret, and for another one that only the app knows.
const HASH: &str = "sha256:…";
const SECRET: &str = "CLIENT_SECRET";
const OTHER_SECRET: &str = "OTHER_SECRET";

/// What the two sides are about.
pub struct AppOptions<'a> {
    /// The app's host, and its port where it has one of its own.
    pub domain: &'a str,
    /// Where people sign in: `oidc.issuer`, or `server.public_url` without a slash at its end.
    pub issuer: &'a str,
    pub rng: &'a Rng,
}

/// A fenced block of a page.
struct Block<'a> {
    language: &'a str,
    /// Where it goes; a block without is no part of an app's settings.
    title: Option<&'a str>,
    text: &'a str,
}

/// Every app, in the order of the help.
pub fn apps() -> Vec<&'static str> {
    PAGES.iter().map(|(name, _)| *name).collect()
}

/// Its preset, as the configuration has it, for a name that is one.
pub fn known(target: &str) -> Option<&'static str> {
    PAGES.iter().map(|(name, _)| *name).find(|name| *name == target)
}

/// The `id` of its client.
pub fn client_id(target: &str) -> Option<&'static str> {
    let (_, page) = PAGES.iter().find(|(name, _)| *name == target)?;
    let ours = ours(page)?;
    ours.text.lines().find_map(|line| line.strip_prefix("id = \"")?.strip_suffix('"'))
}

/// Both sides, as text; nothing for a name that is no app's.
pub fn both_sides(target: &str, options: &AppOptions<'_>) -> Option<Result<String, Refused>> {
    let (name, page) = PAGES.iter().find(|(name, _)| *name == target)?;
    // Every page has both; `each_page_has_what_is_printed` holds that.
    let (ours, host) = (ours(page)?, host(page)?);
    Some(print(name, page, &ours, host, options))
}

fn print(
    name: &'static str,
    page: &str,
    ours: &Block<'_>,
    host: &str,
    options: &AppOptions<'_>,
) -> Result<String, Refused> {
    let there = App::of(options)?;
    let app = title(page);
    if there.is_beside_us && ours.text.contains(&format!("{host}/oauth2/")) {
        return Err(Refused::Clash { app: name, host: there.host });
    }
    let (secret, other) = (id::encode(&options.rng.bytes::<32>()), id::encode(&options.rng.bytes::<32>()));
    let fill = |text: &str| {
        let text = there.filled(text, host);
        text.replace(HASH, &secret_hash(&secret)).replace(SECRET, &secret).replace(OTHER_SECRET, &other)
    };
    let issuer = options.issuer;
    let mut out = String::new();
    let _ = writeln!(out, "# {app} signs people in with MAX at {issuer}: a part for max-auth, the rest for {app}.");
    let _ = writeln!(
        out,
        "# Ids, paths and names are usual ones: change them on both sides alike. The secret is shown once."
    );
    let _ = writeln!(
        out,
        "\n# ===== max-auth: the end of its file of settings (--config FILE); then: max-auth config check --config FILE"
    );
    out += &fill(ours.text);
    if ours.text.contains("group:admins") {
        let _ = writeln!(out, "# [groups] must say who that is: admins = [\"max:401041669\"]");
    } else {
        let _ = writeln!(out, "# allow = [\"group:staff\"]    # who may; without it, everybody who has MAX");
    }
    for block in blocks(page) {
        let Some(title) = block.title else { continue };
        let comment = if block.language == "js" { "//" } else { "#" };
        let _ = writeln!(out, "\n{comment} ===== {app}: {title}");
        out += &fill(block.text);
    }
    out.push('\n');
    for paragraph in page.split("\n\n").filter(|text| text.starts_with("**The ") && text.contains("trap.**")) {
        for line in fill(paragraph).replace("**", "").replace('`', "").lines() {
            let _ = writeln!(out, "# {line}");
        }
        out.push('\n');
    }
    let sign_in = there.issuer.host_str().unwrap_or_default();
    let _ = writeln!(
        out,
        "# The proxy passes OpenID Connect on to max-auth: max-auth setup PROXY --domain {sign_in} --oidc"
    );
    let _ = writeln!(out, "# More: docs/recipes/{name}.md");
    Ok(out)
}

/// The addresses that take the place of the pages' own.
struct App {
    /// With its port.
    host: String,
    origin: String,
    issuer: Url,
    issuer_text: String,
    is_beside_us: bool,
}

impl App {
    fn of(options: &AppOptions<'_>) -> Result<Self, Refused> {
        let why = "is not a name such as app.example.ru";
        safe("domain", options.domain, why, |byte| byte.is_ascii_alphanumeric() || b".-:".contains(&byte))?;
        if options.domain.split(['.', ':']).any(str::is_empty) {
            return Err(odd("domain", options.domain, why));
        }
        // By the rules of addresses: 443 is no port of its own.
        let of = |scheme: &str| Url::parse(&format!("{scheme}://{}/", options.domain)).ok();
        let odd_domain = || odd("domain", options.domain, why);
        // A client's address may be plain on this machine only (RFC 9700 §2.6).
        let here = of("http").is_some_and(|url| matches!(url.host_str(), Some("127.0.0.1" | "localhost")));
        let app = of(if here { "http" } else { "https" }).ok_or_else(odd_domain)?;
        let origin = app.origin().ascii_serialization();
        let host = origin.split_once("://").map(|(_, host)| host.to_owned()).ok_or_else(odd_domain)?;
        let issuer = issuer(options.issuer)?;
        let is_beside_us = issuer.host_str() == app.host_str();
        Ok(Self { host, origin, issuer_text: options.issuer.to_owned(), issuer, is_beside_us })
    }

    /// In one go, so that an address that was put in is not taken for one of the page's.
    fn filled(&self, text: &str, pages_host: &str) -> String {
        let encoded = |text: &str| text.replace(':', "%3A").replace('/', "%2F");
        let issuers_host = &self.issuer[url::Position::BeforeHost..url::Position::AfterPort];
        let words = [
            (format!("https://{pages_host}"), self.origin.clone()),
            (encoded(&format!("https://{pages_host}")), encoded(&self.origin)),
            (format!("https://{PAGES_ISSUER}"), self.issuer_text.clone()),
            (pages_host.to_owned(), self.host.clone()),
            (PAGES_ISSUER.to_owned(), issuers_host.to_owned()),
        ];
        let (mut out, mut rest) = (String::with_capacity(text.len() + 100), text);
        // The first that begins; of several there the first in the list.
        while let Some((at, (word, value))) =
            words.iter().filter_map(|pair| Some((rest.find(&pair.0)?, pair))).min_by_key(|(at, _)| *at)
        {
            out += &rest[..at];
            out += value;
            rest = &rest[at + word.len()..];
        }
        out + rest
    }
}

fn issuer(text: &str) -> Result<Url, Refused> {
    let why = "is not an address such as https://login.example.ru";
    let option = "issuer";
    safe(option, text, why, |byte| byte.is_ascii_alphanumeric() || b"-._~/:".contains(&byte))?;
    if text.ends_with('/') {
        return Err(odd(option, text, "must not end with a slash: apps compare it as text"));
    }
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| odd(option, text, why))
}

/// "Keycloak" of `# Keycloak, as a broker`.
fn title(page: &str) -> &str {
    let line = page.lines().next().unwrap_or_default().trim_start_matches("# ");
    line.split([',', '(']).next().unwrap_or_default().trim_end()
}

/// The host that the page has for the app: that of its first redirect address.
fn host(page: &str) -> Option<&str> {
    let (_, rest) = ours(page)?.text.split_once("redirect_uris = [\"https://")?;
    rest.split(['/', '"']).next()
}

fn ours(page: &str) -> Option<Block<'_>> {
    blocks(page).find(|block| block.text.starts_with("[[oidc.clients]]"))
}

fn blocks(page: &str) -> impl Iterator<Item = Block<'_>> {
    // Every other part is between two fences.
    page.split("```").skip(1).step_by(2).filter_map(|part| {
        let (fence, text) = part.split_once('\n')?;
        let (language, rest) = fence.split_once(' ').unwrap_or((fence, ""));
        let title = rest.strip_prefix("title=\"").and_then(|rest| rest.strip_suffix('"'));
        Some(Block { language, title, text })
    })
}

#[cfg(test)]
mod tests;
