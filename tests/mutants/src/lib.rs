//! Seeded mistakes: what is changed where, and who must notice.
//!
//! It owns the list, `mutants.yaml`. A mistake that changes nothing, or stands in two places, is an error and no mistake.

use std::fmt;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// One mistake.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// In words.
    pub mistake: String,
    /// The part of the protocol that it breaks.
    pub area: String,
    /// Where it is made, from the root of the repository.
    pub file: String,
    /// The text that is right.
    pub from: String,
    /// The text that is wrong.
    pub to: String,
    /// More changes in the same file, so that it compiles.
    #[serde(default)]
    pub also: Vec<Change>,
    /// Who fails because of it.
    pub caught_by: Catcher,
}

/// A change of text.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The text that is there.
    pub from: String,
    /// The text in its place.
    pub to: String,
}

/// What fails with a mistake, and passes without.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Catcher {
    /// A unit test of the package `tradewind`, by its whole name.
    Test(String),
    /// Histories, by arguments of `make histories`.
    Histories(String),
}

impl fmt::Display for Catcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Test(name) => write!(f, "{name}"),
            Self::Histories(args) => write!(f, "histories {args}"),
        }
    }
}

/// The list.
///
/// # Errors
/// It cannot be read.
pub fn all() -> Result<Vec<Mutant>> {
    serde_yaml::from_str(include_str!("../mutants.yaml")).context("tests/mutants/mutants.yaml")
}

impl Mutant {
    /// The file with the mistake in it.
    ///
    /// # Errors
    /// The text that is right does not stand there, or more than once.
    pub fn applied(&self, source: &str) -> Result<String> {
        let first = Change { from: self.from.clone(), to: self.to.clone() };
        std::iter::once(&first).chain(&self.also).try_fold(source.to_owned(), |text, change| {
            let times = text.matches(&change.from).count();
            ensure!(times == 1, "{}: {:?} stands in {} {times} times, not once", self.mistake, change.from, self.file);
            ensure!(change.from != change.to, "{}: this changes nothing", self.mistake);
            Ok(text.replacen(&change.from, &change.to, 1))
        })
    }
}
