//! Points to a drawing: stacked bars as SVG, pure. Colours are classes, so that a style sheet makes them light or dark; each bar
//! is a link whose name says its exact figures, so that nobody has to guess them from its height.

use std::fmt::Write as _;

/// Of the drawing, in its own units.
const WIDTH: usize = 960;
const HEIGHT: usize = 220;
const LEFT: usize = 44;
const BOTTOM: usize = 26;
const TOP: usize = 8;

/// A stretch of time.
pub struct Bar {
    /// As many as there are kinds, the lowest first.
    pub parts: Vec<u64>,
    /// What is said of it: its time and its figures.
    pub label: String,
    /// Where a click leads.
    pub link: String,
    pub chosen: bool,
}

pub struct Plot<'a> {
    /// Unique on its page.
    pub id: &'a str,
    pub title: &'a str,
    pub description: &'a str,
    pub bars: Vec<Bar>,
    /// Classes of the parts of each bar.
    pub classes: &'a [&'a str],
    /// Below the bars: at which of them, and what.
    pub marks: Vec<(usize, String)>,
}

impl Plot<'_> {
    pub fn svg(&self) -> String {
        let highest = self.bars.iter().map(|bar| bar.parts.iter().sum()).max().unwrap_or_default();
        let top = ceiling(highest);
        let mut svg = format!(
            "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"group\" aria-labelledby=\"{id}-title {id}-text\">\
             <title id=\"{id}-title\">{}</title><desc id=\"{id}-text\">{}</desc>",
            escaped(self.title),
            escaped(self.description),
            id = self.id
        );
        self.lines(&mut svg, top);
        let (room, gap) = (WIDTH - LEFT, 1.5);
        let step = room as f64 / self.bars.len().max(1) as f64;
        // Nothing happened: there is nothing to click, or to hear about.
        for (index, bar) in self.bars.iter().enumerate().filter(|(_, bar)| bar.parts.iter().any(|part| *part > 0)) {
            let x = LEFT as f64 + index as f64 * step;
            put(
                &mut svg,
                format_args!(
                    "<a href=\"{}\" aria-label=\"{}\"{}><title>{}</title><rect class=\"hit\" x=\"{x:.1}\" y=\"{TOP}\" \
                     width=\"{step:.1}\" height=\"{}\"/>",
                    escaped(&bar.link),
                    escaped(&bar.label),
                    if bar.chosen { " aria-current=\"true\" class=\"chosen\"" } else { "" },
                    escaped(&bar.label),
                    HEIGHT - BOTTOM - TOP
                ),
            );
            let mut below = 0;
            for (part, class) in bar.parts.iter().zip(self.classes).filter(|(part, _)| **part > 0) {
                let (low, high) = (height(below, top), height(below + part, top));
                // What happened once among thousands is still to be seen.
                let tall = (high - low).max(2.0);
                let y = (HEIGHT - BOTTOM) as f64 - low - tall;
                put(
                    &mut svg,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
                        x + gap / 2.0,
                        (step - gap).max(1.0)
                    ),
                );
                below += part;
            }
            svg.push_str("</a>");
        }
        for (index, mark) in &self.marks {
            let x = LEFT as f64 + *index as f64 * step;
            put(
                &mut svg,
                format_args!("<text class=\"mark\" x=\"{x:.1}\" y=\"{}\">{}</text>", HEIGHT - 7, escaped(mark)),
            );
        }
        svg.push_str("</svg>");
        svg
    }

    fn lines(&self, svg: &mut String, top: u64) {
        for part in 0..=2 {
            let value = top * part / 2;
            let y = (HEIGHT - BOTTOM) as f64 - height(value, top);
            put(
                svg,
                format_args!(
                    "<line class=\"line\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                     <text class=\"scale\" x=\"{}\" y=\"{:.1}\">{value}</text>",
                    LEFT - 8,
                    y + 4.0
                ),
            );
        }
    }
}

/// A text takes whatever it is given.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

fn height(value: u64, top: u64) -> f64 {
    value as f64 * (HEIGHT - BOTTOM - TOP) as f64 / top as f64
}

/// An even number that people count by: 2, 4, 10, 20, 40, 100.
fn ceiling(highest: u64) -> u64 {
    let mut unit = 1;
    loop {
        for step in [2, 4, 10] {
            if highest <= unit * step {
                return unit * step;
            }
        }
        unit *= 10;
    }
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            char => safe.push(char),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(parts: [u64; 2], label: &str) -> Bar {
        Bar { parts: parts.to_vec(), label: label.into(), link: "?at=1&for=60#x".into(), chosen: label == "b" }
    }

    fn plot(bars: Vec<Bar>) -> Plot<'static> {
        let marks = vec![(0, "12:00".to_owned())];
        Plot { id: "hour", title: "A <title>", description: "d", bars, classes: &["good", "bad"], marks }
    }

    #[test]
    fn each_bar_says_its_figures_and_has_parts_as_high_as_they_are() {
        let svg = plot(vec![bar([3, 1], "a \"quoted\""), bar([0, 0], "b"), bar([4, 0], "c")]).svg();
        assert!(
            svg.contains("<title id=\"hour-title\">A &lt;title&gt;</title><desc id=\"hour-text\">d</desc>"),
            "{svg}"
        );
        assert!(svg.contains("aria-label=\"a &quot;quoted&quot;\"") && svg.contains("href=\"?at=1&amp;for=60#x\""));
        assert_eq!((svg.matches("class=\"good\"").count(), svg.matches("class=\"bad\"").count()), (2, 1));
        assert_eq!((svg.matches("<a ").count(), svg.contains("aria-current")), (2, false), "b is empty");
        assert_eq!(plot(vec![bar([1, 1], "b")]).svg().matches("aria-current=\"true\"").count(), 1);
        assert!(
            svg.contains("height=\"139.5\"") && svg.contains("height=\"46.5\"") && svg.contains("height=\"186.0\""),
            "{svg}"
        );
        assert_eq!(svg.matches("<a ").count(), svg.matches("</a>").count());
        assert!(svg.contains(">12:00</text>") && svg.contains(">4</text>") && svg.contains(">2</text>"));
    }

    #[test]
    fn nothing_is_a_drawing_too_and_one_among_thousands_is_seen() {
        assert!(plot(Vec::new()).svg().ends_with("</svg>"));
        let svg = plot(vec![bar([100_000, 1], "a")]).svg();
        assert!(svg.contains("class=\"bad\" x=\"44.8\" y=\"99.0\" width=\"914.5\" height=\"2.0\""), "{svg}");
        for (highest, top) in
            [(0, 2), (2, 2), (3, 4), (5, 10), (11, 20), (21, 40), (41, 100), (999, 1000), (1001, 2000)]
        {
            assert_eq!(ceiling(highest), top);
        }
    }
}
