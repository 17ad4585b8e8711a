//! `--forward-auth URL`: is that page really for who is signed in, does the sign-in lead back to it, and can a visitor pretend
//! to be somebody? The page is asked as a stranger would ask it; what the proxy asked max-auth about it comes back by a nonce.

use super::connect::Broken;
use super::finding::{Finding, Site};
use super::http::{Client, ProbeRequest, text};
use super::http_observation::{HttpObservation, echo, nonce_path};
use super::layout::Paint;
use super::reachability::stranger;
use super::report::Report;
use super::{BASE_PATH, CannotTest, nothing_asked, tls::Trust, words};
use crate::base::clock::Clock;
use crate::base::tasks::Tasks;
use crate::probe::{
    EchoAnswer, IDENTITY_HEADERS, RequestEcho, VERIFY_HEADER, VERIFY_PARAMETER, VERIFY_PATH, VerifyAnswer, VerifySeen,
    spellings,
};
use crate::proxies::{APP, FindingCode, ForgedAtVerify, Lang, Layer, UNKNOWN, named_in_answer, named_in_request};
use http::header::{ACCEPT, HeaderName};
use http::{HeaderValue, Method};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::fmt::Write as _;
use url::{Position, Url};

/// From http to https, then to www.
const REDIRECTS: usize = 3;

/// Part of the query of what is asked for: what is encoded once more or once less is another address.
const QUERY: &str = "x=1&y=%20z&to=/other";

/// What was found of one protected page.
pub struct ForwardAuthReport {
    url: Url,
    protected: bool,
    /// What was seen, a line each.
    lines: Vec<String>,
    /// Its findings, and where max-auth is.
    report: Report,
}

/// What was asked, and what came.
struct Observed {
    /// With the query that was added.
    url: Url,
    page: HttpObservation,
    /// The same, by a visitor who says to be somebody; not asked where the page is open, since an application would believe it.
    forged: Option<HttpObservation>,
    /// What `/verify` saw of both.
    page_seen: Option<VerifySeen>,
    forged_seen: Option<VerifySeen>,
    /// How a request arrives at max-auth beside the page; nothing where it does not.
    echo: Option<RequestEcho>,
    /// What answers there.
    beside: HttpObservation,
    base: String,
}

pub async fn examine(url: &Url, trust: &Trust, clock: Clock, tasks: Tasks) -> Result<ForwardAuthReport, CannotTest> {
    let root = url.join("/").map_err(|_| CannotTest::NotHttp(url.clone()))?;
    let mut client = Client::new(root, trust.clone(), tasks, clock);
    let mut url = url.clone();
    url.set_fragment(None);
    let (_, mark) = nonce_path("");
    let query = [url.query().unwrap_or_default(), QUERY, &format!("{VERIFY_PARAMETER}={mark}")].join("&");
    url.set_query(Some(query.trim_start_matches('&')));
    let (_, nonce) = nonce_path("");
    let mut page = ask(&client, &url, &nonce, false).await?;
    for _ in 0..REDIRECTS {
        let Some(to) = moved(&url, &page) else { break };
        let root = to.join("/").map_err(|_| CannotTest::NotHttp(to.clone()))?;
        (client, url) = (client.moved(root), to);
        page = ask(&client, &url, &nonce, false).await?;
    }
    let base = led(&url, &page).map_or_else(|| BASE_PATH.to_owned(), |led| led.base);
    let mut at = url.clone();
    (_, _) = (at.set_query(None), at.set_path(&base));
    let client = client.moved(at);
    let (_, forged_nonce) = nonce_path("");
    let page_seen = seen(&client, [&nonce, &mark]).await;
    let forged = match is_open(&page, page_seen.as_ref()) {
        true => None,
        false => Some(ask(&client, &url, &forged_nonce, true).await?),
    };
    let forged_seen = seen(&client, [&forged_nonce, &mark]).await;
    let beside = echo(&client, Method::GET).await.map_err(|broken| cannot(&url, broken))?;
    let echo = beside.answer::<EchoAnswer>().map(|answer| answer.echo);
    Ok(report(Observed { url, page, forged, page_seen, forged_seen, echo, beside, base }))
}

