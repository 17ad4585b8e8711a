//! `--upstream`: is MAX itself in reach? Each configured endpoint is connected to, greeted and asked for a code, as a
//! sign-in would; then the session is ended. Nobody signs in.

use super::finding::Finding;
use crate::base::clock::Clock;
use crate::base::problem::ProblemCode;
use crate::base::rng::Rng;
use crate::base::tasks::Tasks;
use crate::config::{Config, Dialect, Endpoint, Receive, Upstream};
use crate::drivers::{AccountQr, Examined, OpenLogins, OverHttp, Subject, examine};
use crate::outbound;
use crate::proxies::{APP, FindingCode, Severity};
use crate::signin::{Asked, CommandSlot, Driver as _, DriverEvent, DriverName, EventSink, Outcome};
use crate::upstream::{Roots, connect};
use futures_util::future::join_all;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use url::Url;

/// One endpoint, from the name to a code: stages of 3 to 5 s each, and MAX's answers.
const PATIENCE: Duration = Duration::from_secs(15);

/// One answer of a webhook, and most bytes of it.
const WEBHOOK_TIME: Duration = Duration::from_secs(10);
const WEBHOOK_ANSWER: usize = 64 * 1024;

/// What was found out, a line for each endpoint.
pub struct UpstreamCheck {
    pub lines: Vec<String>,
    pub findings: Vec<Finding>,
}

pub async fn check(config: &Config, clock: Clock, tasks: Tasks) -> Result<UpstreamCheck, String> {
    let account_qr = async {
        match config.login.drivers.contains(&DriverName::AccountQr) {
            true => endpoints(config, &clock, &tasks).await,
            false => Ok(UpstreamCheck { lines: Vec::new(), findings: Vec::new() }),
        }
    };
    let (check, bot) = tokio::join!(account_qr, bot(config, &clock));
    let (mut check, bot) = (check?, bot?);
    check.lines.extend(bot.lines);
    check.findings.extend(bot.findings);
    Ok(check)
}

/// The bot of the official drivers, where there are some.
async fn bot(config: &Config, clock: &Clock) -> Result<UpstreamCheck, String> {
    let mut check = UpstreamCheck { lines: Vec::new(), findings: Vec::new() };
    let Some(official) = &config.official else { return Ok(check) };
    let bot = &official.bot;
    let roots = Roots::of_bot_api(bot.api_url.host_str().unwrap_or_default(), bot.ca_file.as_deref());
    let carrier = Box::new(OverHttp(roots.map_err(|error| error.to_string())?));
    let known = (&config.server, config.login.drivers.as_slice());
    for Examined { what, told } in examine(official, known, carrier, || clock.unix_ms(), Rng::system()).await {
        match told {
            Ok(fine) => check.lines.push(format!("{}: {fine}", what.name())),
            Err(why) => {
                let evidence = format!("{}: {why}", what.name());
                check.lines.push(evidence.clone());
                // Whoever else is told costs no visitor anything.
                let severity = if what == Subject::OtherSubscriptions { Severity::Note } else { Severity::Fault };
                let code = if what == Subject::Clock { FindingCode::ClockSkew } else { FindingCode::BotDown };
                check.findings.push(Finding::new(code, APP, evidence).severity(severity));
            }
        }
    }
    if bot.receive == Receive::Webhook && config.login.drivers.contains(&DriverName::Bot) {
        let url = bot.webhook(&config.server);
        match webhook(&url).await {
            Ok(fine) => check.lines.push(format!("bot, webhook: {fine}")),
            Err(why) => {
                let evidence = format!("bot, webhook: {url}: {why}");
                check.lines.push(evidence.clone());
                check.findings.push(Finding::new(FindingCode::BotDown, APP, evidence));
            }
        }
    }
    Ok(check)
}

