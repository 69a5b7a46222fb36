//! What the program prints: JSON for programs, text for people, colour only on a terminal.
//!
//! Owns standard output. An answer is written whole or not at all, so that JSON is never half a document. JSON holds what
//! others have written as it is. Text never does: whatever goes into a line stays in it, and says nothing to a terminal.

use anyhow::Context;
use clap::builder::styling::{AnsiColor, Style};
use serde::Serialize;
use std::{
    ffi::OsStr,
    io::{ErrorKind, IsTerminal, Write},
};

/// How to print.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct OutputArgs {
    /// Text for people, which may change, or one JSON document for programs
    #[arg(short = 'o', long = "output", value_enum, default_value_t)]
    pub(super) format: Format,
}

// Comments on the variants would turn every help text into the long form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
}

/// Whether to print in colour.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(super) struct ColourArgs {
    /// Print without colour, also on a terminal; so it is where `NO_COLOR` is set to anything
    #[arg(long)]
    no_color: bool,
}

impl ColourArgs {
    /// Colours on a terminal, none elsewhere.
    pub(super) fn paint(self) -> Paint {
        Paint(self.wants_colour(std::env::var_os("NO_COLOR").as_deref()) && std::io::stdout().is_terminal())
    }

    /// `no_color`: the variable of that name. Its value says nothing, as <https://no-color.org> has it, unless it is empty.
    fn wants_colour(self, no_color: Option<&OsStr>) -> bool {
        !self.no_color && no_color.is_none_or(OsStr::is_empty)
    }
}

/// How much a word matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Plain,
    Strong,
    Good,
    Bad,
    Unsure,
}

/// A part of a line.
pub(super) type Word = (Tone, String);

/// A line of text for people. What its words hold of others is made harmless where it is printed, and nowhere before.
pub(super) type Line = Vec<Word>;

/// A word in no tone.
pub(super) fn word(text: impl Into<String>) -> Word {
    (Tone::Plain, text.into())
}

/// A line in no tone.
pub(super) fn line(text: impl Into<String>) -> Line {
    vec![word(text)]
}

/// The colours of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(bool);

impl OutputArgs {
    /// Prints an answer in the form that was asked for.
    pub(super) fn print<T: Serialize>(self, answer: &T, text: impl FnOnce() -> Vec<Line>) -> anyhow::Result<()> {
        self.print_in(Paint(false), answer, text)
    }

    /// The same, with text in colour.
    pub(super) fn print_in<T: Serialize>(
        self,
        paint: Paint,
        answer: &T,
        text: impl FnOnce() -> Vec<Line>,
    ) -> anyhow::Result<()> {
        match self.format {
            Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(answer)?)),
            Format::Text => print(&text().iter().map(|line| paint.line(line)).collect::<String>()),
        }
    }

    /// Tells people that something takes its time; programs that read JSON need no news.
    pub(super) fn note(self, text: &str) {
        if self.format == Format::Text {
            tell(text);
        }
    }
}

/// Tells people, in any form of output, that an answer is not whole.
pub(super) fn warn(text: &str) {
    tell(&format!("Warning: {text}"));
}

/// Tells people, in any form of output, why there is no answer.
pub(super) fn fail(error: &anyhow::Error) {
    tell(&format!("Error: {error:#}"));
}

/// One line on standard error.
fn tell(text: &str) {
    // Nobody is there to be told that nobody is there.
    let _ = writeln!(std::io::stderr(), "{}", harmless(text));
}

/// Writes to standard output as it is, which is for what is all ours. A reader that has seen enough (`| head`) is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output"),
    }
}

impl Paint {
    fn line(self, line: &Line) -> String {
        line.iter().map(|(tone, text)| self.word(*tone, &harmless(text))).collect::<String>() + "\n"
    }

