//! What we send to addresses that a configuration names: one POST of a form, with a time for each stage, and without following
//! anything. An address that leads into the machine's own link (cloud metadata) is refused after it was resolved, so that no
//! name can hide it.

use crate::upstream::{ByteStream, ConnectError, Roots, connected};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use std::time::Duration;
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
            Self::Forbidden(_) => false,
        }
    }
}

/// Sends a form; an answer of 2xx is enough.
pub async fn post_form(url: &Url, form: String, roots: &Roots) -> Result<(), NotSent> {
    let stream = connected(url, roots, |address| !is_forbidden(address)).await?;
    let Some(stream) = stream else { return Err(NotSent::Forbidden(IpAddr::from([169, 254, 0, 0]))) };
    match timeout(ANSWER_TIME, exchange(stream, url, form)).await {
        Ok(Ok(200..=299)) => Ok(()),
        Ok(Ok(status)) => Err(NotSent::Status(status)),
        Ok(Err(error)) => Err(NotSent::Http(error)),
        Err(_) => Err(NotSent::Http(format!("no answer in {ANSWER_TIME:?}"))),
    }
}

async fn exchange(stream: Box<dyn ByteStream>, url: &Url, form: String) -> Result<u16, String> {
    let told = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(told)?;
    let host = url.host_str().unwrap_or_default();
    let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let request = Request::post(&url[url::Position::BeforePath..url::Position::AfterQuery])
        .header(HOST, host)
        .header(USER_AGENT, HeaderValue::from_static("max-auth"))
        .header(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"))
        .body(Full::new(Bytes::from(form)))
        .map_err(|error| error.to_string())?;
    // It owns the sender: with that the connection ends.
    let answer = async move {
        let answer = sender.send_request(request).await.map_err(told)?;
        let status = answer.status().as_u16();
        let mut body = answer.into_body();
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, Bytes::len);
            if read > ANSWER_BYTES {
                break;
            }
        }
        Ok(status)
    };
    let (status, _) = tokio::join!(answer, connection);
    status
}

/// Nothing that an app could have: the link itself, where clouds tell secrets, and what is no single host.
fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_multicast() || v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(v6) => {
            let octets = v6.octets();
            // 6to4 (RFC 3056) and NAT64 (RFC 6052) carry an IPv4 address.
            let carried = match (octets[0], octets[1], &octets[..12]) {
                (0x20, 0x02, _) => Some([octets[2], octets[3], octets[4], octets[5]]),
                (_, _, [0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0]) => {
                    Some([octets[12], octets[13], octets[14], octets[15]])
                }
                _ => None,
            };
            let carried = carried.is_some_and(|carried| is_forbidden(IpAddr::from(carried)));
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
}
