//! Cuts events out of the bytes of a stream, undoing its encoding on the way.

use super::decode::{Decoder, MAX_STREAM_BYTES};
use crate::probe::StreamEvent;

/// Bytes that are decoded at a time.
const PIECE: usize = 1024;

/// Between two events.
const BLANK_LINE: &[u8] = b"\n\n";

pub struct SseReader {
    decoder: Decoder,
    /// Decoded, and not yet a whole event.
    text: Vec<u8>,
    /// So much of it was searched for an end: a long event is not searched again with each of its bytes.
    searched: usize,
}

impl SseReader {
    /// For a `Content-Encoding`.
    pub fn of(encoding: &str) -> Self {
        Self { decoder: Decoder::of(encoding), text: Vec::new(), searched: 0 }
    }

    /// Whether its encoding is not undone here.
    pub fn is_opaque(&self) -> bool {
        self.decoder.is_opaque()
    }

    /// The events that are whole with these bytes.
    pub fn feed(&mut self, data: &[u8]) -> Vec<StreamEvent> {
        for piece in data.chunks(PIECE) {
            if self.text.len() > MAX_STREAM_BYTES {
                break;
            }
            self.text.append(&mut self.decoder.feed(piece));
        }
        let (mut events, mut begin) = (Vec::new(), 0);
        while let Some(found) = self.text[self.searched..].windows(2).position(|pair| pair == BLANK_LINE) {
            let end = self.searched + found + BLANK_LINE.len();
            let event = String::from_utf8_lossy(&self.text[begin..end]);
            let data = event.lines().find_map(|line| line.strip_prefix("data: "));
            events.extend(data.and_then(|data| serde_json::from_str::<StreamEvent>(data).ok()));
            (begin, self.searched) = (end, end);
        }
        self.text.drain(..begin);
        // The last byte may be the first half of an end.
        self.searched = self.text.len().saturating_sub(1);
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use std::io::Write as _;

    fn numbers(events: &[StreamEvent]) -> Vec<i64> {
        events.iter().map(|event| event.sent_unix_ms).collect()
    }

    #[test]
    fn events_are_read_out_of_gzip_as_they_are_flushed() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        let mut reader = SseReader::of("gzip");
        for number in 1..=3 {
            write!(encoder, ":\n\nid: 1\ndata: {{\"nonce\":\"n\",\"sentUnixMs\":{number}}}\n\n").unwrap();
            encoder.flush().unwrap();
            assert_eq!(numbers(&reader.feed(&std::mem::take(encoder.get_mut()))), [number]);
        }
    }

    #[test]
    fn an_event_is_read_wherever_it_was_cut() {
        let text = b":\n\ndata: {\"nonce\":\"n\",\"sentUnixMs\":1}\n\n\n\ndata: {\"nonce\":\"n\",\"sentUnixMs\":2}\n\n";
        for size in 1..=text.len() {
            let mut reader = SseReader::of("");
            let events: Vec<_> = text.chunks(size).flat_map(|piece| reader.feed(piece)).collect();
            assert_eq!(numbers(&events), [1, 2], "in pieces of {size}");
        }
    }

    /// A megabyte of blank lines out of a kilobyte, and one event of a megabyte that comes in single bytes: each took minutes
    /// where every event moved, or every byte searched, all the rest.
    #[test]
    fn a_long_stream_is_read_once() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![b'\n'; MAX_STREAM_BYTES]).unwrap();
        assert!(SseReader::of("gzip").feed(&encoder.finish().unwrap()).is_empty());
        let mut reader = SseReader::of("");
        assert!((0..MAX_STREAM_BYTES).all(|_| reader.feed(b"x").is_empty()));
    }
}
