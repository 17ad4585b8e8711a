//! Reads what `nginx -T` prints: files, blocks and directives, each with its file and line. No more of the language is
//! understood than that takes.

use std::rc::Rc;

/// How deep blocks and includes may be nested; more is no configuration.
pub const MAX_DEPTH: usize = 24;

/// Directives that are read, includes in each of their places: the largest sites have some thousands; files that include
/// themselves twice would have any number.
const MAX_DIRECTIVES: usize = 100_000;

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
    let mut left = MAX_DIRECTIVES;
    expand(root, &files, &folder, 0, &mut left)
}

fn push(files: &mut Vec<(Rc<str>, Vec<Directive>)>, name: &Rc<str>, text: &str) {
    let mut words = tokens(text).into_iter().peekable();
    if words.peek().is_some() {
        files.push((Rc::clone(name), block(&mut words, name, 0)));
    }
}

/// `left`: how many directives may still be looked at.
fn expand(
    block: &[Directive],
    files: &[(Rc<str>, Vec<Directive>)],
    folder: &str,
    depth: usize,
    left: &mut usize,
) -> Vec<Directive> {
    let mut out = Vec::new();
    if depth > MAX_DEPTH {
        return out;
    }
    for directive in block {
        let Some(fewer) = left.checked_sub(1) else { return out };
        *left = fewer;
        match (directive.is("include"), directive.arguments().first()) {
            (true, Some(pattern)) => {
                let pattern = if pattern.starts_with('/') { pattern.clone() } else { format!("{folder}/{pattern}") };
                for (_, included) in files.iter().filter(|(name, _)| glob(&pattern, name)) {
                    out.extend(expand(included, files, folder, depth + 1, left));
                }
            }
            _ => {
                out.push(Directive {
                    words: directive.words.clone(),
                    file: Rc::clone(&directive.file),
                    line: directive.line,
                    block: expand(&directive.block, files, folder, depth + 1, left),
                });
            }
        }
    }
    out
}

/// `*` within one folder.
fn glob(pattern: &str, name: &str) -> bool {
    let (mut patterns, mut names) = (pattern.split('/'), name.split('/'));
    loop {
        match (patterns.next(), names.next()) {
            (Some(pattern), Some(name)) if segment(pattern, name) => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

/// Each part between two stars at its first place: what a later place could match, the next star matches, too.
fn segment(pattern: &str, name: &str) -> bool {
    let Some((before, rest)) = pattern.split_once('*') else { return pattern == name };
    let (middle, end) = rest.rsplit_once('*').map_or(("", rest), |(middle, end)| (middle, end));
    let Some(mut name) = name.strip_prefix(before).and_then(|name| name.strip_suffix(end)) else { return false };
    for part in middle.split('*') {
        let Some((_, behind)) = name.split_once(part) else { return false };
        name = behind;
    }
    true
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as text: words, file and line of each directive, a level a step to the right.
    fn shown(block: &[Directive], level: usize) -> String {
        let lines = block.iter().map(|directive| {
            let inside = shown(&directive.block, level + 1);
            let (words, file, line) = (directive.words.join("|"), &directive.file, directive.line);
            format!("{}{words} {file}:{line}\n{inside}", "  ".repeat(level))
        });
        lines.collect()
    }

    #[test]
    fn words_quotes_comments_and_blocks() {
        let text = "# a comment { ;\nuser  www;\nevents { }\nhttp {\n  log_format main '$a \\'b\\' {';\n  map $x\n $y { a \"b c\"; }\n  \
                    server{listen 80;location ~ ^/a{2}$ { return 200; } set $v ${name}x;}\n}\n";
        let expected = "user|www main.conf:2\nevents main.conf:3\nhttp main.conf:4\n  log_format|main|$a 'b' { main.conf:5\n  \
                        map|$x|$y main.conf:6\n    a|b c main.conf:7\n  server main.conf:8\n    listen|80 main.conf:8\n    \
                        location|~|^/a main.conf:8\n";
        let read = shown(&read(text, "main.conf"), 0);
        assert!(read.starts_with(expected), "{read}");
        let set = shown(&super::read("set $v ${name}x;\n\nlisten\n'80\n81' ;\nlast;", "f"), 0);
        assert_eq!(set, "set|$v|${name}x f:1\nlisten|80\n81 f:3\nlast f:6\n");
    }

    #[test]
    fn includes_stand_in_their_places() {
        let dump = "# configuration file /etc/nginx/nginx.conf:\na;\ninclude sites/*.conf;\nb { include /opt/one; }\ninclude none;\n\
                    # configuration file /etc/nginx/sites/x.conf:\nx 1;\n\
                    # configuration file /etc/nginx/sites/deep/y.conf:\ny 1;\n\
                    # configuration file /opt/one:\n\none;\n";
        let expected =
            "a /etc/nginx/nginx.conf:1\nx|1 /etc/nginx/sites/x.conf:1\nb /etc/nginx/nginx.conf:3\n  one /opt/one:2\n";
        assert_eq!(shown(&read(dump, "main.conf"), 0), expected);
        assert!(read("", "main.conf").is_empty());
    }

    #[test]
    fn a_star_is_anything_within_one_folder() {
        for (pattern, name, fits) in [
            ("/a/b", "/a/b", true),
            ("/a/b", "/a/bc", false),
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/", true),
            ("/a/*", "/a/b/c", false),
            ("/a/*.conf", "/a/b.conf", true),
            ("/a/*.conf", "/a/b.conf.old", false),
            ("/*/b*", "/a/bc", true),
            ("/x*", "/a", false),
            ("/*", "/ё", true),
            ("/a*b*c*d", "/a1b2c3d", true),
            ("/a*b*c*d", "/a1c2b3d", false),
            ("/a*ab", "/ab", false),
            ("/*a*a*a*a*a*a*a*a*a*a*a*a*b", &format!("/{}", "a".repeat(200)), false),
        ] {
            assert_eq!(glob(pattern, name), fits, "{pattern} {name}");
        }
    }

    #[test]
    fn nesting_has_an_end() {
        // What is nested deeper stands beside what it is in.
        for levels in [MAX_DEPTH - 1, MAX_DEPTH, MAX_DEPTH + 1, 60] {
            let deep = format!("{}x;{}", "a {".repeat(levels), "}".repeat(levels));
            let shown = shown(&read(&deep, "f"), 0);
            assert_eq!(shown.lines().count(), levels + 1, "{shown}");
            let depth = shown.lines().last().map(|line| line.len() - line.trim_start().len());
            assert_eq!(depth, Some(2 * levels.min(MAX_DEPTH)), "{shown}");
        }
        let endless = "# configuration file /a:\nx;\ninclude /a;\n";
        assert_eq!(shown(&read(endless, "f"), 0).lines().count(), MAX_DEPTH + 1);
        let doubling = "# configuration file /a:\nx;\ninclude /a;\ninclude /a;\n";
        assert!(shown(&read(doubling, "f"), 0).lines().count() <= MAX_DIRECTIVES);
    }
}
