//! The browser's files: embedded, compressed once at the start, revalidated by hash.

use super::caching::says_itself;
use super::extract::accepts_encoding;
use super::modules::{CLIENT, Module, WIDGET, joined, without_comments};
use crate::base::id::{self, Fingerprint};
use crate::texts::{Section, Texts};
use axum::Router;
use axum::body::Body;
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use std::io::Write as _;
use std::sync::Arc;

/// More routes beside the site's own: the demo and its phone.
pub struct Extra(pub Router);

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
/// What the ready page has inside, and what the other pages have besides.
const PAGE_CSS: &str = concat!(include_str!("../../web/sheet.css"), include_str!("../../web/page.css"));

const HTML: &str = "text/html; charset=utf-8";

struct File {
    path: &'static str,
    content_type: &'static str,
    body: Bytes,
}

macro_rules! file {
    ($path:literal, $content_type:expr, $name:literal) => {
        File {
            path: $path,
            content_type: $content_type,
            body: Bytes::from_static(include_bytes!(concat!("../../web/", $name))),
        }
    };
}

/// Below the base path.
fn files(texts: &Texts) -> [File; 4] {
    let widget = [CLIENT, WIDGET].concat();
    let script = |path, modules: &[Module], sections: &[Section]| {
        // The texts that it uses and no others, with no request of their own.
        let body = format!("{}{}", texts.declaration(sections), joined(modules));
        File { path, content_type: JAVASCRIPT, body: Bytes::from(body) }
    };
    [
        script("/client.js", CLIENT, &[Section::Client]),
        script("/widget.js", &widget, &[Section::Client, Section::Shared, Section::Widget]),
        file!("/form-post.js", JAVASCRIPT, "form-post.js"),
        File { path: "/page.css", content_type: CSS, body: Bytes::from(without_comments(PAGE_CSS)) },
    ]
}

/// At the root, with `serve --demo`.
pub fn demo() -> Router {
    routes([file!("/", HTML, "demo.html"), file!("/demo.js", JAVASCRIPT, "demo.js")], "")
}

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

pub fn router(base_path: &str, texts: &Texts) -> Router {
    routes(files(texts), base_path)
}

fn routes<const N: usize>(files: [File; N], base_path: &str) -> Router {
    let router = files.into_iter().fold(Router::new(), |router, file| {
        let ready = Arc::new(Ready::new(file.content_type, file.body));
        let serve = move |headers: HeaderMap| {
            let ready = Arc::clone(&ready);
            async move { ready.answer(&headers) }
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

    fn answer(&self, headers: &HeaderMap) -> Response {
        let mut response = Response::new(Body::empty());
        let answer = response.headers_mut();
        answer.insert(ETAG, self.etag.clone());
        // Asked for again each time, answered 304: a new release reaches every visitor at once.
        answer.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
        answer.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        if !self.content_type.starts_with("text/html") {
            // A listed origin may load the widget; pages stay where they are.
            answer.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
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
