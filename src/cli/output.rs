//! What the program prints: JSON for programs, text for people, colour only on a terminal.
//!
//! Owns standard output. An answer is written whole or not at all, so that JSON is never half a document.

use anyhow::Context;
use clap::builder::{
    FalseyValueParser,
    styling::{AnsiColor, Style},
};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

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
    /// Print without colour, also on a terminal
    #[arg(long, env = "NO_COLOR", value_parser = FalseyValueParser::new(), hide_env_values = true)]
    no_color: bool,
}

impl ColourArgs {
    /// Colours on a terminal, none elsewhere.
    pub(super) fn paint(self) -> Paint {
        Paint(!self.no_color && std::io::stdout().is_terminal())
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

/// The colours of one run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paint(bool);

impl OutputArgs {
    /// Prints an answer in the form that was asked for.
    pub(super) fn print<T: Serialize>(self, answer: &T, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self.format {
            Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(answer)?)),
            Format::Text => print(&text()),
        }
    }

    /// Tells people that something takes its time; programs that read JSON need no news.
    pub(super) fn note(self, text: &str) {
        if self.format == Format::Text {
            // Nobody is there to be told that nobody is there.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }
}

/// Tells people, in any form of output, that an answer is not whole.
pub(super) fn warn(text: &str) {
    // As for a note.
    let _ = writeln!(std::io::stderr(), "Warning: {text}");
}

/// Writes to standard output. A reader that has seen enough (`| head`) is no failure.
pub(super) fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("standard output"),
    }
}

impl Paint {
    /// A word in its tone.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let style = match tone {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().bold(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Bad => AnsiColor::Red.on_default(),
            Tone::Unsure => AnsiColor::Yellow.on_default(),
        };
        if self.0 { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Columns as wide as their widest cell, as kubectl prints them. A row may be shorter than the head.
    pub(super) fn table(self, head: &[&str], rows: &[Vec<(Tone, String)>]) -> String {
        let head = head.iter().map(|title| (Tone::Strong, (*title).to_owned())).collect();
        let lines: Vec<&Vec<(Tone, String)>> = std::iter::once(&head).chain(rows).collect();
        let width = |column: usize| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|(_, text)| text.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let row = |line: &Vec<(Tone, String)>| {
            let last = line.len().saturating_sub(1);
            let cells = line.iter().zip(&widths).enumerate().map(|(column, ((tone, text), width))| {
                let gap = if column == last { 0 } else { width - text.chars().count() + 3 };
                format!("{}{}", self.paint(*tone, text), " ".repeat(gap))
            });
            cells.collect::<String>() + "\n"
        };
        lines.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: [(Tone, &str); 3] = [(Tone::Plain, "acme"), (Tone::Good, "True"), (Tone::Plain, "-")];

    fn row() -> Vec<(Tone, String)> {
        ROW.map(|(tone, text)| (tone, text.to_owned())).to_vec()
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_nothing_trails() {
        let table = Paint(false).table(&["NAME", "READY", "ID"], &[row()]);
        assert_eq!(table, "NAME   READY   ID\nacme   True    -\n");
    }

    #[test]
    fn colour_does_not_count_as_width() {
        let table = Paint(true).table(&["NAME", "READY", "ID"], &[row()]);
        assert!(table.ends_with("acme   \u{1b}[32mTrue\u{1b}[0m    -\n"), "{table:?}");
    }
}