    fn word(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
            Tone::Unsure => AnsiColor::Yellow.on_default(),
        };
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// Columns as wide as their widest cell, as kubectl prints them. A row may be shorter than the head.
pub(super) fn table(head: &[&str], rows: Vec<Line>) -> Vec<Line> {
    let titles = head.iter().map(|title| (Tone::Strong, (*title).to_owned())).collect();
    let lines: Vec<Line> = std::iter::once(titles).chain(rows).collect();
    let size = |(_, text): &Word| harmless(text).chars().count();
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(size).max().unwrap_or_default();
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let row = |line: &Line| {
        let gaps = line.iter().zip(&widths).map(|(cell, width)| word(" ".repeat(width - size(cell) + 3)));
        // Nothing trails.
        let gaps = gaps.take(line.len().saturating_sub(1)).map(Some).chain([None]);
        line.iter().cloned().zip(gaps).flat_map(|(cell, gap)| [Some(cell), gap]).flatten().collect()
    };
    lines.iter().map(row).collect()
}

/// A text in which nothing ends the line, speaks to the terminal, or turns the direction of what stands beside it: what
/// would is spelled out. Who may edit an object writes much of what is told of it.
fn harmless(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let ends_a_line = matches!(c, '\u{2028}' | '\u{2029}');
        let turns =
            matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || ends_a_line || turns {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn printed(paint: bool, lines: &[Line]) -> String {
        lines.iter().map(|line| Paint(paint).line(line)).collect()
    }

    fn row(first: &str) -> Line {
        vec![word(first), (Tone::Good, "True".to_owned()), word("-")]
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_nothing_trails() {
        let table = table(&["NAME", "READY", "ID"], vec![row("acme"), row("acme-outdoor"), line("b")]);
        let text = "NAME           READY   ID\nacme           True    -\nacme-outdoor   True    -\nb\n";
        assert_eq!(printed(false, &table), text);
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let text = printed(true, &table(&["NAME", "READY", "ID"], vec![row("acme")]));
        assert!(text.ends_with("acme   \u{1b}[32mTrue\u{1b}[0m    -\n"), "{text:?}");
    }

    #[rstest]
    #[case::neither(false, None, true)]
    #[case::empty(false, Some(""), true)]
    #[case::set(false, Some("1"), false)]
    #[case::zero(false, Some("0"), false)]
    #[case::a_word(false, Some("false"), false)]
    #[case::the_flag(true, None, false)]
    fn the_variable_counts_whatever_its_value(#[case] no_color: bool, #[case] set: Option<&str>, #[case] colour: bool) {
        assert_eq!(ColourArgs { no_color }.wants_colour(set.map(OsStr::new)), colour);
    }

    #[test]
    fn a_cell_is_as_wide_as_it_is_printed() {
        let table = table(&["NAME", "READY", "ID"], vec![row("a\u{1b}"), row("acme")]);
        assert_eq!(printed(false, &table[1..]), "a\\u{1b}   True    -\nacme      True    -\n");
    }

    #[rstest]
    #[case::an_escape("a\u{1b}[2Jb", r"a\u{1b}[2Jb")]
    #[case::another_line("a\r\n::error::b", r"a\u{d}\u{a}::error::b")]
    #[case::a_tab_and_a_delete("a\tb\u{7f}", r"a\u{9}b\u{7f}")]
    #[case::an_escape_of_one_byte("\u{9b}31m\u{85}", r"\u{9b}31m\u{85}")]
    #[case::a_line_of_unicode("a\u{2028}b\u{2029}", r"a\u{2028}b\u{2029}")]
    #[case::text_that_is_turned("\u{202e}a\u{2066}b\u{200f}", r"\u{202e}a\u{2066}b\u{200f}")]
    #[case::what_people_write("Söhne & Co. – 日本 'a\\b'", "Söhne & Co. – 日本 'a\\b'")]
    fn what_stands_in_a_line_stays_there(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(printed(false, &[line(text), line("next")]), format!("{expected}\nnext\n"));
    }
}
