//! What we ask of other hosts: one POST to an address that a configuration names, one GET of a small document that a stranger
//! names; with a time for each stage, and without following anything. An address that leads into the machine's own link (cloud metadata) is refused after it was resolved, so that no
//! name can hide it.

use crate::upstream::{ByteStream, ConnectError, Roots, connected};
use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, DATE, HOST, HeaderName, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use url::Url;

/// For the answer, after the connection.
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// Of an answer's body; nothing of it is looked at.
const ANSWER_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum NotSent {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("{0} is of this machine's own link: not asked")]
    Forbidden(IpAddr),
    #[error("its name leads to no public address")]
    NotPublic,
    #[error("HTTP: {0}")]
    Http(String),
    /// What the other side said.
    #[error("it answered {0}")]
    Status(u16),
}

impl NotSent {
    /// Whether another try could end otherwise.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Connect(_) | Self::Http(_) => true,
            Self::Status(status) => *status >= 500 || *status == 429,
            Self::Forbidden(_) | Self::NotPublic => false,
        }
    }
}

/// Sends a form; an answer of 2xx is enough.
pub async fn post_form(url: &Url, form: String, roots: &Roots) -> Result<(), NotSent> {
    let kind = (CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    post(url, vec![kind], form, roots).await
}

/// Sends a body with these headers; an answer of 2xx is enough.
pub async fn post(
    url: &Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
    roots: &Roots,
) -> Result<(), NotSent> {
    let stream = connected(url, roots, |address| !is_forbidden(address)).await?;
    let Some(stream) = stream else { return Err(NotSent::Forbidden(IpAddr::from([169, 254, 0, 0]))) };
    let asked = Asked { method: Method::POST, headers, body, most: ANSWER_BYTES };
    match timeout(ANSWER_TIME, exchange(stream, url, asked)).await {
        Ok(Ok(Answer { status: 200..=299, .. })) => Ok(()),
        Ok(Ok(Answer { status, .. })) => Err(NotSent::Status(status)),
        Ok(Err(error)) => Err(NotSent::Http(error)),
        Err(_) => Err(NotSent::Http(format!("no answer in {ANSWER_TIME:?}"))),
    }
}

/// What an address answered to a question of ours.
#[derive(Debug)]
pub struct Got {
    pub body: Vec<u8>,
    /// `max-age` of `Cache-Control`, in seconds.
    pub max_age: Option<u64>,
}

/// Asks an address that a stranger named: only public ones, and those of `networks`; `most` bytes, in `time` all in all.
pub async fn get(url: &Url, most: usize, time: Duration, networks: &[IpNet], roots: &Roots) -> Result<Got, NotSent> {
    let asked = async {
        let fine = |address: IpAddr| {
            let address = address.to_canonical();
            !is_forbidden(address) && (is_public(address) || networks.iter().any(|net| net.contains(&address)))
        };
        let stream = connected(url, roots, fine).await?.ok_or(NotSent::NotPublic)?;
        let headers = vec![(ACCEPT, HeaderValue::from_static("application/json"))];
        let asked = Asked { method: Method::GET, headers, body: String::new(), most };
        exchange(stream, url, asked).await.map_err(NotSent::Http)
    };
    match timeout(time, asked).await {
        Ok(Ok(answer)) if answer.status != 200 => Err(NotSent::Status(answer.status)),
        Ok(Ok(answer)) if answer.is_more => Err(NotSent::Http(format!("its body is longer than {most} bytes"))),
        Ok(Ok(answer)) => Ok(Got { body: answer.body, max_age: answer.max_age }),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(NotSent::Http(format!("no answer in {time:?}"))),
    }
}

/// What an address that the configuration names answered, whatever its status.
#[derive(Debug)]
pub struct Answered {
    pub status: u16,
    /// `Retry-After` in seconds, where it is a number.
    pub retry_after: Option<Duration>,
    /// Its clock, as `Date` says it.
    pub date: Option<SystemTime>,
    pub body: Vec<u8>,
}

/// A request to an address that a configuration names; `most` bytes of an answer, in `time` after the connection.
pub async fn ask(
    (method, url): (Method, &Url),
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
    (most, time): (usize, Duration),
    roots: &Roots,
) -> Result<Answered, NotSent> {
    let stream = connected(url, roots, |address| !is_forbidden(address)).await?;
    let Some(stream) = stream else { return Err(NotSent::Forbidden(IpAddr::from([169, 254, 0, 0]))) };
    match timeout(time, exchange(stream, url, Asked { method, headers, body, most })).await {
        Ok(Ok(answer)) if answer.is_more => Err(NotSent::Http(format!("its body is longer than {most} bytes"))),
        Ok(Ok(Answer { status, retry_after, date, body, .. })) => Ok(Answered { status, retry_after, date, body }),
        Ok(Err(error)) => Err(NotSent::Http(error)),
        Err(_) => Err(NotSent::Http(format!("no answer in {time:?}"))),
    }
}

struct Asked {
    method: Method,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: String,
    /// Of an answer's body.
    most: usize,
}

struct Answer {
    status: u16,
    body: Vec<u8>,
    /// There was more of it than asked for.
    is_more: bool,
    max_age: Option<u64>,
    retry_after: Option<Duration>,
    date: Option<SystemTime>,
}

async fn exchange(stream: Box<dyn ByteStream>, url: &Url, asked: Asked) -> Result<Answer, String> {
    let told = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let most = asked.most;
    let mut request = Request::builder()
        .method(asked.method)
        .uri(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(HOST, host)
        .header(USER_AGENT, HeaderValue::from_static("max-auth"));
    for (name, value) in asked.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(asked.body))).map_err(|error| error.to_string())?;
    // It owns the sender: with that the connection ends.
    let answer = async move {
        let answer = sender.send_request(request).await.map_err(told)?;
        let (status, max_age) = (answer.status().as_u16(), max_age(answer.headers()));
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let date = answer.headers().get(DATE).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
        let (mut rest, mut body) = (answer.into_body(), Vec::new());
        while body.len() <= most
            && let Some(frame) = rest.frame().await
        {
            body.extend_from_slice(frame.map_err(told)?.data_ref().unwrap_or(&Bytes::new()));
        }
        let is_more = body.len() > most;
        body.truncate(most);
        Ok(Answer { status, body, is_more, max_age, retry_after, date })
    };
    let (answer, _) = tokio::join!(answer, connection);
    answer
}

