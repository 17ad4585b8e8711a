//! What the payloads of a sign-in mean, in both directions.
//!
//! Requests are built here and nowhere else; answers are read liberally (every key is optional until it is needed) and
//! come out bounded. An answer that lacks what is needed is `Err(Refusal)`, as is one that leads to a foreign host.

use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::profile::Profile;
use super::refusal::Refusal;
use super::token::MaxToken;

/// The longest link of a code, in bytes; those seen have 58. It also keeps the drawn QR code small.
const MAX_LINK_BYTES: usize = 512;

/// The longest track, in bytes; those seen are UUIDs.
const MAX_TRACK_BYTES: usize = 128;

/// The longest password hint shown, in characters; MAX lets people write 30.
const MAX_HINT_CHARS: usize = 128;

/// What we say about ourselves; with `device_id` the whole of INIT. The user sees `device_name` and `os_version` under
/// Devices in the app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub user_agent: UserAgent,
    /// A UUID in the web client; MAX does not check.
    pub device_id: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserAgent {
    pub locale: String,
    pub device_locale: String,
    pub os_version: String,
    pub device_name: String,
    /// The same text as the `User-Agent` header of the connection.
    pub header_user_agent: String,
    pub is_pwa: bool,
    /// Too old a version is refused; see `RefusalKind::AppVersionTooOld`.
    pub app_version: String,
    /// Height first: `1080x1920 1.0x`.
    pub screen: String,
    pub timezone: String,
}

/// 6 INIT. Device types are constants: MAX refuses a QR code to anything but WEB.
pub fn init(hello: &Hello) -> Value {
    let agent = &hello.user_agent;
    json!({
        "userAgent": {
            "deviceType": "WEB",
            "pushDeviceType": "WEBPUSH",
            "locale": agent.locale,
            "deviceLocale": agent.device_locale,
            "osVersion": agent.os_version,
            "deviceName": agent.device_name,
            "headerUserAgent": agent.header_user_agent,
            "isPwa": agent.is_pwa,
            "appVersion": agent.app_version,
            "screen": agent.screen,
            "timezone": agent.timezone,
        },
        "deviceId": hello.device_id,
    })
}

/// 1 PING.
pub fn ping() -> Value {
    json!({ "interactive": true })
}

/// 289 GET_QR_STATUS and 291 LOGIN_BY_QR.
pub fn about_track(track: &str) -> Value {
    json!({ "trackId": track })
}

/// 115 AUTH_LOGIN_CHECK_PASSWORD. The text moves into the payload, which is wiped with its frame.
pub fn check_password(track: &str, mut password: Zeroizing<String>) -> Value {
    let password = Value::String(std::mem::take(&mut *password));
    // Not by `json!`, which would serialise, and so copy, the password.
    Value::Object([("trackId".to_owned(), Value::from(track)), ("password".to_owned(), password)].into_iter().collect())
}

/// 19 LOGIN with as little in return as can be asked for: it is sent only where MAX wants it before a LOGOUT, and its
/// answer is dropped unread.
pub fn minimal_login(token: &MaxToken) -> Value {
    json!({
        "token": token.expose(),
        "interactive": false,
        "chatsCount": 0,
        "chatsSync": -1,
        "contactsSync": -1,
        "presenceSync": -1,
        "draftsSync": -1,
    })
}

/// A QR code. No `Debug`: whoever knows the track can take part in the login.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// The text of the QR code, verbatim.
    pub link: String,
    pub track: String,
    pub interval: Option<Duration>,
    pub ttl: Option<Duration>,
    /// By MAX's clock.
    pub expires_at_unix_ms: Option<i64>,
}

/// Reads the answer to 288 GET_QR.
pub fn code(payload: Option<&Value>) -> Result<Code, Refusal> {
    let field = |key| payload.and_then(|payload| payload.get(key));
    let link = field("qrLink").and_then(Value::as_str).ok_or_else(Refusal::unreadable_answer)?;
    if !leads_to_max(link) {
        return Err(Refusal::foreign_link());
    }
    Ok(Code {
        link: link.to_owned(),
        track: field("trackId").and_then(track).ok_or_else(Refusal::unreadable_answer)?,
        interval: field("pollingInterval").and_then(milliseconds),
        ttl: field("ttl").and_then(milliseconds),
        expires_at_unix_ms: field("expiresAt").and_then(Value::as_i64),
    })
}

/// People will scan this and phones will open it, so it must be what MAX's own page would show.
fn leads_to_max(link: &str) -> bool {
    // The parser forgives spaces and line ends, and the text is used verbatim.
    if link.len() > MAX_LINK_BYTES || !link.bytes().all(|byte| byte.is_ascii_graphic()) {
        return false;
    }
    let Ok(url) = url::Url::parse(link) else { return false };
    let host = url.host_str().unwrap_or_default();
    // As written, not as this parser reads it: others take a backslash for an end of the host, or for none.
    let written = link.get(..8 + host.len()).unwrap_or_default();
    let plain = written.eq_ignore_ascii_case(&format!("https://{host}"))
        && matches!(link.as_bytes().get(written.len()), None | Some(b'/' | b'?' | b'#'));
    plain
        && url.scheme() == "https"
        && (host == "max.ru" || [".max.ru", ".oneme.ru"].iter().any(|domain| host.ends_with(domain)))
}

fn track(value: &Value) -> Option<String> {
    value.as_str().filter(|track| !track.is_empty() && track.len() <= MAX_TRACK_BYTES).map(str::to_owned)
}

fn milliseconds(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_millis)
}

/// Reads the answer to 289 GET_QR_STATUS: has the phone approved? MAX leaves the key out rather than saying false.
pub fn login_available(payload: Option<&Value>) -> bool {
    let available = payload.and_then(|payload| payload.get("status")?.get("loginAvailable"));
    available == Some(&Value::Bool(true))
}

/// The answer to 291 LOGIN_BY_QR or 115: a login is open, or a password is wanted.
pub enum LoginAnswer {
    Open {
        /// `None`: MAX has logged us in, but with a token that could not be read. There is still a session to end.
        token: Option<MaxToken>,
        profile: Option<Profile>,
    },
    Password(Challenge),
}

/// A cloud password is set. No `Debug`, as for [`Code`].
pub struct Challenge {
    pub track: String,
    pub hint: Option<String>,
}

/// Reads the answer to 291 or 115, moving the token out of it. `code_track` stands in where the challenge names none:
/// in all captures they are the same.
pub fn login_answer(payload: Option<&mut Value>, code_track: &str) -> LoginAnswer {
    let Some(payload) = payload else { return LoginAnswer::Open { token: None, profile: None } };
    let token = payload.pointer_mut("/tokenAttrs/LOGIN/token").and_then(MaxToken::take);
    let challenge = payload.get("passwordChallenge").filter(|challenge| challenge.is_object());
    match (token, challenge) {
        (None, Some(challenge)) => LoginAnswer::Password(Challenge {
            track: challenge.get("trackId").and_then(track).unwrap_or_else(|| code_track.to_owned()),
            hint: challenge.get("hint").and_then(Value::as_str).and_then(hint),
        }),
        (token, _) => LoginAnswer::Open { token, profile: payload.get("profile").and_then(Profile::from_payload) },
    }
}

fn hint(text: &str) -> Option<String> {
    let hint: String = text.chars().filter(|char| !char.is_control()).take(MAX_HINT_CHARS).collect();
    (!hint.trim().is_empty()).then_some(hint)
}
