//! Reads what `nginx -T` prints: files, blocks and directives, each with its file and line. No more of the language is
//! understood than that takes.

use std::rc::Rc;

/// How deep blocks and includes may be nested; more is no configuration.
pub const MAX_DEPTH: usize = 24;

/// One directive, with its block if it has one.
#[derive(Clone, Debug)]
pub struct Directive {
    pub words: Vec<String>,
    pub file: Rc<str>,
    pub line: usize,
    pub block: Vec<Directive>,
}

impl Directive {
    pub fn is(&self, name: &str) -> bool {
        self.words.first().is_some_and(|word| word == name)
    }

    pub fn arguments(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }
}

/// The whole tree, includes in their places. Text without markers is one file, taken to be called `main_file`.
pub fn read(dump: &str, main_file: &str) -> Vec<Directive> {
    let mut files: Vec<(Rc<str>, Vec<Directive>)> = Vec::new();
    let mut name: Rc<str> = main_file.into();
    let mut text = String::new();
    for line in dump.lines() {
        let marker = line.strip_prefix("# configuration file ").and_then(|rest| rest.strip_suffix(':'));
        match marker {
            Some(path) => {
                push(&mut files, &name, &text);
                name = path.into();
                text.clear();
            }
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    push(&mut files, &name, &text);
    let Some((main, root)) = files.first() else { return Vec::new() };
    let folder = main.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
    expand(root, &files, &folder, 0)
}

fn push(files: &mut Vec<(Rc<str>, Vec<Directive>)>, name: &Rc<str>, text: &str) {
    let mut words = tokens(text).into_iter().peekable();
    if words.peek().is_some() {
        files.push((Rc::clone(name), block(&mut words, name, 0)));
    }
}

fn expand(block: &[Directive], files: &[(Rc<str>, Vec<Directive>)], folder: &str, depth: usize) -> Vec<Directive> {
    let mut out = Vec::new();
    if depth > MAX_DEPTH {
        return out;
    }
    for directive in block {
        match (directive.is("include"), directive.arguments().first()) {
            (true, Some(pattern)) => {
                let pattern = if pattern.starts_with('/') { pattern.clone() } else { format!("{folder}/{pattern}") };
                for (_, included) in files.iter().filter(|(name, _)| glob(&pattern, name)) {
                    out.extend(expand(included, files, folder, depth + 1));
                }
            }
            _ => {
                let mut directive = directive.clone();
                directive.block = expand(&directive.block, files, folder, depth + 1);
                out.push(directive);
            }
        }
    }
    out
}

/// `*` within one folder.
fn glob(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, after)) => {
            let Some(rest) = name.strip_prefix(before) else { return false };
            (0..=rest.len())
                .filter(|end| rest.is_char_boundary(*end) && !rest[..*end].contains('/'))
                .any(|end| glob(after, &rest[end..]))
        }
    }
}

enum Token {
    Word(String, usize),
    Open,
    Close,
    End,
}

fn block(tokens: &mut std::iter::Peekable<std::vec::IntoIter<Token>>, file: &Rc<str>, depth: usize) -> Vec<Directive> {
    let mut out = Vec::new();
    let mut words: Vec<String> = Vec::new();
    let mut line = 0;
    while let Some(token) = tokens.next() {
        match token {
            Token::Word(word, at) => {
                if words.is_empty() {
                    line = at;
                }
                words.push(word);
            }
            Token::Close => break,
            Token::End | Token::Open => {
                let inside = match token {
                    Token::Open if depth < MAX_DEPTH => block(tokens, file, depth + 1),
                    _ => Vec::new(),
                };
                if !words.is_empty() {
                    out.push(Directive {
                        words: std::mem::take(&mut words),
                        file: Rc::clone(file),
                        line,
                        block: inside,
                    });
                }
            }
        }
    }
    out
}

fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut line = 1;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => line += 1,
            '#' => while characters.next_if(|next| *next != '\n').is_some() {},
            ';' => out.push(Token::End),
            '{' => out.push(Token::Open),
            '}' => out.push(Token::Close),
            quote @ ('"' | '\'') => {
                let (mut word, began) = (String::new(), line);
                while let Some(next) = characters.next() {
                    match next {
                        '\\' => word.extend(characters.next()),
                        _ if next == quote => break,
                        _ => {
                            line += usize::from(next == '\n');
                            word.push(next);
                        }
                    }
                }
                out.push(Token::Word(word, began));
            }
            _ if character.is_whitespace() => {}
            _ => {
                let mut word = String::from(character);
                // `${name}` is part of a word.
                while let Some(next) =
                    characters.next_if(|next| !next.is_whitespace() && !";{}".contains(*next) || *next == '{')
                {
                    if next == '{' && !word.ends_with('$') {
                        out.push(Token::Word(std::mem::take(&mut word), line));
                        out.push(Token::Open);
                        break;
                    }
                    word.push(next);
                    if next == '{' {
                        for inside in characters.by_ref() {
                            word.push(inside);
                            if inside == '}' {
                                break;
                            }
                        }
                    }
                }
                if !word.is_empty() {
                    out.push(Token::Word(word, line));
                }
            }
        }
    }
    out
}
