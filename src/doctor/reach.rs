//! The first question: does the address lead to max-auth at all, and how does a request arrive there? What else may
//! have answered is a table, too.

use super::finding::{Finding, Severity};
use super::http::{Broken, Client, text};
use super::probe::{Echo, Plain, echo};
use crate::config::facts::{Code, Layer, Tier};
use crate::probe::EchoAnswer;
use http::{HeaderMap, Method};
use url::Url;

/// Redirects that are followed when only the scheme or the name changes: http to https, then to www.
const REDIRECTS: usize = 3;

/// max-auth was reached.
pub struct Reached {
    pub plain: Plain,
    pub echo: Echo,
    /// Our clock less the server's, in milliseconds, without the way.
    pub offset: i64,
}

/// Why it was not.
pub enum Unreached {
    Finding(Finding),
    /// This machine gets nowhere: nothing was learned of the site.
    Here(String),
}

/// What answered instead of max-auth, by its status.
struct Stranger {
    from: u16,
    to: u16,
    code: Code,
    says: &'static str,
}

const STRANGERS: &[Stranger] = &[
    Stranger {
        from: 200,
        to: 299,
        code: Code::NotRouted,
        says: "another program answers here, such as a page for every address",
    },
    Stranger {
        from: 300,
        to: 399,
        code: Code::AuthRedirect,
        says: "visitors are sent elsewhere before they can sign in",
    },
    Stranger {
        from: 401,
        to: 401,
        code: Code::AuthRequired,
        says: "a password is asked for before anybody can sign in",
    },
    Stranger { from: 403, to: 403, code: Code::AuthRequired, says: "access is refused before max-auth is asked" },
    Stranger { from: 407, to: 407, code: Code::AuthRequired, says: "a forward proxy asks for a password" },
    Stranger { from: 429, to: 429, code: Code::RateLimited, says: "a limit refuses the very first request" },
    Stranger { from: 400, to: 499, code: Code::NotRouted, says: "the path does not lead to max-auth" },
    Stranger { from: 502, to: 504, code: Code::BackendDown, says: "the proxy cannot reach max-auth" },
    Stranger { from: 521, to: 524, code: Code::BackendDown, says: "the CDN cannot reach the server" },
    Stranger { from: 500, to: 599, code: Code::BackendDown, says: "the server behind the proxy fails" },
];

/// Follows the address to max-auth, or says what is there instead. The client may come back with another address.
pub async fn reach(mut client: Client) -> (Client, Result<Reached, Unreached>) {
    for _ in 0..=REDIRECTS {
        let plain = match echo(&client, Method::GET).await {
            Ok(plain) => plain,
            Err(broken) => {
                let unreached = unreachable(&client, &broken).await;
                return (client, Err(unreached));
            }
        };
        if let Some(EchoAnswer { echo, .. }) = plain.answer() {
            let offset = plain.offset().map_or(0, |(_, offset)| offset);
            return (client, Ok(Reached { plain, echo, offset }));
        }
        match moved(&client.url, &plain) {
            Some(url) => client = client.moved(url),
            None => {
                let finding = match plain.status == 400 && client.is_tls_port().await {
                    true => speaks_tls(&client),
                    false => circle(&client, &plain).unwrap_or_else(|| stranger(&client, &plain)),
                };
                return (client, Err(Unreached::Finding(finding)));
            }
        }
    }
    let evidence = format!("{} only leads from one redirect to the next", client.url);
    let finding = Finding::new(Code::RedirectLoop, Severity::Fault, Layer::Unknown, Tier::Unknown, evidence);
    (client, Err(Unreached::Finding(finding)))
}

/// A redirect to the very address that was asked for.
fn circle(client: &Client, plain: &Plain) -> Option<Finding> {
    if !(300..400).contains(&plain.status) {
        return None;
    }
    let asked = client.url.join(&format!("{}/probe", client.url.path().trim_end_matches('/'))).ok()?;
    let mut to = asked.join(&plain.location()?).ok()?;
    to.set_query(None);
    (to == asked).then(|| {
        let evidence = format!(
            "GET {asked} was answered {} to itself: browsers stop with \"too many redirects\". What redirects does not see the \
             scheme or the name that visitors use, because what stands in front of it asks in another way",
            plain.status
        );
        Finding::new(Code::RedirectLoop, Severity::Fault, product(&plain.headers), Tier::Unknown, evidence)
    })
}

/// The same path at another scheme or name.
fn moved(from: &Url, plain: &Plain) -> Option<Url> {
    if !matches!(plain.status, 301 | 302 | 307 | 308) {
        return None;
    }
    let asked = from.join(&format!("{}/probe", from.path().trim_end_matches('/'))).ok()?;
    let mut to = asked.join(&plain.location()?).ok()?;
    if to.path().trim_end_matches('/') != asked.path() || !matches!(to.scheme(), "http" | "https") {
        return None;
    }
    to.set_query(None);
    to.set_path(from.path());
    (to != *from).then_some(to)
}