fn cannot(url: &Url, broken: Broken) -> CannotTest {
    match broken {
        Broken::LocalNetwork(why) => CannotTest::LocalNetwork(why),
        broken => CannotTest::Page(url.clone(), broken.to_string()),
    }
}

/// The page, as a browser of somebody who is not signed in asks for it.
async fn ask(client: &Client, url: &Url, nonce: &str, forged: bool) -> Result<HttpObservation, CannotTest> {
    let mut ask = ProbeRequest::get(url[Position::BeforePath..Position::AfterQuery].to_owned());
    let value = |text: &str| HeaderValue::from_str(text).ok();
    ask.headers.push((ACCEPT, HeaderValue::from_static("text/html,*/*;q=0.8")));
    ask.headers.push((HeaderName::from_static("sec-fetch-mode"), HeaderValue::from_static("navigate")));
    let names = IDENTITY_HEADERS.iter().flat_map(|name| spellings(name)).filter(|_| forged);
    for name in names.chain([VERIFY_HEADER.to_owned()]) {
        ask.headers.extend(HeaderName::from_bytes(name.as_bytes()).ok().zip(value(nonce)));
    }
    let mut root = url.clone();
    (_, _) = (root.set_query(None), root.set_path("/"));
    let at_root = client.hop(root);
    HttpObservation::of(&at_root, &ask, nonce).await.map_err(|broken| cannot(url, broken))
}

/// By the header's nonce; where a proxy shows no headers, by that of the query.
async fn seen(client: &Client, nonces: [&str; 2]) -> Option<VerifySeen> {
    for nonce in nonces {
        let ask = ProbeRequest::get(format!("{VERIFY_PATH}?nonce={nonce}"));
        let answer: Option<VerifyAnswer> = HttpObservation::of(client, &ask, nonce).await.ok()?.answer();
        if let Some(seen) = answer.and_then(|answer| answer.seen) {
            return Some(seen);
        }
    }
    None
}

/// The same page at another scheme or name.
fn moved(from: &Url, page: &HttpObservation) -> Option<Url> {
    let to = from.join(&page.location()?).ok()?;
    let same = to[Position::BeforePath..] == from[Position::BeforePath..];
    let there = matches!(page.status, 301 | 302 | 307 | 308) && matches!(to.scheme(), "http" | "https");
    (same && there && to != *from).then_some(to)
}

/// A redirect to `/enter`.
struct Led {
    origin: String,
    base: String,
    to: String,
}

fn led(asked: &Url, page: &HttpObservation) -> Option<Led> {
    let location = page.location().filter(|_| (300..400).contains(&page.status))?;
    let location = asked.join(&location).ok()?;
    let base = location.path().strip_suffix("/enter")?.to_owned();
    let to = location.query()?.strip_prefix("to=")?;
    // As the server reads it: nginx cannot encode it.
    let to = if to.starts_with('/') { to.to_owned() } else { percent_decode_str(to).decode_utf8_lossy().into() };
    Some(Led { origin: location.origin().ascii_serialization(), base, to })
}

/// Whatever answers, it is not because somebody is not signed in.
fn is_open(page: &HttpObservation, seen: Option<&VerifySeen>) -> bool {
    match page.status {
        200..=299 => true,
        // An error of the application itself.
        400 | 404..=406 | 410..=417 => seen.is_none(),
        _ => false,
    }
}

fn report(observed: Observed) -> ForwardAuthReport {
    let site = Site { base: observed.base.clone(), origin: observed.url.origin().ascii_serialization() };
    let open = is_open(&observed.page, observed.page_seen.as_ref());
    let mut shown = observed.url.clone();
    shown.set_query(None);
    let findings = findings(&observed);
    let lines = lines(&observed);
    let report = Report { asked: shown.to_string(), url: shown.to_string(), site, findings, ..nothing_asked() };
    ForwardAuthReport { url: shown, protected: !open, lines, report }
}

/// Who is between: who names itself in an answer, or left its headers in a request.
fn layer(observed: &Observed) -> Layer {
    let answered = named_in_answer(&observed.page.headers).or(named_in_answer(&observed.beside.headers));
    let passed = observed.echo.as_ref().and_then(|echo| named_in_request(|mark| echo.has_mark(mark)).first().copied());
    answered.or(passed.unwrap_or(UNKNOWN))
}

