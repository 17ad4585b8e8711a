//! Undoes what a proxy did to a stream, piece by piece: whether an event is there is only known decoded.

use brotli_decompressor::DecompressorWriter;
use flate2::write::GzDecoder;
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::io::{self, ErrorKind, Write};

/// Of the Brotli decoder's output buffer, in bytes.
const BROTLI_BUFFER: usize = 4096;

/// The longest stream that is read, in bytes, as it comes and decoded: three events of 128 KiB are the largest of ours.
/// Whatever stands on the path may send anything, and twenty bytes of Brotli can be sixteen megabytes.
pub const MAX_STREAM_BYTES: usize = 1024 * 1024;

pub enum Decoder {
    Identity,
    Gzip(Box<GzDecoder<Output>>),
    Brotli(Box<DecompressorWriter<Output>>),
    Zstd(Zstd),
    /// Not known here.
    Opaque,
}

impl Decoder {
    /// For a `Content-Encoding`.
    pub fn of(encoding: &str) -> Self {
        match encoding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip(Box::new(GzDecoder::new(Output::default()))),
            "br" => Self::Brotli(Box::new(DecompressorWriter::new(Output::default(), BROTLI_BUFFER))),
            "zstd" => Self::Zstd(Zstd::default()),
            _ => Self::Opaque,
        }
    }

    pub fn is_opaque(&self) -> bool {
        matches!(self, Self::Opaque)
    }

    /// What more is readable with these bytes. What cannot be decoded is nothing, and so is what is beyond
    /// [`MAX_STREAM_BYTES`] of the whole stream.
    pub fn feed(&mut self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Identity => data.to_vec(),
            Self::Gzip(decoder) => {
                let _ = decoder.write_all(data);
                let _ = decoder.flush();
                std::mem::take(&mut decoder.get_mut().text)
            }
            Self::Brotli(decoder) => {
                let _ = decoder.write_all(data);
                let _ = decoder.flush();
                std::mem::take(&mut decoder.get_mut().text)
            }
            Self::Zstd(decoder) => decoder.feed(data),
            Self::Opaque => Vec::new(),
        }
    }
}

/// What has come out of a decoder, which is stopped by an error where it would be too much.
#[derive(Default)]
pub struct Output {
    text: Vec<u8>,
    total: usize,
}

impl Write for Output {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let fits = data.len().min(MAX_STREAM_BYTES.saturating_sub(self.total));
        if fits == 0 && !data.is_empty() {
            return Err(ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(&data[..fits]);
        self.total += fits;
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
    use flate2::Compression;
    use flate2::write::GzEncoder;

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

    /// Sixteen megabytes of zeros, which one piece brings: by zlib, and by the Brotli of Node.
    #[test]
    fn one_piece_expands_to_no_more_than_a_stream_may_have() {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&vec![0; 16 * MAX_STREAM_BYTES]).unwrap();
        for (encoding, bomb) in [("gzip", gzip.finish().unwrap()), ("br", BROTLI_BOMB.to_vec())] {
            let mut decoder = Decoder::of(encoding);
            assert_eq!(decoder.feed(&bomb).len(), MAX_STREAM_BYTES, "{encoding}");
            assert_eq!(decoder.feed(&bomb).len(), 0, "{encoding}: a stream, not each piece of it");
        }
    }

    const BROTLI_BOMB: &[u8] = &[
        203, 255, 255, 63, 248, 39, 0, 226, 177, 64, 32, 247, 254, 47, 255, 255, 255, 240, 79, 0, 196, 97, 17, 128,
        238, 253, 31,
    ];

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

    #[test]
    fn what_is_not_known_here_is_opaque() {
        for (encoding, opaque) in [
            ("", false),
            ("identity", false),
            (" GZIP ", false),
            ("x-gzip", false),
            ("br", false),
            ("zstd", false),
            ("compress", true),
            ("gzip, br", true),
        ] {
            assert_eq!(Decoder::of(encoding).is_opaque(), opaque, "{encoding}");
        }
        assert_eq!(Decoder::of("identity").feed(b"as it is"), b"as it is");
        assert!(Decoder::of("compress").feed(b"as it is").is_empty());
    }

    /// RFC 8878 §3.1.1: how long a frame's head is, by its descriptor.
    #[test]
    fn a_frame_is_cut_after_its_last_whole_block() {
        for (descriptor, head) in [
            (0x00u8, 1),
            (0x20, 1),
            (0x21, 2),
            (0x22, 3),
            (0x23, 5),
            (0x01, 2),
            (0x40, 3),
            (0x60, 2),
            (0x80, 5),
            (0xa0, 4),
            (0xc0, 9),
            (0xe3, 12),
        ] {
            let mut raw = vec![0x28, 0xb5, 0x2f, 0xfd, descriptor];
            raw.extend(vec![9; head]);
            // A raw block of three bytes, one that says a byte five times, and a last one of two bytes.
            let blocks: [&[u8]; 3] = [&[3 << 3, 0, 0, 1, 2, 3], &[(5 << 3) | 2, 0, 0, 7], &[(2 << 3) | 1, 0, 0, 8, 9]];
            let ended = |raw: &[u8], length: usize| Some(([raw, &END[..]].concat(), length));
            assert_eq!(whole_blocks(&raw), ended(&raw, raw.len()), "{descriptor:#x}: a head");
            for block in &blocks[..2] {
                let before = raw.clone();
                for part in block[..block.len() - 1].iter() {
                    raw.push(*part);
                    assert_eq!(whole_blocks(&raw), ended(&before, raw.len()), "{descriptor:#x}: a part of a block");
                }
                raw.push(block[block.len() - 1]);
                assert_eq!(whole_blocks(&raw), ended(&raw, raw.len()), "{descriptor:#x}");
            }
            raw.extend(blocks[2]);
            let whole = (raw.clone(), raw.len());
            raw.extend(b"next");
            assert_eq!(whole_blocks(&raw), Some(whole), "{descriptor:#x}: the end");
            assert_eq!(whole_blocks(&raw[..4 + head]), None, "{descriptor:#x}: no whole head");
            raw[4] |= 4;
            assert_eq!(whole_blocks(&raw), Some((raw.clone(), raw.len())), "{descriptor:#x}: a checksum");
            raw.pop();
            assert_eq!(whole_blocks(&raw), None, "{descriptor:#x}: a part of a checksum");
        }
    }

    #[test]
    fn a_flush_is_readable_however_its_bytes_come() {
        for (encoding, pieces) in PIECES {
            for step in [1, 2, 3, 7] {
                let (mut decoder, mut text, mut expected) = (Decoder::of(encoding), Vec::new(), String::new());
                for (number, piece) in pieces.iter().enumerate() {
                    for bytes in piece.chunks(step) {
                        text.extend(decoder.feed(bytes));
                    }
                    expected += &format!("event {number}\n\n");
                    assert_eq!(String::from_utf8_lossy(&text), expected, "{encoding}, {step} at a time");
                }
            }
        }
    }
}
