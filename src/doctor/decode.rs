//! Undoes what a proxy did to a stream, piece by piece: whether an event is there is only known decoded.

use brotli_decompressor::DecompressorWriter;
use flate2::write::GzDecoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::Write as _;

/// Of the Brotli decoder's output buffer, in bytes.
const BROTLI_BUFFER: usize = 4096;

/// The longest stream that is decoded, in bytes: Zstandard's is decoded from its beginning with each block.
const MAX_STREAM_BYTES: usize = 1024 * 1024;

pub enum Decoder {
    Identity,
    Gzip(Box<GzDecoder<Vec<u8>>>),
    Brotli(Box<DecompressorWriter<Vec<u8>>>),
    Zstd(Zstd),
    /// Not known here.
    Opaque,
}

impl Decoder {
    /// For a `Content-Encoding`.
    pub fn of(encoding: &str) -> Self {
        match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip(Box::new(GzDecoder::new(Vec::new()))),
            "br" => Self::Brotli(Box::new(DecompressorWriter::new(Vec::new(), BROTLI_BUFFER))),
            "zstd" => Self::Zstd(Zstd::default()),
            _ => Self::Opaque,
        }
    }

    pub fn is_opaque(&self) -> bool {
        matches!(self, Self::Opaque)
    }

    /// What more is readable with these bytes, which should be few at a time: they may grow a thousandfold. What cannot be
    /// decoded is nothing.
    pub fn feed(&mut self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Identity => data.to_vec(),
            Self::Gzip(decoder) => {
                let _ = decoder.write_all(data);
                let _ = decoder.flush();
                std::mem::take(decoder.get_mut())
            }
            Self::Brotli(decoder) => {
                let _ = decoder.write_all(data);
                let _ = decoder.flush();
                std::mem::take(decoder.get_mut())
            }
            Self::Zstd(decoder) => decoder.feed(data),
            Self::Opaque => Vec::new(),
        }
    }
}

/// The decoder keeps what it decoded until a frame ends. So what has come of the frame gets an end of its own, each
/// time anew: a stream of a second has a handful of blocks.
#[derive(Default)]
pub struct Zstd {
    raw: Vec<u8>,
    told: usize,
}

/// An empty block that says it is the last, and room for a checksum, which is not compared.
const END: [u8; 7] = [1, 0, 0, 0, 0, 0, 0];

impl Zstd {
    fn feed(&mut self, data: &[u8]) -> Vec<u8> {
        if self.raw.len() + data.len() > MAX_STREAM_BYTES {
            return Vec::new();
        }
        self.raw.extend_from_slice(data);
        let mut text = Vec::new();
        let mut rest = self.raw.as_slice();
        // A proxy may write one frame for each flush.
        while let Some((frame, length)) = whole_blocks(rest) {
            let mut decoder = FrameDecoder::new();
            let mut source = frame.as_slice();
            let decoded = decoder.reset(&mut source).is_ok()
                && decoder.decode_blocks(&mut source, BlockDecodingStrategy::UptoBytes(MAX_STREAM_BYTES)).is_ok();
            let more = decoder.collect().filter(|_| decoded).unwrap_or_default();
            if text.len() + more.len() > MAX_STREAM_BYTES {
                break;
            }
            text.extend(more);
            rest = rest.get(length..).unwrap_or_default();
        }
        let new = text.get(self.told..).unwrap_or_default().to_vec();
        self.told = self.told.max(text.len());
        new
    }
}

/// The frame at the beginning, as far as its blocks are complete, with an end; and how long it is, once its own is there.
fn whole_blocks(raw: &[u8]) -> Option<(Vec<u8>, usize)> {
    let descriptor = *raw.get(4)?;
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let size = match descriptor >> 6 {
        0 => usize::from(single),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let mut at = 5 + usize::from(!single) + dictionary + size;
    let mut whole = at;
    while let Some(&[a, b, c]) = raw.get(at..at + 3) {
        let header = u32::from_le_bytes([a, b, c, 0]);
        let length = if header >> 1 & 3 == 1 { 1 } else { (header >> 3) as usize };
        let end = at + 3 + length;
        if raw.len() < end {
            break;
        }
        if header & 1 == 1 {
            let checksum = if descriptor & 4 != 0 { 4 } else { 0 };
            let length = end + checksum;
            return (raw.len() >= length).then(|| (raw[..length].to_vec(), length));
        }
        (at, whole) = (end, end);
    }
    let mut frame = raw.get(..whole)?.to_vec();
    frame.extend(END);
    Some((frame, raw.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three pieces, flushed one after another by the programs' own libraries (zlib and Brotli of Node, Python's `zstandard`).
    #[test]
    fn a_flush_is_readable_before_the_end() {
        for (encoding, pieces) in PIECES {
            let mut decoder = Decoder::of(encoding);
            for (number, piece) in pieces.iter().enumerate() {
                let text = String::from_utf8(decoder.feed(piece)).unwrap();
                assert_eq!(text, format!("event {number}\n\n"), "{encoding}");
            }
        }
    }

    #[test]
    fn rubbish_is_nothing_and_ends() {
        for encoding in ["gzip", "br", "zstd", "compress"] {
            let mut decoder = Decoder::of(encoding);
            for _ in 0..3 {
                decoder.feed(&[0xff; 4096]);
                decoder.feed(&[]);
            }
        }
    }

    const PIECES: &[(&str, [&[u8]; 3])] = &[
        (
            "gzip",
            [
                &[31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 74, 45, 75, 205, 43, 81, 48, 224, 226, 2, 0, 0, 0, 255, 255],
                &[74, 5, 51, 12, 185, 184, 0, 0, 0, 0, 255, 255],
                &[130, 48, 140, 184, 184, 0, 0, 0, 0, 255, 255],
            ],
        ),
        (
            "br",
            [
                &[11, 4, 0, 248, 37, 21, 64, 96, 106, 16, 81, 226, 6, 27, 3],
                &[64, 0, 128, 95, 74, 33, 166, 8, 209, 36, 24, 48],
                &[64, 0, 128, 95, 74, 65, 166, 8, 208, 36, 0, 48],
            ],
        ),
        (
            "zstd",
            [
                &[40, 181, 47, 253, 4, 88, 72, 0, 0, 101, 118, 101, 110, 116, 32, 48, 10, 10],
                &[72, 0, 0, 101, 118, 101, 110, 116, 32, 49, 10, 10],
                &[72, 0, 0, 101, 118, 101, 110, 116, 32, 50, 10, 10],
            ],
        ),
    ];
}