/// As MAX would bring an update, with the certificates that MAX trusts, and without the secret: whoever refuses that is ours.
async fn webhook(url: &Url) -> Result<String, String> {
    let roots = Roots::of_bot_api("max.ru", None).map_err(|error| error.to_string())?;
    let json = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let asked = outbound::ask((Method::POST, url), vec![json], "{}".to_owned(), (WEBHOOK_ANSWER, WEBHOOK_TIME), &roots);
    let answer = asked.await.map_err(|error| error.to_string())?;
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match said["code"] == ProblemCode::SecretRefused.code() {
        true if url.scheme() == "https" => Ok(format!("{url} leads to max-auth, over a certificate that MAX trusts")),
        true => Ok(format!("{url} leads to max-auth, on this machine only")),
        false => Err(format!(
            "does not lead to max-auth, which is not running, or a proxy does not pass the path ({})",
            answer.status
        )),
    }
}

async fn endpoints(config: &Config, clock: &Clock, tasks: &Tasks) -> Result<UpstreamCheck, String> {
    let roots = Roots::load(config.upstream.ca_file.as_deref()).map_err(|error| error.to_string())?;
    let tried = config.upstream.endpoints.iter().map(async |endpoint| {
        let outcome = timeout(PATIENCE, one(config, endpoint, &roots, clock, tasks)).await;
        (endpoint, outcome.unwrap_or_else(|_| Err(format!("no code within {PATIENCE:?}"))))
    });
    let tried = join_all(tried).await;
    let alive = tried.iter().any(|(_, outcome)| outcome.is_ok());
    let (mut lines, mut findings) = (Vec::new(), Vec::new());
    for (endpoint, outcome) in tried {
        match outcome {
            Ok(said) => lines.push(format!("{}: {said}", endpoint.url)),
            Err(why) => {
                lines.push(format!("{}: {why}", endpoint.url));
                // One that works is enough for visitors.
                let severity = if alive { Severity::Note } else { Severity::Fault };
                let evidence = format!("{}: {why}", endpoint.url);
                findings.push(Finding::new(FindingCode::UpstreamUnreachable, APP, evidence).severity(severity));
            }
        }
    }
    Ok(UpstreamCheck { lines, findings })
}

async fn one(
    config: &Config,
    endpoint: &Endpoint,
    roots: &Roots,
    clock: &Clock,
    tasks: &Tasks,
) -> Result<String, String> {
    let (rng, began) = (Rng::system(), Instant::now());
    // By itself first: the driver tries again and again, and tells the log why.
    let socket = connect(endpoint, roots, "Mozilla/5.0", &rng).await.map_err(|error| error.to_string())?;
    drop(socket);
    let connected = began.elapsed().as_millis();
    let upstream = Upstream {
        endpoints: vec![endpoint.clone()],
        app_version: config.upstream.app_version.clone(),
        ca_file: config.upstream.ca_file.clone(),
        answer_timeout: config.upstream.answer_timeout,
        give_up_after: Duration::ZERO,
    };
    let asked = Asked::by_nobody(&rng);
    let driver = AccountQr::new(
        &upstream,
        &config.login,
        roots.clone(),
        clock.clone(),
        rng,
        tasks.clone(),
        OpenLogins::default(),
    );
    let commands = CommandSlot::default();
    let sink = RecordingSink { commands: &commands, code: AtomicBool::new(false), greeted: AtomicBool::new(false) };
    let outcome = driver.run(asked, &sink, &commands).await;
    let (greeted, code) = (sink.greeted.load(Ordering::Relaxed), sink.code.load(Ordering::Relaxed));
    let dialect = match endpoint.dialect {
        Dialect::Json => "json",
        Dialect::Binary => "binary",
    };
    let version = &config.upstream.app_version;
    match outcome {
        _ if code => Ok(format!(
            "connected after {connected} ms, dialect {dialect} and app_version {version} accepted, a code after {} ms, ended",
            began.elapsed().as_millis()
        )),
        Outcome::Failed { hint: Some(hint), .. } => {
            Err(format!("connected, but MAX refuses ({}): {}", hint.code, hint.advice))
        }
        _ if greeted => Err("connected and greeted, but no code was given".to_owned()),
        _ => Err(format!(
            "connected, but the greeting in dialect {dialect} was not answered: wrong dialect for this address?"
        )),
    }
}

