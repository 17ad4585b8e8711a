//! The QR code as a picture, drawn on the server so that a browser needs no library and no third-party request.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fast_qr::qr::QRBuilder;
use fast_qr::{ECL, Mask, Module, QRCode};
use flate2::Crc;
use std::fmt::Write as _;

/// Modules of white around the code (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// Which of the eight patterns is laid over the modules. For links of MAX it is within 1 % of the best by the penalties of
/// ISO/IEC 18004 §7.8.3 (mean of 120; the others 20 to 43 %), and trying all eight is nine tenths of drawing.
const MASK: Mask = Mask::VerticalLines;

/// What an event holds a code as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Drawing {
    /// Field `svg`: about 2 KiB for a link of MAX.
    #[default]
    Svg,
    /// Field `png`, for who counts bytes: about 0.5 KiB.
    Png,
}

impl Drawing {
    /// The field's name and its text. `None` when `link` does not fit a code.
    pub fn of(self, link: &str) -> Option<(&'static str, String)> {
        match self {
            Self::Svg => Some(("svg", svg(link)?)),
            Self::Png => Some(("png", png(link)?)),
        }
    }
}

fn code(text: &str) -> Option<QRCode> {
    QRBuilder::new(text).ecl(ECL::M).mask(MASK).build().ok()
}

/// One path, runs of dark modules as strokes. `None` when the text does not fit a code.
pub fn svg(text: &str) -> Option<String> {
    let code = code(text)?;
    let side = code.size + 2 * QUIET_ZONE;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path stroke=\"#000\" d=\""
    );
    for row in 0..code.size {
        let dark = |column: usize| code[row].get(column).is_some_and(|module: &Module| module.value());
        let mut column = 0;
        let mut pen: Option<usize> = None;
        while column < code.size {
            if !dark(column) {
                column += 1;
                continue;
            }
            let run = (column..code.size).take_while(|&at| dark(at)).count();
            let _ = match pen {
                // The half module puts the middle of the stroke into the middle of the row.
                None => write!(svg, "M{} {}.5h{run}", column + QUIET_ZONE, row + QUIET_ZONE),
                Some(end) => write!(svg, "m{} 0h{run}", column - end),
            };
            column += run;
            pen = Some(column);
        }
    }
    svg += "\"/></svg>";
    Some(svg)
}

/// A `data:` address of a picture of one bit a module, which the page draws larger. Not compressed: there is nothing that
/// repeats.
pub fn png(text: &str) -> Option<String> {
    let code = code(text)?;
    let side = code.size + 2 * QUIET_ZONE;
    let mut rows = Vec::with_capacity(side * (side / 8 + 2));
    for row in 0..side {
        // No filter (PNG §9.2); 1 is white.
        rows.push(0);
        let start = rows.len();
        rows.resize(start + side.div_ceil(8), 0xff);
        let Some(modules) = row.checked_sub(QUIET_ZONE).filter(|row| *row < code.size).map(|row| &code[row]) else {
            continue;
        };
        for (column, module) in modules.iter().take(code.size).enumerate() {
            let at = column + QUIET_ZONE;
            if module.value()
                && let Some(byte) = rows.get_mut(start + at / 8)
            {
                *byte &= !(0x80 >> (at % 8));
            }
        }
    }
    let side = u32::try_from(side).ok()?.to_be_bytes();
    let header = [&side[..], &side, &[1, 0, 0, 0, 0]].concat();
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(*b"IHDR", &header, &mut picture);
    chunk(*b"IDAT", &stored_zlib(&rows)?, &mut picture);
    chunk(*b"IEND", &[], &mut picture);
    Some(format!("data:image/png;base64,{}", STANDARD.encode(picture)))
}

/// PNG §5.3.
fn chunk(kind: [u8; 4], data: &[u8], picture: &mut Vec<u8>) {
    let length = u32::try_from(data.len()).unwrap_or_default();
    picture.extend(length.to_be_bytes());
    let begin = picture.len();
    picture.extend(kind);
    picture.extend(data);
    let mut crc = Crc::new();
    crc.update(picture.get(begin..).unwrap_or_default());
    picture.extend(crc.sum().to_be_bytes());
}