fn findings(observed: &Observed) -> Vec<Finding> {
    let (page, layer) = (&observed.page, layer(observed));
    let url = &observed.url[..Position::AfterPath];
    let asked = match &observed.page_seen {
        Some(_) => "and /verify was asked",
        None if observed.echo.is_some() => "and /verify was not asked",
        None => "and max-auth is not reached beside the page, so nothing is known of /verify",
    };
    let new = |code, evidence: String| Finding::new(code, layer, evidence);
    let mut found = Vec::new();
    if observed.echo.is_none() {
        let mut at = observed.url.clone();
        (_, _) = (at.set_query(None), at.set_path(&observed.base));
        found.push(stranger(&at, &observed.beside));
    }
    let answered = format!("GET {url} without a session was answered {}", page.status);
    if is_open(page, observed.page_seen.as_ref()) {
        found.push(new(FindingCode::PageNotProtected, format!("{answered}, {asked}")));
        return found;
    }
    match led(&observed.url, page) {
        Some(led) => found.extend(way_back(observed, &led, layer)),
        None => found.push(match (page.status, &observed.page_seen) {
            (500.., _) => new(FindingCode::VerifyFailed, format!("{answered}, {asked}")),
            (429, _) => new(FindingCode::RateLimited, answered),
            (401, Some(seen)) if !seen.listed => host_not_listed(seen, &answered),
            (300..=399, None) => {
                let to = page.location().unwrap_or_default();
                let why = "so whatever redirects, it is not because somebody is not signed in";
                new(FindingCode::PageNotProtected, format!("{answered} to {to}, {asked}: {why}"))
            }
            _ => new(FindingCode::SignInNotLed, format!("{answered}, {asked}")),
        }),
    }
    found.extend(forged(observed, layer));
    found.extend(cached(observed, layer));
    found
}

fn host_not_listed(seen: &VerifySeen, answered: &str) -> Finding {
    let evidence = format!("{answered}: /verify was asked for {}, which is not in server.allowed_origins", seen.origin);
    Finding::new(FindingCode::HostNotListed, APP, evidence)
}

/// Where the sign-in would lead back to.
fn way_back(observed: &Observed, led: &Led, layer: Layer) -> Vec<Finding> {
    let (origin, wanted) =
        (observed.url.origin().ascii_serialization(), &observed.url[Position::BeforePath..Position::AfterQuery]);
    let unlisted = observed.page_seen.as_ref().is_some_and(|seen| seen.proxy_unlisted);
    let (whose, why) = match unlisted {
        true => (APP, "; the proxy is not in server.trusted_proxies, so what it says of the address is not believed"),
        false => (layer, ""),
    };
    let mut found = Vec::new();
    if led.to != wanted {
        let (path, query) = (&observed.url[Position::BeforePath..Position::AfterPath], led.to.contains('?'));
        let what = match led.to.split('?').next() {
            Some(same) if same == path && !query => "its query is dropped",
            Some(same) if same == path => "its query is changed",
            _ => "the address is lost",
        };
        let evidence = format!("asked for {wanted}, the sign-in leads back to {}: {what}{why}", led.to);
        found.push(Finding::new(FindingCode::WayBackPathLost, whose, evidence));
    }
    if led.origin != origin {
        let evidence = format!("asked at {origin}, the sign-in is at {}{why}", led.origin);
        found.push(Finding::new(FindingCode::WayBackHostWrong, whose, evidence));
    }
    found
}

/// What arrived at `/verify` of the headers of a visitor who says to be somebody, as far as it tells of the application.
fn forged(observed: &Observed, layer: Layer) -> Option<Finding> {
    let seen = observed.forged_seen.as_ref()?;
    let tells = |name: &&String| match layer.product().forged_at_verify {
        ForgedAtVerify::SaysNothing => false,
        ForgedAtVerify::Underscores => name.contains('_'),
        ForgedAtVerify::All => true,
    };
    let names: Vec<&str> = seen.forged.iter().filter(tells).map(String::as_str).collect();
    (!names.is_empty()).then(|| {
        let evidence = format!("a visitor's own {} arrived at /verify, and so at the application", names.join(", "));
        Finding::new(FindingCode::ForgedUserPassed, layer, evidence)
    })
}

