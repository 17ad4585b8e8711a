//! The first question: does the address lead to max-auth at all, and how does a request arrive there? What else may
//! have answered is a table, too.

use super::connect::Broken;
use super::finding::Finding;
use super::http::{Client, text};
use super::http_observation::{HttpObservation, echo};
use crate::probe::{EchoAnswer, RequestEcho};
use crate::proxies::{APP, FindingCode, UNKNOWN, named_in_answer};
use http::Method;
use url::Url;

/// Redirects that are followed when only the scheme or the name changes: http to https, then to www.
const REDIRECTS: usize = 3;

/// max-auth was reached.
pub struct Reached {
    pub answer: HttpObservation,
    pub echo: RequestEcho,
    /// Our clock less the server's, in milliseconds, without the time on the path.
    pub offset: i64,
}

/// Why it was not.
pub enum Unreached {
    Finding(Finding),
    /// This machine gets nowhere: nothing was learned of the site.
    LocalNetwork(String),
}

/// What answered instead of max-auth, by its status.
struct Stranger {
    from: u16,
    to: u16,
    code: FindingCode,
    says: &'static str,
}

const STRANGERS: &[Stranger] = &[
    Stranger {
        from: 200,
        to: 299,
        code: FindingCode::NotRouted,
        says: "another program answers here, such as a page for every address",
    },
    Stranger {
        from: 300,
        to: 399,
        code: FindingCode::AuthRedirect,
        says: "visitors are sent elsewhere before they can sign in",
    },
    Stranger {
        from: 401,
        to: 401,
        code: FindingCode::AuthRequired,
        says: "a password is asked for before anybody can sign in",
    },
    Stranger {
        from: 403,
        to: 403,
        code: FindingCode::AuthRequired,
        says: "access is refused before max-auth is asked",
    },
    Stranger { from: 407, to: 407, code: FindingCode::AuthRequired, says: "a forward proxy asks for a password" },
    Stranger { from: 429, to: 429, code: FindingCode::RateLimited, says: "a limit refuses the very first request" },
    Stranger { from: 400, to: 499, code: FindingCode::NotRouted, says: "the path does not lead to max-auth" },
    Stranger { from: 502, to: 504, code: FindingCode::BackendDown, says: "the proxy cannot reach max-auth" },
    Stranger { from: 521, to: 524, code: FindingCode::BackendDown, says: "the CDN cannot reach the server" },
    Stranger { from: 500, to: 599, code: FindingCode::BackendDown, says: "the server behind the proxy fails" },
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
            return (client, Ok(Reached { answer: plain, echo, offset }));
        }
        match moved(client.url(), &plain) {
            Some(url) => client = client.moved(url),
            None => {
                let finding = match plain.status == 400 && client.is_tls_port().await {
                    true => speaks_tls(&client),
                    false => circle(client.url(), &plain).unwrap_or_else(|| stranger(client.url(), &plain)),
                };
                return (client, Err(Unreached::Finding(finding)));
            }
        }
    }
    let evidence = format!("{} only leads from one redirect to the next", client.url());
    let finding = Finding::new(FindingCode::RedirectLoop, UNKNOWN, evidence);
    (client, Err(Unreached::Finding(finding)))
}

/// A redirect to the very address that was asked for.
pub fn circle(url: &Url, plain: &HttpObservation) -> Option<Finding> {
    if !(300..400).contains(&plain.status) {
        return None;
    }
    let asked = url.join(&format!("{}/probe", url.path().trim_end_matches('/'))).ok()?;
    let mut to = asked.join(&plain.location()?).ok()?;
    to.set_query(None);
    (to == asked).then(|| {
        let evidence = format!(
            "GET {asked} was answered {} to itself: browsers stop with \"too many redirects\". What redirects does not see the \
             scheme or the name that visitors use, because what stands in front of it asks in another way",
            plain.status
        );
        Finding::new(FindingCode::RedirectLoop, named_in_answer(&plain.headers), evidence)
    })
}

/// The same path at another scheme or name.
pub fn moved(from: &Url, plain: &HttpObservation) -> Option<Url> {
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
        Broken::LocalNetwork(why) => return Unreached::LocalNetwork(why.clone()),
        Broken::Dns(_) => FindingCode::Dns,
        Broken::Tls(_) => FindingCode::Tls,
        Broken::Http(_) | Broken::Silent(_) if client.is_tls_port().await => {
            return Unreached::Finding(speaks_tls(client));
        }
        Broken::Tcp(_) | Broken::Silent(_) | Broken::Http(_) => FindingCode::BackendDown,
    };
    let evidence = format!("GET {}/probe: {broken}", client.url());
    Unreached::Finding(Finding::new(code, UNKNOWN, evidence))
}