fn max_age(headers: &HeaderMap) -> Option<u64> {
    let values = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut words = values.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase());
    words.find_map(|word| word.strip_prefix("max-age=")?.trim_matches('"').parse().ok())
}

/// Not a machine's own, nor of a network that is somebody's own (RFC 6890).
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            let own = v4.is_loopback() || v4.is_private() || v4.is_link_local() || (a == 100 && b & 0xc0 == 64);
            let special = v4.is_documentation() || (a, b, c) == (192, 0, 0) || (a == 198 && b & 0xfe == 18) || a == 0;
            !own && !special && a < 224
        }
        IpAddr::V6(v6) => match (carried(v6), v6.segments()) {
            (Some(carried), _) => is_public(carried),
            // Global unicast (RFC 4291 §2.4), without what is for documents, Teredo and the like (RFC 2928).
            (None, [first, second, ..]) => {
                first & 0xe000 == 0x2000 && !(first == 0x2001 && (second < 0x200 || second == 0xdb8)) && first != 0x3fff
            }
        },
    }
}

/// The IPv4 address in one of 6to4 (RFC 3056) and NAT64 (RFC 6052).
fn carried(v6: Ipv6Addr) -> Option<IpAddr> {
    let octets = v6.octets();
    match (octets[0], octets[1], &octets[..12]) {
        (0x20, 0x02, _) => Some(IpAddr::from([octets[2], octets[3], octets[4], octets[5]])),
        (_, _, [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]) => {
            Some(IpAddr::from([octets[12], octets[13], octets[14], octets[15]]))
        }
        _ => None,
    }
}

