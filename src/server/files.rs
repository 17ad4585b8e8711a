//! The browser's files: embedded, compressed once at the start, revalidated by hash.

use super::caching::says_itself;
use super::extract::accepts_encoding;
use super::modules::{CLIENT, DIALOG, ELSEWHERE, joined, sheet, sheet_in_shadow, without_comments};
use crate::base::id::{self, Fingerprint};
use crate::texts::{Locale, Section, Texts};
use axum::Router;
use axum::body::Body;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::Value;
use std::io::Write as _;
use std::sync::Arc;

/// More routes beside the site's own: the demo and its phone.
pub struct Extra(pub Router);

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const MARKDOWN: &str = "text/markdown; charset=utf-8";

struct File {
    path: &'static str,
    content_type: &'static str,
    body: Bytes,
    /// Its address names what is in it (`?v=`), so that it may be kept for ever.
    version: Option<String>,
}

macro_rules! file {
    ($path:literal, $content_type:expr, $name:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            body: Bytes::from_static(include_bytes!(concat!("../../web/", $name))),
            version: None,
        }
    };
}

/// What `light.js` says, by section of the texts.
const LIGHT_WORDS: [(&str, &[&str]); 3] = [
    (
        "shared",
        &[
            "title",
            "forSite",
            "connecting",
            "finishing",
            "refreshing",
            "left",
            "step1",
            "step2",
            "step3",
            "warning",
            "open",
            "openHere",
            "textCode",
            "sendIt",
            "pick",
            "ways",
            "retry",
            "errorTitle",
        ],
    ),
    ("widget", &["close", "waiting", "qrLabel", "approved", "success"]),
    ("client", &["network"]),
];

/// Below the base path.
fn files(texts: &Texts) -> [File; 9] {
    let script = |path, body: String| File { path, content_type: JAVASCRIPT, body: Bytes::from(body), version: None };
    let by_language = |names: &[(&str, &[&str])]| {
        let words = Locale::ALL.map(|locale| (locale.tag().to_owned(), with_lines(texts.some_of(locale, names))));
        Value::Object(words.into_iter().collect())
    };
    let light = format!(
        "const SHEET={},WORDS={};{}",
        Value::String(sheet_in_shadow()),
        by_language(&LIGHT_WORDS),
        include_str!("../../web/built/light.js"),
    );
    let version = |text: &str| id::encode(&Fingerprint::of(text.as_bytes()).bytes()[..9]);
    let whole = format!(
        "{}{}",
        texts.declaration(&[Section::Client, Section::Shared, Section::Widget]),
        joined(&[CLIENT, DIALOG].concat()),
    );
    let elsewhere = joined(ELSEWHERE);
    let versions = [version(&whole), version(&light), version(&elsewhere)];
    let labels = by_language(&[("shared", &["button"])]);
    let button = |locale: Locale| labels[locale.tag()]["button"].to_string();
    let widget = format!(
        "const LABELS={{ru:{},en:{}}},DIALOG=\"dialog.js?v={}\",LIGHT=\"light.js?v={}\",ELSEWHERE=\"elsewhere.js?v={}\";{}",
        button(Locale::Ru),
        button(Locale::En),
        versions[0],
        versions[1],
        versions[2],
        include_str!("../../web/built/widget.js"),
    );
    let [of_whole, of_light, of_elsewhere] = versions;
    [
        script("/client.js", format!("{}{}", texts.declaration(&[Section::Client]), joined(CLIENT))),
        script("/widget.js", widget),
        File { version: Some(of_whole), ..script("/dialog.js", whole) },
        File { version: Some(of_light), ..script("/light.js", light) },
        File { version: Some(of_elsewhere), ..script("/elsewhere.js", elsewhere) },
        script("/asking.js", without_comments(include_str!("../../web/asking.js"))),
        file!("/form-post.js", JAVASCRIPT, "form-post.js"),
        script("/web-message.js", without_comments(include_str!("../../web/web-message.js"))),
        File {
            path: "/page.css",
            content_type: CSS,
            body: Bytes::from(sheet() + &without_comments(include_str!("../../web/page.css"))),
            version: None,
        },
    ]
}

/// Of the ways what happens on the phone: `light.js` has no room for their names, and shows the steps of an account's code.
fn with_lines(mut words: Value) -> Value {
    if let Some(ways) = words.get_mut("ways").and_then(Value::as_object_mut) {
        ways.remove("account_qr");
        for way in ways.values_mut() {
            *way = way[1].take();
        }
    }
    words
}

/// At the root, with `serve --demo`: the demo site, and the page of reference with its examples.
pub fn demo() -> Router {
    let reference = Bytes::from_static(include_bytes!("../../docs/widget.md"));
    let files = [
        file!("/", HTML, "demo.html"),
        file!("/demo.js", JAVASCRIPT, "demo.js"),
        file!("/widget", HTML, "demo-widget.html"),
        file!("/demo-widget.js", JAVASCRIPT, "demo-widget.js"),
        file!("/demo-widget.css", CSS, "demo-widget.css"),
        File { path: "/widget.md", content_type: MARKDOWN, body: reference, version: None },
    ];
    routes(files, "")
}

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub fn router(base_path: &str, texts: &Texts) -> Router {
    routes(files(texts), base_path)
}

fn routes<const N: usize>(files: [File; N], base_path: &str) -> Router {
    let router = files.into_iter().fold(Router::new(), |router, file| {
        let ready = Arc::new(Ready::new(file.content_type, file.body));
        let address = file.version.map(|version| format!("v={version}"));
        let serve = move |uri: Uri, headers: HeaderMap| {
            let ready = Arc::clone(&ready);
            let for_ever = address.is_some() && uri.query() == address.as_deref();
            async move { ready.answer(&headers, for_ever) }
        };
        router.route(&format!("{base_path}{}", file.path), get(serve))
    });
    // The same for everybody.
    router.layer(map_response(says_itself))
}

struct Ready {
    content_type: &'static str,
    body: Bytes,
    gzip: Option<Bytes>,
    etag: HeaderValue,
}

impl Ready {
    fn new(content_type: &'static str, body: Bytes) -> Self {
        let hash = id::encode(&Fingerprint::of(&body).bytes()[..12]);
        let etag = HeaderValue::from_str(&format!("\"{hash}\"")).unwrap_or(HeaderValue::from_static("\"\""));
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        let gzip = encoder.write_all(&body).and_then(|()| encoder.finish()).ok().map(Bytes::from);
        Self { content_type, body, gzip, etag }
    }

    /// `for_ever`: the address was that of just this text.
    fn answer(&self, headers: &HeaderMap, for_ever: bool) -> Response {
        let mut response = Response::new(Body::empty());
        let answer = response.headers_mut();
        answer.insert(ETAG, self.etag.clone());
        if for_ever {
            answer.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
        } else {
            // Asked for again each time, answered 304: a new release reaches every visitor at once.
            answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        }
        answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
        answer.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if !self.content_type.starts_with("text/html") {
            // Any site may load the widget, which has no secret in it; pages stay where they are. With no `Vary: Origin`, what was
            // fetched without cookies can be imported from the cache.
            answer.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
            answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        if headers.get(IF_NONE_MATCH).is_some_and(|seen| seen.as_bytes().ends_with(self.etag.as_bytes())) {
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            return response;
        }
        let body = match &self.gzip {
            Some(gzip) if accepts_encoding(headers, "gzip") => {
                response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
                gzip.clone()
            }
            _ => self.body.clone(),
        };
        *response.body_mut() = Body::from(body);
        response
    }
}
