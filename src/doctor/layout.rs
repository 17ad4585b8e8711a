//! How a report is set: lines of a terminal's width, and its colours.

/// Columns of a line of the report.
const WIDTH: usize = 100;

pub fn wrap(text: &str) -> String {
    wrap_at(text, "         ")
}

/// Letters, which are two bytes each in Russian.
fn columns(text: &str) -> usize {
    text.chars().count()
}

/// Breaks lines between words and begins each further one with `indent`.
pub fn wrap_at(text: &str, indent: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let full =
            lines.last().is_some_and(|line| !line.is_empty() && columns(line) + columns(word) >= WIDTH - indent.len());
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines.join(&format!("\n{indent}"))
}

/// Colours, on a terminal only.
pub struct Paint(pub bool);

impl Paint {
    fn with(&self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    pub fn bold(&self, text: &str) -> String {
        self.with("1", text)
    }

    pub fn red(&self, text: &str) -> String {
        self.with("1;31", text)
    }

    pub fn yellow(&self, text: &str) -> String {
        self.with("33", text)
    }

    pub fn green(&self, text: &str) -> String {
        self.with("32", text)
    }
}
