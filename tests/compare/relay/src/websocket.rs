//! As much of RFC 6455 as one message in one frame takes, without a buffer while nothing comes.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};

pub const TEXT: u8 = 1;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// A head, or a message, of either side (bytes).
const LARGEST: usize = 16 * 1024;

/// What is read at once, on the stack (bytes).
const READ: usize = 4096;

/// Reads up to the empty line. Whoever sends one waits for the answer, so nothing follows it.
pub async fn head(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut head = Vec::with_capacity(1024);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > LARGEST || stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    String::from_utf8(head).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// The answer to a browser that asks for a WebSocket.
pub fn accepted(head: &str) -> Option<String> {
    let (_, key) = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| {
        // Browsers write it so, proxies in lower case.
        name.eq_ignore_ascii_case("sec-websocket-key")
    })?;
    let mut hash = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    hash.update(key.trim().as_bytes());
    hash.update(GUID);
    let accept = STANDARD.encode(hash.finish());
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: \
         {accept}\r\n\r\n"
    ))
}

/// A frame of a whole message. A client masks it.
pub fn frame(opcode: u8, payload: &[u8], mask: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if mask.is_some() { 0x80 } else { 0 };
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | opcode);
    match u16::try_from(payload.len()) {
        Ok(length @ 0..=125) => frame.push(masked | length as u8),
        Ok(length) => {
            frame.push(masked | 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(masked | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    let mask = mask.inspect(|mask| frame.extend(mask)).unwrap_or_default();
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// Where the payload of a frame begins and ends.
struct Place {
    start: usize,
    end: usize,
    mask: Option<[u8; 4]>,
}

/// That of the first frame, when all of it is there.
fn whole(bytes: &[u8]) -> io::Result<Option<Place>> {
    let [first, second, ..] = *bytes else { return Ok(None) };
    if first & 0x80 == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let (mut start, length) = match (second & 0x7f, bytes) {
        (126, [_, _, a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
        (126, _) => return Ok(None),
        (127, _) => return Err(io::ErrorKind::InvalidData.into()),
        (length, _) => (2, usize::from(length)),
    };
    let mut mask = None;
    if second & 0x80 != 0 {
        let Some(found) = bytes.get(start..start + 4) else { return Ok(None) };
        mask = found.try_into().ok();
        start += 4;
    }
    if length > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let end = start + length;
    Ok((bytes.len() >= end).then_some(Place { start, end, mask }))
}

/// The next frame, as `take` has it. `rest` holds what came of a frame that is not whole, and nothing else.
pub fn poll_frame<T>(
    stream: &mut (impl AsyncRead + Unpin),
    rest: &mut Vec<u8>,
    context: &mut Context<'_>,
    take: impl FnOnce(u8, &mut [u8]) -> T,
) -> Poll<io::Result<T>> {
    let taken = |bytes: &mut [u8], Place { start, end, mask }: Place| {
        let opcode = bytes[0] & 0x0f;
        let payload = &mut bytes[start..end];
        if let Some(mask) = mask {
            payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        }
        take(opcode, payload)
    };
    loop {
        if let Some(place) = whole(rest)? {
            let end = place.end;
            let result = taken(rest, place);
            // Its room goes with it.
            *rest = rest[end..].to_vec();
            return Poll::Ready(Ok(result));
        }
        let mut room = [0; READ];
        let mut read = ReadBuf::new(&mut room);
        ready!(Pin::new(&mut *stream).poll_read(context, &mut read))?;
        let read = read.filled_mut();
        if read.is_empty() {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        if rest.is_empty()
            && let Some(place) = whole(read)?
        {
            rest.extend_from_slice(&read[place.end..]);
            return Poll::Ready(Ok(taken(read, place)));
        }
        rest.extend_from_slice(read);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_6455() {
        let answer = accepted("GET / HTTP/1.1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n").unwrap();
        assert!(answer.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{answer}");
    }

    #[tokio::test]
    async fn frames_come_whole_however_they_are_cut() {
        let (mask, long) = (Some([1, 2, 3, 4]), "x".repeat(300));
        let sent = [frame(TEXT, b"one", mask), frame(PING, b"", None), frame(TEXT, long.as_bytes(), mask)].concat();
        for size in [1, 2, 3, 7, 100, 1000] {
            let (parts, mut rest, mut heard) = (sent.chunks(size), Vec::new(), Vec::new());
            let mut builder = Vec::new();
            parts.for_each(|part| builder.push(part.to_vec()));
            let (mut ours, theirs) = tokio::io::duplex(size);
            let write = tokio::spawn(async move {
                let mut theirs = theirs;
                for part in builder {
                    tokio::io::AsyncWriteExt::write_all(&mut theirs, &part).await.unwrap();
                }
            });
            for _ in 0..3 {
                let take = |opcode: u8, payload: &mut [u8]| (opcode, String::from_utf8_lossy(payload).into_owned());
                let next = std::future::poll_fn(|context| poll_frame(&mut ours, &mut rest, context, take)).await;
                heard.push(next.unwrap());
            }
            write.await.unwrap();
            assert_eq!(heard, [(TEXT, "one".to_owned()), (PING, String::new()), (TEXT, long.clone())], "{size}");
            assert_eq!(rest.capacity(), 0, "nothing is kept");
        }
    }
}