/// Nothing that an app could have: the link itself, where clouds tell secrets, and what is no single host.
fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => {
            let carried = carried(v6).is_some_and(is_forbidden);
            v6.is_unicast_link_local() || v6.is_multicast() || v6.is_unspecified() || carried
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tasks::Tasks;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    #[test]
    fn the_machines_own_link_is_forbidden_however_it_is_written() {
        for bad in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "2002:a9fe:a9fe::1",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "0.0.0.0",
            "::",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(is_forbidden(bad.parse().unwrap()), "{bad}");
        }
        for fine in ["127.0.0.1", "10.0.0.7", "192.168.1.1", "::1", "fd00::1", "93.184.216.34", "2002:0a00:0001::1"] {
            assert!(!is_forbidden(fine.parse().unwrap()), "{fine}");
        }
    }

    /// Answers once; what it was asked.
    async fn answers(text: &'static str) -> (Url, oneshot::Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/out?x=1", listener.local_addr().unwrap())).unwrap();
        let (tell, heard) = oneshot::channel();
        Tasks::new().spawn("app", async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !asked.ends_with(b"token=a.b.c") {
                assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
            }
            stream.write_all(text.as_bytes()).await.unwrap();
            let _ = tell.send(String::from_utf8(asked).unwrap());
        });
        (url, heard)
    }

    #[tokio::test]
    async fn a_form_is_sent_once_and_nothing_is_followed() {
        let roots = Roots::load(None).unwrap();
        let sent = async |text| {
            let (url, heard) = answers(text).await;
            let sent = post_form(&url, "token=a.b.c".to_owned(), &roots).await;
            (sent.map_err(|why| (why.may_pass(), why.to_string())), heard.await.unwrap())
        };
        let (fine, heard) = sent("HTTP/1.1 204 No Content\r\n\r\n").await;
        assert_eq!(fine, Ok(()));
        assert!(heard.starts_with("POST /out?x=1 HTTP/1.1\r\n") && heard.contains("x-www-form-urlencoded"), "{heard}");
        for (text, again, why) in [
            (
                "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
                false,
                "it answered 302",
            ),
            ("HTTP/1.1 400 Bad\r\ncontent-length: 0\r\n\r\n", false, "it answered 400"),
            ("HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n", true, "it answered 503"),
        ] {
            assert_eq!(sent(text).await.0, Err((again, why.to_owned())));
        }
        let gone = Url::parse("http://127.0.0.1:1/").unwrap();
        assert!(post_form(&gone, String::new(), &roots).await.unwrap_err().may_pass());
        let link = Url::parse("http://169.254.169.254/latest/meta-data").unwrap();
        let refused = post_form(&link, String::new(), &roots).await.unwrap_err();
        assert!(!refused.may_pass(), "{refused}");
    }

    #[test]
    fn a_public_address_is_nobodys_own() {
        for own in [
            "127.0.0.1",
            "10.0.0.7",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "100.127.255.255",
            "169.254.169.254",
            "0.0.0.0",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.255",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.7",
            "fd00::1",
            "fe80::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::1",
            "64:ff9b::a00:7",
            "3fff::1",
            "5f00::1",
        ] {
            assert!(!is_public(own.parse().unwrap()), "{own}");
        }
        for public in [
            "93.184.216.34",
            "100.63.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "2a00:1450::1",
            "2001:4860::8888",
            "64:ff9b::5db8:d822",
            "2002:5db8:d822::1",
        ] {
            assert!(is_public(public.parse().unwrap()), "{public}");
        }
    }

    /// Answers each request so.
    async fn says(text: String) -> Url {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/client.json", listener.local_addr().unwrap())).unwrap();
        Tasks::new().spawn("app", async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = Vec::new();
                while !asked.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut asked).await.unwrap_or(0) == 0 {
                        break;
                    }
                }
                if text.is_empty() {
                    // Never.
                    std::future::pending::<()>().await;
                }
                let _ = stream.write_all(text.as_bytes()).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn a_document_is_small_and_public_or_of_a_network_that_is_named() {
        let roots = Roots::load(None).unwrap();
        let here: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap()];
        let (second, most) = (Duration::from_secs(1), 10);
        let asked = async |text: &str, networks: &[IpNet]| {
            let got = get(&says(text.to_owned()).await, most, second, networks, &roots).await;
            got.map(|got| (String::from_utf8(got.body).unwrap(), got.max_age)).map_err(|error| error.to_string())
        };
        let answer = |head: &str, body: &str| {
            format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
        };
        let fine = answer("200 OK\r\ncache-control: public, Max-Age=600", "0123456789");
        assert_eq!(asked(&fine, &here).await, Ok(("0123456789".to_owned(), Some(600))));
        assert_eq!(asked(&answer("200 OK", "{}"), &here).await, Ok(("{}".to_owned(), None)));
        for (text, why) in [
            (answer("200 OK", "0123456789a"), "HTTP: its body is longer than 10 bytes"),
            (answer("302 Found\r\nlocation: http://127.0.0.1:1/", ""), "it answered 302"),
            (answer("404 Not Found", ""), "it answered 404"),
            (String::new(), "HTTP: no answer in 1s"),
        ] {
            assert_eq!(asked(&text, &here).await, Err(why.to_owned()));
        }
        let other: IpNet = "10.0.0.0/8".parse().unwrap();
        assert_eq!(asked(&fine, &[other]).await, Err("its name leads to no public address".to_owned()));
        let link = Url::parse("http://169.254.169.254/latest").unwrap();
        let all: IpNet = "0.0.0.0/0".parse().unwrap();
        assert!(matches!(get(&link, most, second, &[all], &roots).await, Err(NotSent::NotPublic)), "never");
    }
}
