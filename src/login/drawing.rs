//! The QR code as SVG, drawn on the server so that a browser needs no library and no third-party request.

use fast_qr::qr::QRBuilder;
use fast_qr::{ECL, Mask, Module};
use std::fmt::Write as _;

/// Modules of white around the code (ISO/IEC 18004).
const QUIET_ZONE: usize = 4;

/// Which of the eight patterns is laid over the modules. For links of MAX it is within 1 % of the best by the penalties of
/// ISO/IEC 18004 §7.8.3 (mean of 120; the others 20 to 43 %), and trying all eight is nine tenths of drawing.
const MASK: Mask = Mask::VerticalLines;

/// One path, runs of dark modules as strokes: about 2 KiB for a link of MAX. `None` when the text does not fit a code.
pub fn svg(text: &str) -> Option<String> {
    let code = QRBuilder::new(text).ecl(ECL::M).mask(MASK).build().ok()?;
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

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://max.ru/:auth/6bc2adb2-6b23-4a7d-a96c-320bee4ed0d7";

    #[test]
    fn strokes_cover_exactly_the_dark_modules() {
        let code = QRBuilder::new(LINK).ecl(ECL::M).mask(MASK).build().unwrap();
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
        let code = QRBuilder::new(LINK).ecl(ECL::M).mask(MASK).build().unwrap();
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