/// Stops at the first code.
struct RecordingSink<'a> {
    commands: &'a CommandSlot,
    greeted: AtomicBool,
    code: AtomicBool,
}

impl EventSink for RecordingSink<'_> {
    fn emit(&self, event: DriverEvent) {
        match event {
            DriverEvent::Connected => self.greeted.store(true, Ordering::Relaxed),
            DriverEvent::Code { .. } => {
                self.code.store(true, Ordering::Relaxed);
                self.commands.stop();
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Flags;
    use crate::emulator::{self, Emulator, Options};
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt as _;

    /// What is told of MAX at several addresses, each with a fault on command; one more is of nobody.
    async fn told(faults: &[&str], nobody: bool) -> UpstreamCheck {
        let (clock, tasks) = (Clock::system(), Tasks::new());
        let mut config = Config::load(&Flags::default()).unwrap().config;
        config.upstream.answer_timeout = Duration::from_millis(500);
        config.upstream.endpoints.clear();
        for fault in faults {
            let max = Emulator::new(Options::default(), clock.clone(), Rng::system(), tasks.clone());
            let script = Request::post("/phone/fault").body(Body::from(format!("{{\"faults\":[{fault}]}}"))).unwrap();
            assert!(max.phone_router().oneshot(script).await.unwrap().status().is_success(), "{fault}");
            let listener = emulator::listen("127.0.0.1:0".parse().unwrap(), false).await.unwrap();
            let url = format!("ws://{}/websocket", listener.local_addr().unwrap()).parse().unwrap();
            config.upstream.endpoints.push(Endpoint { url, dialect: Dialect::Binary });
            tasks.spawn("emulator", async move { max.serve(listener).await });
        }
        if nobody {
            let free = emulator::listen("127.0.0.1:0".parse().unwrap(), false).await.unwrap().local_addr().unwrap();
            let url = format!("ws://{free}/websocket").parse().unwrap();
            config.upstream.endpoints.push(Endpoint { url, dialect: Dialect::Binary });
        }
        let check = check(&config, clock, tasks).await.unwrap();
        assert_eq!(check.lines.len(), config.upstream.endpoints.len());
        check
    }

    #[tokio::test]
    async fn each_address_of_max_is_told_as_far_as_it_came() {
        let hello = r#"{"on":6,"do":"half-open","times":9}"#;
        let code = r#"{"on":288,"do":"half-open","times":9}"#;
        let disabled = r#"{"on":288,"do":"error","code":"qr_login.disabled","times":9}"#;
        let check = told(&["", hello, code, disabled], true).await;
        for (line, expected) in check.lines.iter().zip([
            "dialect binary and app_version",
            "connected, but the greeting in dialect binary was not answered: wrong dialect for this address?",
            "connected and greeted, but no code was given",
            "connected, but MAX refuses (",
            "TCP: ",
        ]) {
            assert!(line.contains(&format!(": {expected}")) || line.contains(expected), "{line}");
        }
        assert!(check.lines[0].contains("accepted, a code after "), "{}", check.lines[0]);
        let told: Vec<_> = check.findings.iter().map(|finding| (finding.code, finding.severity)).collect();
        assert_eq!(told, [(FindingCode::UpstreamUnreachable, Severity::Note); 4], "one that works is enough");
        assert!(check.findings[0].evidence.starts_with("ws://127.0.0.1:"), "{}", check.findings[0].evidence);
    }

    #[tokio::test]
    async fn where_no_address_works_it_is_a_fault() {
        let check = told(&[], true).await;
        assert_eq!(check.findings.len(), 1);
        assert_eq!(check.findings[0].severity, Severity::Fault);
    }
}
