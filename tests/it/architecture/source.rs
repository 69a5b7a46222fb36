//! A source file as the rules look at it: what it names, how long it is; without comments and without test code.
//!
//! It works on tokens, not on the syntax tree, so that what stands inside of macros counts like everything else.

use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Something that a file names: an identifier, or several joined by `::`. The trees of `use` are spelled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    pub(super) path: Vec<String>,
    pub(super) line: usize,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// One file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// Path from the root of the repository, with slashes.
    pub(super) path: String,
    /// Its lines, without those of `#[cfg(test)]`.
    pub(super) lines: usize,
    /// It begins with a module comment.
    pub(super) has_header: bool,
    pub(super) mentions: Vec<Mention>,
    /// String literals and others, as written.
    pub(super) literals: Vec<(String, usize)>,
    pub(super) functions: Vec<Function>,
    /// Modules that are declared in it.
    pub(super) modules: Vec<(String, usize)>,
}

impl Source {
    /// Every file below a folder of the repository, except for those that hold nothing but tests.
    pub(super) fn below(folder: &str) -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut folders = vec![root.join(folder)];
        let mut sources = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
                let path = entry.expect("a file").path();
                let name = path.strip_prefix(root).expect("a path below the root").to_string_lossy().replace('\\', "/");
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|extension| extension == "rs") && !name.ends_with("_tests.rs") {
                    sources.push(Self::parse(&name, &std::fs::read_to_string(&path).expect("a source file")));
                }
            }
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        sources
    }

    pub(super) fn parse(path: &str, text: &str) -> Self {
        let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path} is no Rust: {error}"));
        let mut source = Self {
            path: path.to_owned(),
            lines: text.lines().count(),
            has_header: text.starts_with("//!"),
            ..Self::default()
        };
        source.walk(tokens);
        source
    }

    /// The modules that the file is in, its own last; empty for the root of a crate.
    pub(super) fn module(&self) -> Vec<&str> {
        let inner = self.path.split_once("src/").map_or(self.path.as_str(), |(_, inner)| inner);
        let modules = inner.trim_end_matches(".rs").split('/');
        let is_root = |name: &&str| !["mod", "lib", "main"].contains(name);
        modules.filter(is_root).collect()
    }

    /// The layer that the file belongs to; empty for `lib.rs` and `main.rs`.
    pub(super) fn layer(&self) -> &str {
        self.module().first().copied().unwrap_or_default()
    }

    /// A mention as a path from the root of our crate; `None` if it begins elsewhere.
    pub(super) fn resolve<'a>(&'a self, mention: &'a Mention) -> Option<Vec<&'a str>> {
        let mut rest = mention.path.iter().map(String::as_str).peekable();
        let mut absolute = match rest.next()? {
            "crate" | "tradewind" => Vec::new(),
            "self" => self.module(),
            "super" => {
                let mut module = self.module();
                module.pop();
                while rest.next_if_eq(&"super").is_some() {
                    module.pop();
                }
                module
            }
            _ => return None,
        };
        absolute.extend(rest);
        Some(absolute)
    }

    fn walk(&mut self, stream: TokenStream) {
        let tokens: Vec<_> = stream.into_iter().collect();
        let mut rest = tokens.as_slice();
        while !rest.is_empty() {
            let taken = self.step(rest);
            rest = rest.get(taken..).unwrap_or_default();
        }
    }

    /// Takes in what comes next, and says how many tokens that was.
    fn step(&mut self, tokens: &[TokenTree]) -> usize {
        match tokens {
            [TokenTree::Punct(hash), TokenTree::Group(attribute), ..] if hash.as_char() == '#' => {
                if is_attribute(attribute, &["cfg", "(test)"]) {
                    let length = item(tokens);
                    self.lines -= last_line(&tokens[length - 1]) - hash.span().start().line + 1;
                    return length;
                }
                // A comment of documentation is an attribute by now.
                if is_attribute(attribute, &["doc"]) { 2 } else { 1 }
            }
            [TokenTree::Punct(hash), TokenTree::Punct(_), TokenTree::Group(attribute), ..]
                if hash.as_char() == '#' && is_attribute(attribute, &["doc"]) =>
            {
                3
            }
            [TokenTree::Ident(word), next, ..] if word == "use" && !is_punct(next, '<') => {
                let length = item(tokens);
                self.expand_use(&[], &tokens[1..length]);
                length
            }
            [TokenTree::Ident(word), TokenTree::Ident(name), rest @ ..] if word == "fn" => {
                if let Some(body) = rest.get(item(rest) - 1).filter(|last| is_braces(last)) {
                    let line = word.span().start().line;
                    self.functions.push(Function { name: name.to_string(), line, lines: last_line(body) - line + 1 });
                }
                2
            }
            [TokenTree::Ident(word), TokenTree::Ident(name), ..] if word == "mod" => {
                self.modules.push((name.to_string(), word.span().start().line));
                2
            }
            [TokenTree::Ident(first), ..] => {
                let mut path = vec![first.to_string()];
                let mut rest = &tokens[1..];
                while let [a, b, TokenTree::Ident(next), after @ ..] = rest
                    && is_punct(a, ':')
                    && is_punct(b, ':')
                {
                    path.push(next.to_string());
                    rest = after;
                }
                self.mentions.push(Mention { path, line: first.span().start().line });
                tokens.len() - rest.len()
            }
            [TokenTree::Group(group), ..] => {
                self.walk(group.stream());
                1
            }
            [TokenTree::Literal(literal), ..] => {
                self.literals.push((literal.to_string(), literal.span().start().line));
                1
            }
            [TokenTree::Punct(_), ..] | [] => 1,
        }
    }

    /// Spells out a tree of `use`: `a::{b, c as d}` is `a::b` and `a::c`.
    fn expand_use(&mut self, prefix: &[String], tree: &[TokenTree]) {
        for branch in tree.split(|token| is_punct(token, ',')) {
            let mut path = prefix.to_vec();
            let mut line = 0;
            for token in branch {
                line = token.span().start().line;
                match token {
                    TokenTree::Ident(name) if name == "as" => break,
                    TokenTree::Ident(name) => path.push(name.to_string()),
                    TokenTree::Punct(star) if star.as_char() == '*' => path.push("*".to_owned()),
                    TokenTree::Group(group) => {
                        let inner: Vec<_> = group.stream().into_iter().collect();
                        self.expand_use(&path, &inner);
                        path.clear();
                    }
                    TokenTree::Punct(_) | TokenTree::Literal(_) => {}
                }
            }
            if path.len() > prefix.len() {
                self.mentions.push(Mention { path, line });
            }
        }
    }
}