/// `/verify` is asked each time, and no answer may be kept.
fn cached(observed: &Observed, layer: Layer) -> Option<Finding> {
    let forged = observed.forged.as_ref()?;
    let new = |evidence: &str| Some(Finding::new(FindingCode::VerifyCached, layer, evidence));
    if let Some(age) = [&observed.page, forged].iter().find_map(|page| text(&page.headers, "age")) {
        return new(&format!("the answer to who is not signed in comes out of a cache (Age: {age})"));
    }
    let kept = text(&observed.page.headers, "cache-control").unwrap_or_default().to_ascii_lowercase();
    if kept.contains("public") || kept.contains("s-maxage") {
        return new(&format!("the answer to who is not signed in may be kept (Cache-Control: {kept})"));
    }
    match (&observed.page_seen, &observed.forged_seen) {
        (Some(first), None) if first.by_header => new("of two requests side by side /verify was asked about one only"),
        (None, None) if observed.echo.is_some() && led(&observed.url, &observed.page).is_some() => {
            new("the page leads to the sign-in, and /verify was asked about none of two requests")
        }
        _ => None,
    }
}

/// What was seen, whether right or wrong.
fn lines(observed: &Observed) -> Vec<String> {
    let page = &observed.page;
    let to = page.location().map(|location| format!(" to {location}")).unwrap_or_default();
    let mut lines = vec![format!("without a session: {}{to}", page.status)];
    if let Some(seen) = &observed.page_seen {
        let how = if seen.by_header { "" } else { " (the proxy does not show it the visitor's headers)" };
        // Some proxies lead by themselves and name no path.
        let path = if seen.path == "/" { "" } else { &seen.path };
        lines.push(format!("/verify was asked for {}{path}{how}", seen.origin));
    }
    if let Some(seen) = &observed.forged_seen {
        let product = layer(observed).product();
        let said = match product.forged_at_verify {
            ForgedAtVerify::All if seen.forged.is_empty() => "a visitor's X-Auth-User is taken away",
            ForgedAtVerify::Underscores if !seen.forged.iter().any(|name| name.contains('_')) => {
                "a visitor's X_Auth_User is dropped; whether X-Auth-User is set anew is not seen from outside"
            }
            ForgedAtVerify::SaysNothing => "whether a visitor's X-Auth-User is set anew is not seen from outside",
            _ => return lines,
        };
        lines.push(said.to_owned());
    }
    lines
}

impl ForwardAuthReport {
    /// 0 nothing is wrong, 1 something is, 2 the page is open or can be entered under another name.
    pub fn exit_code(&self) -> u8 {
        match (self.is_open(), self.report.findings.is_empty()) {
            (true, _) => 2,
            (false, all_well) => u8::from(!all_well),
        }
    }

    fn is_open(&self) -> bool {
        !self.protected || self.has(FindingCode::PageNotProtected) || self.has(FindingCode::ForgedUserPassed)
    }

    fn has(&self, code: FindingCode) -> bool {
        self.report.findings.iter().any(|finding| finding.code == code)
    }

    pub fn text(&self, colours: bool, lang: Lang) -> String {
        let paint = Paint(colours);
        let title = format!("max-auth doctor --forward-auth {}", self.url);
        let sentence = match (self.report.findings.is_empty(), self.is_open()) {
            (true, _) => words::PROTECTED,
            (_, true) if self.has(FindingCode::ForgedUserPassed) => words::FORGED,
            (_, true) => words::OPEN,
            _ => words::PROTECTED_WITH_FAULTS,
        };
        let mut text = format!("{}\n\n{}\n\n", paint.bold(&title), lang.say(sentence));
        for line in &self.lines {
            let _ = writeln!(text, "  {line}");
        }
        for finding in &self.report.findings {
            self.report.finding(&mut text, &paint, finding, lang);
        }
        text.trim_end().to_owned()
    }

    pub fn json(&self) -> Value {
        let findings = self.report.findings.iter().map(|finding| finding.json(&self.report.site)).collect::<Vec<_>>();
        json!({ "asked": self.url.as_str(), "protected": !self.is_open(), "seen": self.lines, "findings": findings })
    }
}

#[cfg(test)]
mod tests;
