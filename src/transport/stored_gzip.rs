//! A gzip stream (RFC 1952) that compresses nothing: every chunk is a stored block (RFC 1951 §3.2.4) and can be read the
//! moment it arrives. Nobody on the way compresses an encoded answer again, and a compressor is what holds events back.

use bytes::{BufMut, BytesMut};
use flate2::Crc;

/// Magic, deflate, no flags, no time, no hint, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Bytes in one stored block at most.
const BLOCK: usize = 0xffff;

pub struct StoredGzip {
    crc: Crc,
    begun: bool,
}

impl StoredGzip {
    pub fn new() -> Self {
        Self { crc: Crc::new(), begun: false }
    }

    pub fn write(&mut self, data: &[u8], out: &mut BytesMut) {
        if !self.begun {
            self.begun = true;
            out.put_slice(&HEADER);
        }
        self.crc.update(data);
        for block in data.chunks(BLOCK) {
            let length = block.len() as u16;
            out.put_u8(0);
            out.put_u16_le(length);
            out.put_u16_le(!length);
            out.put_slice(block);
        }
    }

    pub fn finish(&mut self, out: &mut BytesMut) {
        out.put_slice(&[1, 0, 0, 0xff, 0xff]);
        out.put_u32_le(self.crc.sum());
        out.put_u32_le(self.crc.amount());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::io::Read as _;

    #[test]
    fn a_reader_of_gzip_gets_it_back() {
        let (mut gzip, mut out) = (StoredGzip::new(), BytesMut::new());
        let long = "x".repeat(BLOCK + 10);
        for part in ["event: qr\n\n", "", long.as_str()] {
            gzip.write(part.as_bytes(), &mut out);
        }
        gzip.finish(&mut out);
        let mut text = String::new();
        GzDecoder::new(&out[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("event: qr\n\n{long}"));
    }
}
