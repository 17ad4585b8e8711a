//! Three sources, one table: the embedded defaults, a file over them, the environment over both, flags over all.
//! Every value remembers where it came from, so that an error can name the line or the variable.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use toml::Value;
use toml::de::{DeTable, DeValue};

/// Defaults and documentation in one.
pub const DEFAULTS: &str = include_str!("../../max-auth.toml");

const ENVIRONMENT_PREFIX: &str = "MAX_AUTH_";

/// Where a value was written.
#[derive(Clone, PartialEq, Debug)]
pub enum Source {
    Default,
    File { name: String, line: usize },
    Environment(String),
    Flag(&'static str),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}, line {line}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Sections whose keys are names that the file makes up.
const FREE_SECTIONS: [&str; 1] = ["groups"];

/// Sections that are in parts, each with keys: `[driver.bot]`.
const PARTED_SECTIONS: [&str; 1] = ["driver"];

/// Keys that are secrets in clear: they are not shown.
const SECRETS: [&str; 1] = ["driver.bot.token"];

/// A value and where it came from.
pub struct Entry {
    /// As written, not yet checked.
    pub value: Value,
    /// Where.
    pub source: Source,
}

/// All keys as `section.key`, and what was wrong so far.
pub struct ConfigMerger {
    entries: BTreeMap<String, Entry>,
    errors: Vec<Mistake>,
}

/// Something that is wrong, and where it was written.
struct Mistake {
    source: Source,
    text: String,
}

impl Mistake {
    /// As a person meets them: the file from top to bottom, then variables, then flags.
    fn place(&self) -> (u8, usize) {
        match self.source {
            Source::Default => (0, 0),
            Source::File { line, .. } => (1, line),
            Source::Environment(_) => (2, 0),
            Source::Flag(_) => (3, 0),
        }
    }
}

impl ConfigMerger {
    /// The embedded defaults.
    pub fn with_defaults() -> Self {
        let mut merged = Self { entries: BTreeMap::new(), errors: Vec::new() };
        match toml::from_str::<toml::Table>(DEFAULTS) {
            Ok(table) => {
                for (section, keys) in table {
                    let Value::Table(keys) = keys else { continue };
                    for (key, value) in parts(&section, keys) {
                        merged.entries.insert(format!("{section}.{key}"), Entry { value, source: Source::Default });
                    }
                }
            }
            Err(error) => merged.mistake(Source::Default, format!("the embedded defaults: {error}")),
        }
        merged
    }

    /// Lays a file over what is there.
    pub fn add_file(&mut self, name: &str, text: &str) {
        let table = match DeTable::parse(text) {
            Ok(table) => table,
            Err(error) => {
                let line = line_of(text, error.span().map_or(0, |span| span.start));
                return self.mistake(Source::File { name: name.to_owned(), line }, error.message().to_owned());
            }
        };
        let whole: toml::Table = match toml::from_str(text) {
            Ok(whole) => whole,
            Err(error) => {
                return self.mistake(Source::File { name: name.to_owned(), line: 1 }, error.message().to_owned());
            }
        };
        for (section, keys) in table.get_ref() {
            let source = |start| Source::File { name: name.to_owned(), line: line_of(text, start) };
            let section_name = section.get_ref().to_string();
            let DeValue::Table(keys) = keys.get_ref() else {
                self.unknown(&section_name, &source(section.span().start));
                continue;
            };
            let is_parted = PARTED_SECTIONS.contains(&section_name.as_str());
            for (key, below) in keys {
                let path = format!("{section_name}.{}", key.get_ref());
                let Some(value) = whole.get(&section_name).and_then(|section| section.get(key.get_ref().as_ref()))
                else {
                    continue;
                };
                match (is_parted, below.get_ref(), value) {
                    (true, DeValue::Table(keys), Value::Table(values)) => {
                        for key in keys.keys() {
                            if let Some(value) = values.get(key.get_ref().as_ref()) {
                                let path = format!("{path}.{}", key.get_ref());
                                self.set(&path, value.clone(), source(key.span().start));
                            }
                        }
                    }
                    _ => self.set(&path, value.clone(), source(key.span().start)),
                }
            }
        }
    }

    /// Lays `MAX_AUTH_<SECTION>_<KEY>` over what is there. Text that is a TOML value is read as one.
    pub fn add_environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let sections: Vec<String> = self.sections();
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let rest = rest.to_ascii_lowercase();
            let named = |section: &&String| rest.starts_with(&format!("{}_", section.replace('.', "_")));
            let Some(section) = sections.iter().find(named) else {
                // Kubernetes sets these for a service of that name.
                if !["port", "service_"].iter().any(|theirs| rest.starts_with(theirs)) {
                    self.unknown(&rest.replacen('_', ".", 1), &Source::Environment(name));
                }
                continue;
            };
            let path = format!("{section}.{}", &rest[section.len() + 1..]);
            let value = toml::from_str::<toml::Table>(&format!("value = {text}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or(Value::String(text));
            self.set(&path, value, Source::Environment(name));
        }
    }

    /// Lays a flag over what is there.
    pub fn add_flag(&mut self, path: &str, value: Option<String>, flag: &'static str) {
        if let Some(value) = value {
            self.set(path, Value::String(value), Source::Flag(flag));
        }
    }

    fn set(&mut self, path: &str, value: Value, source: Source) {
        let is_free = path.split_once('.').is_some_and(|(section, _)| FREE_SECTIONS.contains(&section));
        if is_free || self.entries.contains_key(path) {
            self.entries.insert(path.to_owned(), Entry { value, source });
        } else {
            self.unknown(path, &source);
        }
    }

    fn unknown(&mut self, path: &str, source: &Source) {
        let known = self.entries.keys().map(String::as_str);
        let nearest = known.max_by(|a, b| strsim::jaro_winkler(path, a).total_cmp(&strsim::jaro_winkler(path, b)));
        let nearest = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
        self.mistake(source.clone(), format!("unknown key `{path}`{nearest}"));
    }

    fn sections(&self) -> Vec<String> {
        let mut sections: Vec<String> = self
            .entries
            .keys()
            .filter_map(|path| path.rsplit_once('.'))
            .map(|(section, _)| section.to_owned())
            .collect();
        sections.dedup();
        sections.extend(FREE_SECTIONS.map(str::to_owned));
        sections
    }

    /// The keys of a section, as `section.key`.
    pub fn section(&self, name: &str) -> Vec<String> {
        let of = |path: &&String| path.rsplit_once('.').is_some_and(|(section, _)| section == name);
        self.entries.keys().filter(of).cloned().collect()
    }

    /// Reads one key. What cannot be read is remembered as an error and answered with `None`.
    pub fn read<T>(&mut self, path: &str, parse: impl FnOnce(&Value) -> Result<T, String>) -> Option<T> {
        let Some(entry) = self.entries.get(path) else {
            self.mistake(Source::Default, format!("the embedded defaults lack `{path}`"));
            return None;
        };
        match parse(&entry.value) {
            Ok(value) => Some(value),
            Err(why) => {
                let source = entry.source.clone();
                self.mistake(source, format!("`{path}`: {why}"));
                None
            }
        }
    }

    /// Where the value in force was written.
    pub fn source(&self, path: &str) -> Option<&Source> {
        self.entries.get(path).map(|entry| &entry.source)
    }

    /// Remembers that the value in force does not do.
    pub fn error(&mut self, path: &str, why: &str) {
        let source = self.source(path).cloned().unwrap_or(Source::Default);
        self.mistake(source, format!("`{path}`: {why}"));
    }

    fn mistake(&mut self, source: Source, text: String) {
        self.errors.push(Mistake { source, text });
    }

    /// All that was wrong: one line each, in the order of the file.
    pub fn into_errors(mut self) -> Vec<String> {
        self.errors.sort_by_key(Mistake::place);
        self.errors.into_iter().map(|Mistake { source, text }| format!("{source}: {text}")).collect()
    }

    /// Whether anything was wrong so far.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// The table in force, as TOML with a comment that says where each value came from.
    pub fn show(&self) -> String {
        let mut text = String::new();
        let mut current = "";
        for (path, entry) in &self.entries {
            let Some((section, key)) = path.rsplit_once('.') else { continue };
            if section != current {
                let gap = if current.is_empty() { "" } else { "\n" };
                text += &format!("{gap}[{section}]\n");
                current = section;
            }
            let is_secret =
                SECRETS.contains(&path.as_str()) && entry.value.as_str().is_some_and(|text| !text.is_empty());
            let shown = if is_secret { Value::String("***".to_owned()) } else { without_password(&entry.value) };
            text += &format!("{key} = {shown}  # {}\n", entry.source);
        }
        text
    }
}

/// The keys of a section; those of its parts with the part's name before them.
fn parts(section: &str, keys: toml::Table) -> Vec<(String, Value)> {
    let is_parted = PARTED_SECTIONS.contains(&section);
    let one = |(part, value): (String, Value)| match value {
        Value::Table(keys) if is_parted => {
            keys.into_iter().map(|(key, value)| (format!("{part}.{key}"), value)).collect()
        }
        value => vec![(part, value)],
    };
    keys.into_iter().flat_map(one).collect()
}

/// An address is shown without what stands between its scheme and its host.
fn without_password(value: &Value) -> Value {
    let hidden = value.as_str().and_then(|text| {
        let (scheme, rest) = text.split_once("://")?;
        let (_, host) = rest.rsplit_once('@')?;
        Some(Value::String(format!("{scheme}://***@{host}")))
    });
    hidden.unwrap_or_else(|| value.clone())
}

/// The text of a file, or why there is none.
pub fn read_file(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: cannot be read: {error}", path.display()))
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