/// One stored block (RFC 1950, RFC 1951 §3.2.4); `None` when the data are longer than one can be.
fn stored_zlib(data: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(data.len()).ok()?;
    let mut stream = vec![0x78, 0x01, 0x01];
    stream.extend(length.to_le_bytes());
    stream.extend((!length).to_le_bytes());
    stream.extend(data);
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in data {
        a = (a + u32::from(*byte)) % 65_521;
        b = (b + a) % 65_521;
    }
    stream.extend((b << 16 | a).to_be_bytes());
    Some(stream)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://max.ru/:auth/6bc2adb2-6b23-4a7d-a96c-320bee4ed0d7";

    /// Unpacked and read as a browser reads it.
    #[test]
    fn a_picture_shows_the_same_modules_as_the_code() {
        use std::io::Read as _;
        let code = code(LINK).unwrap();
        let address = png(LINK).unwrap();
        assert!(address.len() < 700, "{} bytes", address.len());
        let picture = STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let mut rest = picture.strip_prefix(b"\x89PNG\r\n\x1a\n").unwrap();
        let mut chunks = vec![];
        while !rest.is_empty() {
            let (length, after) = rest.split_at(4);
            let length = u32::from_be_bytes(length.try_into().unwrap()) as usize;
            let (chunk, after) = after.split_at(4 + length);
            let (sum, after) = after.split_at(4);
            let mut crc = Crc::new();
            crc.update(chunk);
            assert_eq!(crc.sum().to_be_bytes(), sum);
            let (name, data) = chunk.split_at(4);
            chunks.push((name, data));
            rest = after;
        }
        let [(b"IHDR", header), (b"IDAT", packed), (b"IEND", [])] = chunks[..] else { panic!("{chunks:?}") };
        let side = code.size + 2 * QUIET_ZONE;
        assert_eq!(header, [0, 0, 0, side as u8, 0, 0, 0, side as u8, 1, 0, 0, 0, 0]);
        let mut rows = vec![];
        flate2::read::ZlibDecoder::new(packed).read_to_end(&mut rows).unwrap();
        assert_eq!(rows.len(), side * (1 + side.div_ceil(8)));
        for (row, bytes) in rows.chunks(1 + side.div_ceil(8)).enumerate() {
            assert_eq!(bytes[0], 0, "no filter");
            for column in 0..side {
                let is_dark = bytes[1 + column / 8] & (0x80 >> (column % 8)) == 0;
                let module = (QUIET_ZONE..QUIET_ZONE + code.size).contains(&row)
                    && (QUIET_ZONE..QUIET_ZONE + code.size).contains(&column)
                    && code[row - QUIET_ZONE][column - QUIET_ZONE].value();
                assert_eq!(is_dark, module, "{row} {column}");
            }
        }
        assert_eq!(png(&"x".repeat(5000)), None);
    }

    #[test]
    fn strokes_cover_exactly_the_dark_modules() {
        let code = code(LINK).unwrap();
        let dark: usize = (0..code.size).map(|row| code[row].iter().filter(|module| module.value()).count()).sum();
        let svg = svg(LINK).unwrap();
        let path = svg.rsplit_once("d=\"").unwrap().1.split_once('"').unwrap().0;
        let runs = path.split('h').skip(1).map(|part| part.split(['m', 'M']).next().unwrap().parse::<usize>().unwrap());
        assert_eq!(runs.sum::<usize>(), dark);
        assert!(svg.len() < 4096, "{} bytes", svg.len());
    }

    /// Where each stroke lies, read as a browser reads the path: `M` is absolute, `m` counts from where the pen is.
    #[test]
    fn every_module_lies_in_its_place_within_the_quiet_zone() {
        let code = code(LINK).unwrap();
        let svg = svg(LINK).unwrap();
        let side = code.size + 8;
        let frame = format!("viewBox=\"0 0 {side} {side}\"");
        assert!(svg.contains(&frame) && svg.contains(&format!("d=\"M0 0h{side}v{side}H0z\"")), "{svg}");
        let path = svg.rsplit_once("d=\"").unwrap().1.split_once('"').unwrap().0;
        let mut drawn = vec![vec![false; side]; side];
        for line in path.split('M').skip(1) {
            let (mut column, mut row) = (0, 0);
            for (at, stroke) in line.split('m').enumerate() {
                let (start, run) = stroke.split_once('h').unwrap();
                let (x, y) = start.split_once(' ').unwrap();
                let x: usize = x.parse().unwrap();
                match at {
                    0 => (column, row) = (x, y.strip_suffix(".5").unwrap().parse().unwrap()),
                    _ => column += x,
                }
                let end = column + run.parse::<usize>().unwrap();
                drawn[row][column..end].fill(true);
                column = end;
            }
        }
        for (row, modules) in drawn.iter().enumerate() {
            for (column, drawn) in modules.iter().enumerate() {
                let inside = (4..side - 4).contains(&row) && (4..side - 4).contains(&column);
                let dark = inside && code[row - 4][column - 4].value();
                assert_eq!(*drawn, dark, "row {row}, column {column}");
            }
        }
    }

    #[test]
    fn a_text_that_fits_no_code_is_refused() {
        assert!(svg(&"x".repeat(5000)).is_none());
    }
}
