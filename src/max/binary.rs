//! The binary dialect, version 10: a header of 10 bytes, big-endian, and a body.
//!
//! ```text
//! ver u8 | cmd u8 | seq u16 | opcode u16 | flags u8, length u24 | body: MessagePack, or an LZ4 block of it, or nothing
//! ```
//!
//! Reading takes whatever MAX and its clients were seen to send. Writing is plain unless told otherwise: MAX accepts
//! plain bodies from everyone, while its own answers are compressed and have wrapped integers, which the emulator and
//! the tests must be able to imitate.

use super::frame::{Cmd, DecodeError, EncodeError, Frame, Head, MAX_FRAME_BYTES};
use super::msgpack;
pub use super::msgpack::Wrapped;
use super::opcode::Opcode;

pub const HEADER_BYTES: usize = super::frame::BINARY_HEADER_BYTES;

const VERSION: u8 = 10;

/// Flags of a body that is not compressed.
const PLAIN: u8 = 0x00;
/// Flags of a Zstandard body. Everything between is LZ4, the value being how many times larger the raw body is.
const ZSTANDARD: u8 = 0xFF;
/// The largest ratio that is written. Sources disagree on what 0x80 to 0xFE mean to MAX; nobody sends them.
const MAX_RATIO_WRITTEN: usize = 0x7F;

/// How a body is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    /// Bodies of at least so many bytes become LZ4 blocks, even if that makes them longer.
    pub compress_from: Option<usize>,
    pub wrapped: Wrapped,
}

impl Packing {
    /// What we send.
    pub const PLAIN: Self = Self { compress_from: None, wrapped: Wrapped::Nothing };
    /// What MAX sends: measured in a capture of 2026-09-25.
    pub const LIKE_MAX: Self = Self { compress_from: Some(32), wrapped: Wrapped::Long };
}

/// Writes a frame with the packing asked for.
pub fn encode(frame: &Frame, packing: Packing) -> Result<Vec<u8>, EncodeError> {
    let raw = match &frame.payload {
        Some(payload) => msgpack::encode(payload, packing.wrapped)?,
        None => Vec::new(),
    };
    let (flags, body) = match packing.compress_from {
        Some(threshold) if raw.len() >= threshold && !raw.is_empty() => compress(raw),
        _ => (PLAIN, raw),
    };
    // The cap is below the 24 bits of the length field, so `length` always fits.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX);
    if body.len() > MAX_FRAME_BYTES {
        return Err(EncodeError::TooLarge(body.len()));
    }
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend([VERSION, frame.cmd as u8]);
    bytes.extend(frame.seq.to_be_bytes());
    bytes.extend(frame.opcode.0.to_be_bytes());
    bytes.extend((u32::from(flags) << 24 | length).to_be_bytes());
    bytes.extend(body);
    Ok(bytes)
}

fn compress(raw: Vec<u8>) -> (u8, Vec<u8>) {
    let block = lz4_flex::block::compress(&raw);
    let ratio = raw.len().div_ceil(block.len().max(1));
    match u8::try_from(ratio) {
        Ok(flags) if ratio <= MAX_RATIO_WRITTEN => (flags, block),
        // Too good a ratio for one byte to say: plain is always understood.
        _ => (PLAIN, raw),
    }
}

/// The head of a message whose body, length or version cannot be read. All known versions have it at the same place.
pub(super) fn head(bytes: &[u8]) -> Option<Head> {
    let [_, cmd, seq_high, seq_low, opcode_high, opcode_low, ..] = *bytes.first_chunk::<HEADER_BYTES>()?;
    Some(Head {
        cmd: Cmd::from_wire(cmd).ok()?,
        seq: u16::from_be_bytes([seq_high, seq_low]),
        opcode: Opcode(u16::from_be_bytes([opcode_high, opcode_low])),
    })
}

/// Reads a frame.
pub fn decode(bytes: &[u8]) -> Result<Frame, DecodeError> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::Header(bytes.len()));
    };
    let [ver, cmd, seq_high, seq_low, opcode_high, opcode_low, flags, length @ ..] = *header;
    if ver != VERSION {
        return Err(DecodeError::Version { expected: VERSION, got: ver.into() });
    }
    let declared = length.iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte));
    if declared != body.len() {
        return Err(DecodeError::Length { declared, present: body.len() });
    }
    let cmd = Cmd::from_wire(cmd)?;
    let payload = match flags {
        _ if body.is_empty() => None,
        PLAIN => msgpack::decode(capped(body)?)?,
        ZSTANDARD => return Err(DecodeError::Zstandard),
        ratio => msgpack::decode(&decompress(body, ratio)?)?,
    };
    Ok(Frame {
        cmd,
        seq: u16::from_be_bytes([seq_high, seq_low]),
        opcode: Opcode(u16::from_be_bytes([opcode_high, opcode_low])),
        payload,
    })
}

fn capped(body: &[u8]) -> Result<&[u8], DecodeError> {
    if body.len() > MAX_FRAME_BYTES {
        return Err(DecodeError::TooLarge { bytes: body.len() });
    }
    Ok(body)
}

/// The raw body, wiped when dropped: it holds whatever the payload holds.
fn decompress(block: &[u8], ratio: u8) -> Result<zeroize::Zeroizing<Vec<u8>>, DecodeError> {
    let room = capped(block)?.len().saturating_mul(ratio.into()).min(MAX_FRAME_BYTES);
    let mut raw = zeroize::Zeroizing::new(vec![0; room]);
    let length = lz4_flex::block::decompress_into(block, &mut raw)
        .map_err(|_| DecodeError::Lz4 { compressed: block.len(), room })?;
    raw.truncate(length);
    Ok(raw)
}
