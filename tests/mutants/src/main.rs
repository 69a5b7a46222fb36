//! `make mutants`: makes every mistake in a copy of the sources, and runs who must notice. Exit code 1 where one got through.

#![expect(clippy::print_stdout, reason = "this is a command: it prints what it saw")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use clap::Parser;
use tradewind_mutants::{Catcher, Mutant, all};

/// Make mistakes in the protocol, and see whether the tests catch them
#[derive(Parser, Debug)]
struct Args {
    /// Only mistakes whose words or area contain this
    #[arg(long)]
    only: Option<String>,
    /// The repository
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// Where the copy is kept, and what is built of it
    #[arg(long, default_value = "target/mutants")]
    dir: PathBuf,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let chosen = |m: &Mutant| args.only.as_ref().is_none_or(|only| m.mistake.contains(only) || m.area.contains(only));
    let mutants: Vec<Mutant> = all()?.into_iter().filter(chosen).collect();
    let copy = Copy::of(&args.root, &args.dir)?;
    let mut catchers: Vec<&Catcher> = mutants.iter().map(|mutant| &mutant.caught_by).collect();
    catchers.sort_by_key(ToString::to_string);
    catchers.dedup();
    for catcher in catchers {
        ensure!(copy.passes(catcher)?, "{catcher} fails without any mistake");
    }
    let (begun, mut survivors) = (Instant::now(), 0);
    for mutant in &mutants {
        let caught = copy.catches(mutant)?;
        survivors += usize::from(!caught);
        let word = if caught { "caught  " } else { "SURVIVED" };
        println!("{word} {}: {} ({})", mutant.area, mutant.mistake, mutant.caught_by);
    }
    let caught = mutants.len() - survivors;
    println!("mutants={} caught={caught} survived={survivors} in {:.0?}", mutants.len(), begun.elapsed());
    ensure!(survivors == 0, "{survivors} mistake(s) got through");
    Ok(())
}

/// The sources once more, in which mistakes are made.
struct Copy {
    sources: PathBuf,
    built: PathBuf,
}

impl Copy {
    /// Copies what git knows of. What is the same already is left alone, so that it is not built again.
    fn of(root: &Path, dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir)?;
        let dir = dir.canonicalize()?;
        let copy = Self { sources: dir.join("sources"), built: dir.join("built") };
        let listed = ran(Command::new("git")
            .args(["ls-files", "--cached", "--others", "--exclude-standard", "-z"])
            .current_dir(root))?;
        let listed = String::from_utf8(listed.stdout)?;
        let mut known = BTreeSet::new();
        for name in listed.split_terminator('\0') {
            let (from, to) = (root.join(name), copy.sources.join(name));
            let Ok(text) = fs::read(&from) else { continue };
            if fs::read(&to).ok().as_ref() != Some(&text) {
                fs::create_dir_all(to.parent().context("a folder")?)?;
                fs::write(&to, text).with_context(|| format!("writing {}", to.display()))?;
            }
            known.insert(to);
        }
        remove_others(&copy.sources, &known)?;
        Ok(copy)
    }

    fn catches(&self, mutant: &Mutant) -> Result<bool> {
        let file = self.sources.join(&mutant.file);
        let right = fs::read_to_string(&file).with_context(|| format!("reading {}", mutant.file))?;
        fs::write(&file, mutant.applied(&right)?)?;
        let passes = self.passes(&mutant.caught_by);
        fs::write(&file, right)?;
        Ok(!passes.with_context(|| format!("with the mistake: {}", mutant.mistake))?)
    }

    /// Whether all is well, in the eyes of this one. What does not compile is nobody's verdict.
    fn passes(&self, catcher: &Catcher) -> Result<bool> {
        match catcher {
            Catcher::Test(name) => {
                let test = ["test", "--locked", "--package", "tradewind", "--lib"];
                ran(self.cargo().args(test).arg("--no-run"))?;
                let output = self.cargo().args(test).args(["--", "--exact", name]).output()?;
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                ensure!(said.contains("running 1 test"), "there is no test {name}");
                Ok(output.status.success())
            }
            Catcher::Histories(args) => {
                let package = ["--locked", "--package", "tradewind-histories"];
                ran(self.cargo().arg("build").args(package))?;
                let output = self.cargo().arg("run").args(package).arg("--").args(args.split_whitespace()).output()?;
                let said = String::from_utf8_lossy(&output.stdout).into_owned();
                ensure!(said.contains("histories="), "histories {args}: {}", String::from_utf8_lossy(&output.stderr));
                Ok(output.status.success())
            }
        }
    }

    fn cargo(&self) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.arg("--quiet").current_dir(&self.sources).env("CARGO_TARGET_DIR", &self.built);
        cargo
    }
}

/// Removes what was copied once and is not there any more.
fn remove_others(folder: &Path, known: &BTreeSet<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_others(&path, known)?;
        } else if !known.contains(&path) {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// Runs a command that has to end well.
fn ran(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(output)
}