/// How many tokens there are up to the end of an item: a semicolon or a body in braces, whichever is first.
fn item(tokens: &[TokenTree]) -> usize {
    let is_end = |token: &TokenTree| is_punct(token, ';') || is_braces(token);
    let is_use = |token: &TokenTree| matches!(token, TokenTree::Ident(word) if word == "use");
    // The braces of a `use` are not its end.
    let end = match tokens.first() {
        Some(first) if is_use(first) => tokens.iter().position(|token| is_punct(token, ';')),
        _ => tokens.iter().position(is_end),
    };
    end.map_or(tokens.len(), |end| end + 1)
}

fn is_punct(token: &TokenTree, wanted: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == wanted)
}

fn is_braces(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// Whether an attribute begins with these tokens.
fn is_attribute(attribute: &Group, wanted: &[&str]) -> bool {
    let tokens: Vec<_> = attribute.stream().into_iter().take(wanted.len()).map(|token| token.to_string()).collect();
    attribute.delimiter() == Delimiter::Bracket && tokens == wanted
}

fn last_line(token: &TokenTree) -> usize {
    token.span().end().line
}

mod tests {
    use super::*;

    const FILE: &str = r#"//! The header names hidden::in_a_comment.
use crate::{api::{self, keys as k}, domain::*};
/// Another hidden::comment.
fn short<'a>(x: &'a str) -> impl Iterator<Item = u8> + use<'a> {
    other!(inner::name, "text");
    super::sibling::call::<u8>();
}
trait T {
    fn no_body(&self);
}
#[cfg(test)]
mod tests {
    use hidden::in_a_test;
}
#[cfg(test)]
#[path = "x_tests.rs"]
mod x_tests;
const AFTER: u8 = 1;
"#;

    #[test]
    fn a_file_is_read_without_comments_and_tests() {
        let source = Source::parse("src/domain/deep/file.rs", FILE);
        let named: Vec<_> = source.mentions.iter().map(|mention| (mention.path.join("::"), mention.line)).collect();
        let has = |path: &str, line| named.contains(&(path.to_owned(), line));
        assert!(has("crate::api::self", 2) && has("crate::api::keys", 2) && has("crate::domain::*", 2), "{named:?}");
        assert!(has("inner::name", 5) && has("super::sibling::call", 6) && has("AFTER", 18), "{named:?}");
        assert!(!named.iter().any(|(path, _)| path.contains("hidden")), "{named:?}");
        assert_eq!(source.literals, [("\"text\"".to_owned(), 5), ("1".to_owned(), 18)]);
        assert_eq!(source.functions, [Function { name: "short".to_owned(), line: 4, lines: 4 }]);
        assert!(source.has_header);
        assert_eq!(source.lines, 18 - 7);
    }

    #[test]
    fn relative_paths_are_resolved() {
        let source = Source::parse("src/domain/deep/file.rs", "");
        let resolve = |path: &str| {
            let mention = Mention { path: path.split("::").map(str::to_owned).collect(), line: 1 };
            source.resolve(&mention).map(|absolute| absolute.join("::"))
        };
        assert_eq!(resolve("crate::api::x").as_deref(), Some("api::x"));
        assert_eq!(resolve("super::x").as_deref(), Some("domain::deep::x"));
        assert_eq!(resolve("super::super::super::engine").as_deref(), Some("engine"));
        assert_eq!(resolve("self::x").as_deref(), Some("domain::deep::file::x"));
        assert_eq!(resolve("kube::Api"), None);
        assert_eq!(Source::parse("src/engine/mod.rs", "").module(), ["engine"]);
        assert_eq!(Source::parse("src/main.rs", "").layer(), "");
    }
}