async fn unreachable(client: &Client, broken: &Broken) -> Unreached {
    let code = match broken {
        Broken::Here(why) => return Unreached::Here(why.clone()),
        Broken::Dns(_) => Code::Dns,
        Broken::Tls(_) => Code::Tls,
        Broken::Http(_) | Broken::Silent(_) if client.is_tls_port().await => {
            return Unreached::Finding(speaks_tls(client));
        }
        Broken::Tcp(_) | Broken::Silent(_) | Broken::Http(_) => Code::BackendDown,
    };
    let evidence = format!("GET {}/probe: {broken}", client.url);
    Unreached::Finding(Finding::new(code, Severity::Fault, Layer::Unknown, Tier::Unknown, evidence))
}

fn speaks_tls(client: &Client) -> Finding {
    let port = client.url.port_or_known_default().unwrap_or(80);
    let evidence = format!("port {port} speaks TLS, not plain HTTP: ask https://{}", client.host());
    Finding::new(Code::Tls, Severity::Fault, Layer::Unknown, Tier::Unknown, evidence)
}

fn stranger(client: &Client, plain: &Plain) -> Finding {
    let row = STRANGERS.iter().find(|row| (row.from..=row.to).contains(&plain.status));
    let (mut code, says) =
        row.map_or((Code::NotRouted, "what answers here is not max-auth"), |row| (row.code, row.says));
    let kind = text(&plain.headers, "content-type").unwrap_or_else(|| "no content type".to_owned());
    let mut layer = product(&plain.headers);
    let mut more = String::new();
    if kind.starts_with("application/problem+json") && plain.body.contains("\"not-found\"") {
        layer = Layer::App;
        more.push_str("; max-auth itself answered, but its endpoints are at another path (server.base_path)");
        code = Code::NotRouted;
    }
    if plain.is_busy() {
        (code, layer) = (Code::RateLimited, Layer::App);
        more.push_str("; it was max-auth itself, which has no place for another probe: ask again in ten seconds");
    }
    if let Some(location) = plain.location() {
        more = format!(" to {location}");
    }
    let evidence = format!(
        "GET {}/probe was answered {}{more} ({kind}) without the nonce that only max-auth can echo: {says}",
        client.url, plain.status
    );
    Finding::new(code, Severity::Fault, layer, Tier::Unknown, evidence)
}

/// A header and what in it names a product.
const PRODUCTS: &[(&str, &str, Layer)] = &[
    ("cf-ray", "", Layer::Cloudflare),
    ("server", "cloudflare", Layer::Cloudflare),
    ("x-varnish", "", Layer::Varnish),
    ("via", "varnish", Layer::Varnish),
    ("via", "squid", Layer::Squid),
    ("server", "squid", Layer::Squid),
    ("server", "ats", Layer::Trafficserver),
    ("via", "trafficserver", Layer::Trafficserver),
    ("via", "apachetrafficserver", Layer::Trafficserver),
    ("server", "envoy", Layer::Envoy),
    ("x-envoy-upstream-service-time", "", Layer::Envoy),
    ("server", "lighttpd", Layer::Lighttpd),
    ("server", "h2o", Layer::H2o),
    ("server", "apache", Layer::Apache),
    ("server", "caddy", Layer::Caddy),
    ("via", "caddy", Layer::Caddy),
    ("server", "nginx", Layer::Nginx),
    ("server", "openresty", Layer::Nginx),
    ("server", "gunicorn", Layer::Gunicorn),
];

/// The layer that names itself.
pub fn product(headers: &HeaderMap) -> Layer {
    let names = |(header, word, _): &&(&str, &str, Layer)| {
        headers.get_all(*header).iter().any(|value| names_it(word, &String::from_utf8_lossy(value.as_bytes())))
    };
    PRODUCTS.iter().find(names).map_or(Layer::Unknown, |(_, _, layer)| *layer)
}

/// The same of one header's value.
pub fn product_in(header: &str, value: &str) -> Layer {
    let found = PRODUCTS.iter().find(|(name, word, _)| *name == header && names_it(word, value));
    found.map_or(Layer::Unknown, |(_, _, layer)| *layer)
}

/// As a word of its own: "ats" is also in "heats".
fn names_it(word: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    word.is_empty() || value.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> Plain {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        Plain { status, headers, ..Plain::default() }
    }

    #[test]
    fn a_redirect_to_https_is_followed_and_one_to_a_login_is_not() {
        let from: Url = "http://example.ru/api/auth/max".parse().unwrap();
        let to = |location| moved(&from, &answer(301, &[("location", location)])).map(|url| url.to_string());
        assert_eq!(
            to("https://example.ru/api/auth/max/probe?nonce=x").as_deref(),
            Some("https://example.ru/api/auth/max")
        );
        assert_eq!(to("/login?next=/api/auth/max/probe"), None);
        assert_eq!(to("/api/auth/max/probe?nonce=x"), None, "a circle");
    }

    #[test]
    fn a_product_names_itself() {
        for (name, value, layer) in [
            ("server", "nginx/1.22.1", Layer::Nginx),
            ("server", "ATS/9.2.9", Layer::Trafficserver),
            ("via", "1.1 host (Varnish/7.1)", Layer::Varnish),
            ("x-varnish", "2", Layer::Varnish),
            ("server", "Seats", Layer::Unknown),
        ] {
            assert_eq!(product(&answer(200, &[(name, value)]).headers), layer, "{value}");
        }
    }
}
