//! Points to a drawing: stacked bars as SVG, pure. Colours are classes, so that a style sheet makes them light or dark; each bar
//! is a link whose name says its exact figures, so that nobody has to guess them from its height. The drawing is as wide and as
//! high as its place; what is read beside it is text of the page, which does not become wider with it.

use std::fmt::Write as _;

/// Of the drawing, in its own units.
const WIDTH: usize = 960;
const HEIGHT: usize = 200;

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
    /// A `figure` with the drawing, the scale to its left and the marks below.
    pub fn html(&self) -> String {
        let highest = self.bars.iter().map(|bar| bar.parts.iter().sum()).max().unwrap_or_default();
        let top = ceiling(highest);
        let mut html = String::from("<figure class=\"plot\"><div class=\"scale\" aria-hidden=\"true\">");
        for value in [top, top / 2, 0] {
            put(&mut html, format_args!("<span>{value}</span>"));
        }
        html.push_str("</div>");
        self.draw(&mut html, top);
        html.push_str("<div class=\"marks\" aria-hidden=\"true\">");
        for (index, mark) in &self.marks {
            let left = *index as f64 * 100.0 / self.bars.len().max(1) as f64;
            put(&mut html, format_args!("<span style=\"left: {left:.2}%\">{}</span>", escaped(mark)));
        }
        html.push_str("</div></figure>");
        html
    }

    fn draw(&self, html: &mut String, top: u64) {
        put(
            html,
            format_args!(
                "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"group\" \
                 aria-labelledby=\"{id}-title {id}-text\"><title id=\"{id}-title\">{}</title><desc id=\"{id}-text\">{}</desc>",
                escaped(self.title),
                escaped(self.description),
                id = self.id
            ),
        );
        for y in [0, HEIGHT / 2, HEIGHT] {
            put(html, format_args!("<line x1=\"0\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\"/>"));
        }
        let gap = 2.0;
        let step = WIDTH as f64 / self.bars.len().max(1) as f64;
        // Nothing happened: there is nothing to click, or to hear about.
        for (index, bar) in self.bars.iter().enumerate().filter(|(_, bar)| bar.parts.iter().any(|part| *part > 0)) {
            let x = index as f64 * step;
            put(
                html,
                format_args!(
                    "<a href=\"{}\" aria-label=\"{label}\"{}><title>{label}</title><rect class=\"hit\" x=\"{x:.1}\" y=\"0\" \
                     width=\"{step:.1}\" height=\"{HEIGHT}\"/>",
                    escaped(&bar.link),
                    if bar.chosen { " aria-current=\"true\" class=\"chosen\"" } else { "" },
                    label = escaped(&bar.label)
                ),
            );
            let mut below = 0;
            for (part, class) in bar.parts.iter().zip(self.classes).filter(|(part, _)| **part > 0) {
                let (low, high) = (height(below, top), height(below + part, top));
                // What happened once among thousands is still to be seen.
                let tall = (high - low).max(2.0);
                let y = HEIGHT as f64 - low - tall;
                put(
                    html,
                    format_args!(
                        "<rect class=\"{class}\" x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{tall:.1}\"/>",
                        x + gap / 2.0,
                        (step - gap).max(1.0)
                    ),
                );
                below += part;
            }
            html.push_str("</a>");
        }
        html.push_str("</svg>");
    }
}

/// A text takes whatever it is given.
fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(what);
}

fn height(value: u64, top: u64) -> f64 {
    value as f64 * HEIGHT as f64 / top as f64
}

/// A number that people count by, and whose half is whole: 2, 4, 6, 8, 10, 20, 30, 40, 50, 60, 80, 100.
fn ceiling(highest: u64) -> u64 {
    let mut unit = 1;
    loop {
        for step in [2, 3, 4, 5, 6, 8, 10] {
            if highest <= unit * step && unit * step % 2 == 0 {
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
        let html = plot(vec![bar([3, 1], "a \"quoted\""), bar([0, 0], "b"), bar([4, 0], "c")]).html();
        assert!(
            html.contains("<title id=\"hour-title\">A &lt;title&gt;</title><desc id=\"hour-text\">d</desc>"),
            "{html}"
        );
        assert!(html.contains("aria-label=\"a &quot;quoted&quot;\"") && html.contains("href=\"?at=1&amp;for=60#x\""));
        assert_eq!((html.matches("class=\"good\"").count(), html.matches("class=\"bad\"").count()), (2, 1));
        assert_eq!((html.matches("<a ").count(), html.contains("aria-current")), (2, false), "b is empty");
        assert_eq!(plot(vec![bar([1, 1], "b")]).html().matches("aria-current=\"true\"").count(), 1);
        assert!(["150.0", "50.0", "200.0"].iter().all(|tall| html.contains(&format!("height=\"{tall}\""))), "{html}");
        assert_eq!(html.matches("<a ").count(), html.matches("</a>").count());
        assert!(html.contains(">12:00</span>") && html.contains("<span>4</span><span>2</span><span>0</span>"));
    }

    #[test]
    fn nothing_is_a_drawing_too_and_one_among_thousands_is_seen() {
        assert!(plot(Vec::new()).html().ends_with("</figure>"));
        let html = plot(vec![bar([100_000, 1], "a")]).html();
        assert!(html.contains("class=\"bad\" x=\"1.0\" y=\"98.0\" width=\"958.0\" height=\"2.0\""), "{html}");
        for (highest, top) in
            [(0, 2), (2, 2), (3, 4), (5, 6), (11, 20), (21, 30), (41, 50), (219, 300), (999, 1000), (1001, 2000)]
        {
            assert_eq!(ceiling(highest), top);
        }
    }
}