fn speaks_tls(client: &Client) -> Finding {
    let port = client.url().port_or_known_default().unwrap_or(80);
    let evidence = format!("port {port} speaks TLS, not plain HTTP: ask https://{}", client.host());
    Finding::new(FindingCode::Tls, UNKNOWN, evidence)
}

/// Whatever answers instead.
pub fn stranger(url: &Url, plain: &HttpObservation) -> Finding {
    let row = STRANGERS.iter().find(|row| (row.from..=row.to).contains(&plain.status));
    let (mut code, says) =
        row.map_or((FindingCode::NotRouted, "what answers here is not max-auth"), |row| (row.code, row.says));
    let kind = text(&plain.headers, "content-type").unwrap_or_else(|| "no content type".to_owned());
    let mut layer = named_in_answer(&plain.headers);
    let mut more = String::new();
    if kind.starts_with("application/problem+json") && plain.body.contains("\"not-found\"") {
        layer = APP;
        more.push_str("; max-auth itself answered, but its endpoints are at another path (server.base_path)");
        code = FindingCode::NotRouted;
    }
    if plain.is_busy() {
        (code, layer) = (FindingCode::RateLimited, APP);
        more.push_str("; it was max-auth itself, which has no place for another probe: ask again in ten seconds");
    }
    if let Some(location) = plain.location() {
        more = format!(" to {location}");
    }
    let evidence = format!(
        "GET {url}/probe was answered {}{more} ({kind}) without the nonce that only max-auth can echo: {says}",
        plain.status
    );
    Finding::new(code, layer, evidence)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&'static str, &str)]) -> HttpObservation {
        let headers = headers
            .iter()
            .map(|(name, value)| (http::header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        HttpObservation { status, headers, ..HttpObservation::default() }
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
    fn only_the_same_path_elsewhere_is_followed() {
        let from: Url = "http://example.ru/api/auth/max".parse().unwrap();
        let to = |status, location| moved(&from, &answer(status, &[("location", location)])).map(|url| url.to_string());
        for status in [301, 302, 307, 308] {
            let there = to(status, "https://www.example.ru/api/auth/max/probe/");
            assert_eq!(there.as_deref(), Some("https://www.example.ru/api/auth/max"), "{status}");
        }
        for status in [200, 300, 303, 400] {
            assert_eq!(to(status, "https://www.example.ru/api/auth/max/probe"), None, "{status}");
        }
        assert_eq!(to(301, "ftp://example.ru/api/auth/max/probe"), None);
        assert_eq!(moved(&from, &answer(301, &[])), None);
    }

    #[test]
    fn a_circle_is_told_and_a_way_out_is_none() {
        let url: Url = "http://example.ru/max/".parse().unwrap();
        let of = |status, location| circle(&url, &answer(status, &[("location", location), ("server", "nginx")]));
        let found = of(301, "/max/probe?nonce=2").unwrap();
        assert_eq!((found.code, found.layer.name()), (FindingCode::RedirectLoop, "nginx"));
        assert!(found.evidence.starts_with("GET http://example.ru/max/probe was answered 301 to itself"));
        assert!(of(300, "/max/probe").is_some() && of(399, "/max/probe").is_some());
        assert!(of(299, "/max/probe").is_none() && of(400, "/max/probe").is_none());
        assert!(of(301, "/login").is_none());
    }

    #[test]
    fn what_answers_instead_is_told_by_its_status() {
        let url: Url = "https://example.ru/max".parse().unwrap();
        let told = |status, headers: &[(&'static str, &str)], body: &str| {
            let found = stranger(&url, &HttpObservation { body: body.to_owned(), ..answer(status, headers) });
            format!("{} {}: {}", found.code.name(), found.layer.name(), found.evidence)
        };
        let mut text = String::new();
        for status in [
            150, 200, 299, 300, 302, 399, 400, 401, 402, 403, 404, 407, 429, 499, 500, 502, 504, 505, 521, 524, 599,
            600,
        ] {
            text += &format!("{}\n", told(status, &[], ""));
        }
        text += &format!("{}\n", told(302, &[("location", "/login"), ("server", "nginx")], ""));
        let problem = [("content-type", "application/problem+json")];
        text += &format!("{}\n", told(404, &problem, "{\"code\":\"not-found\"}"));
        text += &format!("{}\n", told(404, &problem, "{}"));
        text += &format!("{}\n", told(404, &[], "{\"code\":\"not-found\"}"));
        text += &format!("{}\n", told(429, &problem, "{\"code\":\"probes-busy\"}"));
        crate::snapshot::assert_snapshot("doctor/snapshots/strangers.txt", &text);
    }
}
