//! The rules, each as a function of one source file, with sources that it refuses and passes.

use super::source::{Mention, Source};

/// A line, and what is wrong with it and what to do.
type Broken = (usize, String);

/// One rule of the house.
pub(super) struct Rule {
    /// What it is called in ARCHITECTURE.md.
    pub(super) name: &'static str,
    pub(super) check: fn(&Source) -> Vec<Broken>,
    /// Path and text of sources that break it.
    pub(super) refuses: &'static [(&'static str, &'static str)],
    /// Path and text of sources that keep it, close to those that do not.
    pub(super) passes: &'static [(&'static str, &'static str)],
}

/// Which layers a layer may use, beside itself. The arrows point down only, and the leaves look at nothing above `domain`; that the
/// settings are parsed into types of `provider` is the one exception.
const LAYERS: &[(&str, &[&str])] = &[
    ("api", &[]),
    ("domain", &["api"]),
    ("provider", &["api", "domain", "telemetry"]),
    ("engine", &["api", "domain", "provider", "settings", "telemetry", "serve"]),
    ("cli", &["api", "domain", "provider", "engine", "settings", "telemetry", "serve"]),
    ("serve", &["api", "domain", "telemetry"]),
    ("telemetry", &["api", "domain"]),
    ("settings", &["api", "domain", "provider", "telemetry"]),
];

/// Crates that not every layer may use, and the layers that may.
const CRATES: &[(&str, &[&str])] = &[
    ("anyhow", &["cli"]),
    ("axum", &["serve"]),
    ("clap", &["cli", "settings", "telemetry"]),
    ("clap_complete", &["cli"]),
    ("governor", &["provider"]),
    ("k8s_openapi", &["api", "domain", "engine", "cli"]),
    ("kube", &["api", "engine", "cli"]),
    ("reqwest", &["provider"]),
    ("tokio", &["provider", "engine", "cli", "serve", "settings", "telemetry"]),
];

/// The parts of `kube` that speak to an API server; `api` takes the derives and nothing else.
const KUBE_CLIENT: &[&str] = &["Api", "Client", "Config", "api", "client", "config", "discovery", "runtime"];

/// What reads a clock.
const CLOCKS: &[&str] = &["Instant", "SystemTime", "Timestamp", "Zoned"];

/// Parts of `std` that reach out of the process.
const EFFECTS: &[&str] = &["env", "fs", "io", "net", "process", "thread"];

/// What writes the status of an object.
const STATUS_WRITERS: &[&str] = &["patch_status", "replace_status", "patch_subresource", "replace_subresource"];

/// Names of providers, in small letters.
const PROVIDERS: &[&str] = &["rutter", "arcus", "sku"];

/// Names that say nothing about what a module owns.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"];

const MAX_FILE: usize = 400;
const MAX_FUNCTION: usize = 60;

/// The rules of `src/`.
pub(super) const OF_THE_PACKAGE: &[Rule] = &[
    Rule {
        name: "layers",
        check: layers,
        refuses: &[
            ("src/domain/a.rs", "use crate::engine::Engine;"),
            ("src/domain/a.rs", "use crate::{api::keys, provider::Wire};"),
            ("src/provider/a.rs", "fn f() { super::super::engine::run() }"),
            ("src/api/a.rs", "use crate::*;"),
            ("src/engine/a.rs", "mod inner { fn f() { go!(crate::cli::main) } }"),
            ("src/telemetry.rs", "use super::provider::Wire;"),
            ("src/attic/a.rs", "use crate::api;"),
        ],
        passes: &[
            ("src/domain/a.rs", "use crate::{api::keys, domain::ids}; use super::ids; use std::engine::x;"),
            ("src/domain/a.rs", "#[cfg(test)] mod tests { use crate::engine::Engine; }"),
            ("src/settings.rs", "use crate::provider::AllowList;"),
            ("src/main.rs", "use tradewind::cli;"),
        ],
    },
    Rule {
        name: "crates of a layer",
        check: crates,
        refuses: &[
            ("src/provider/a.rs", "use kube::Api;"),
            ("src/provider/a.rs", "fn f(x: k8s_openapi::ByteString) {}"),
            ("src/domain/a.rs", "async fn f() { tokio::task::yield_now().await }"),
            ("src/engine/a.rs", "use reqwest::Client;"),
            ("src/engine/a.rs", "use anyhow::Result;"),
            ("src/api/a.rs", "use kube::{CustomResource, Client};"),
        ],
        passes: &[
            ("src/api/a.rs", "use kube::{CustomResource, KubeSchema};"),
            ("src/engine/a.rs", "use kube::{Api, Client}; use tokio::time::Instant;"),
            ("src/provider/a.rs", "use tokio::time::Instant; fn f(c: reqwest::Client) {}"),
        ],
    },
    Rule {
        name: "domain is pure",
        check: purity,
        refuses: &[
            ("src/domain/a.rs", "fn f() { jiff::Timestamp::now(); }"),
            ("src/domain/a.rs", "fn f() { SystemTime::now(); }"),
            ("src/domain/a.rs", "use std::{fmt, fs};"),
            ("src/domain/a.rs", "async fn f() {}"),
        ],
        passes: &[
            ("src/domain/a.rs", "fn f(now: Timestamp) { now.duration_since(now); std::fmt::Error; }"),
            ("src/engine/a.rs", "async fn f() { jiff::Timestamp::now(); }"),
        ],
    },
    Rule {
        name: "the engine knows no provider by name",
        check: anonymity,
        refuses: &[
            ("src/engine/a.rs", "use crate::provider::rutter::Rutter;"),
            ("src/engine/a.rs", "fn f() { g(\"SKU.io\") }"),
            ("src/engine/a.rs", "fn arcus_only() { is_arcus(); }"),
        ],
        passes: &[
            ("src/engine/a.rs", "/// Rutter may lag.\nfn f() {} // arcus too"),
            ("src/provider/a.rs", "use super::rutter::Rutter;"),
        ],
    },
    Rule {
        name: "permits",
        check: permits,
        refuses: &[
            ("src/engine/act.rs", "fn f() { CreatePermit::mint(a) }"),
            ("src/engine/intent.rs", "fn f() { DeletePermit::mint(a) }"),
            ("src/provider/mod.rs", "impl CreatePermit { fn other() { Self::mint(a) } }"),
            ("src/cli/a.rs", "fn f() { let make = <DeletePermit>::mint; }"),
        ],
        passes: &[
            ("src/engine/intent.rs", "fn f() { provider::CreatePermit::mint(a) }"),
            ("src/engine/act.rs", "fn f() { DeletePermit::mint(a) }"),
            ("src/provider/mod.rs", "impl CreatePermit { pub(crate) fn mint(a: u8) -> Self { Self(a) } }"),
        ],
    },
    Rule {
        name: "one writer of statuses",
        check: statuses,
        refuses: &[
            ("src/engine/act.rs", "fn f() { api.patch_status(name, &p, &b) }"),
            ("src/cli/a.rs", "fn f() { Api::replace_status(&api, name, &p, b) }"),
            ("src/engine/a.rs", "fn f() { api.patch_subresource(\"status\", name, &p, &b) }"),
        ],
        passes: &[("src/engine/report.rs", "fn f() { api.patch_status(name, &p, &b) }")],
    },
];

/// The rules of all our sources.
pub(super) const EVERYWHERE: &[Rule] = &[
    Rule {
        name: "module headers",
        check: headers,
        refuses: &[("src/domain/a.rs", "use a;\n"), ("src/domain/a.rs", "// A comment.\nuse a;\n")],
        passes: &[("src/domain/a.rs", "//! What it owns.\nuse a;\n")],
    },
    Rule {
        name: "names of modules",
        check: names,
        refuses: &[
            ("src/engine/utils.rs", "//! A"),
            ("src/common/a.rs", "//! A"),
            ("src/engine/a.rs", "mod helpers { }"),
        ],
        passes: &[("src/engine/act.rs", "mod inner { fn manager() {} }")],
    },
    Rule {
        name: "short files and functions",
        check: lengths,
        // Blank lines do. The exact limits are in the test `long_files_and_functions_are_found`.
        refuses: &[(
            "src/domain/a.rs",
            concat!(
                "fn f() {",
                "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
                "\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
                "}"
            ),
        )],
        passes: &[("src/domain/a.rs", "fn f() {\n}")],
    },
];

fn layers(source: &Source) -> Vec<Broken> {
    let layer = source.layer();
    if layer.is_empty() {
        return Vec::new();
    }
    let Some((_, below)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
        return vec![(
            1,
            format!("{layer} is no layer: add it to the table of tests/it/architecture/rules.rs, or move the file"),
        )];
    };
    let check = |mention: &Mention| {
        let path = source.resolve(mention)?;
        let target = path.first().copied()?;
        if target == "*" {
            return Some((
                mention.line,
                "a glob of the whole crate hides which layer is used: name the layer".to_owned(),
            ));
        }
        let is_layer = LAYERS.iter().any(|(name, _)| *name == target);
        let is_fine = !is_layer || target == layer || below.contains(&target);
        let allowed = if below.is_empty() { "nothing".to_owned() } else { below.join(", ") };
        let what =
            format!("{layer} uses {}, but may use {allowed}: move the code or hand the value in", path.join("::"));
        (!is_fine).then_some((mention.line, what))
    };
    source.mentions.iter().filter_map(check).collect()
}

fn crates(source: &Source) -> Vec<Broken> {
    let layer = source.layer();
    if layer.is_empty() {
        return Vec::new();
    }
    let check = |mention: &Mention| {
        let (name, homes) = CRATES.iter().find(|(name, _)| mention.path.first().is_some_and(|first| first == name))?;
        let inner = mention.path.get(1).map(String::as_str).unwrap_or_default();
        let is_client = layer == "api" && *name == "kube" && KUBE_CLIENT.contains(&inner);
        // A word alone may be anything, a variable or a function.
        let is_fine = mention.path.len() < 2 || (homes.contains(&layer) && !is_client);
        let what = format!("{layer} uses {}: {name} is for {} alone", mention.path.join("::"), homes.join(", "));
        (!is_fine).then_some((mention.line, what))
    };
    source.mentions.iter().filter_map(check).collect()
}

fn purity(source: &Source) -> Vec<Broken> {
    if source.layer() != "domain" {
        return Vec::new();
    }
    let check = |mention: &Mention| {
        let path: Vec<_> = mention.path.iter().map(String::as_str).collect();
        let is_clock = matches!(path.as_slice(), [.., clock, "now"] if CLOCKS.contains(clock));
        let is_effect = matches!(path.as_slice(), ["std", module, ..] if EFFECTS.contains(module));
        let is_async = matches!(path.as_slice(), ["async" | "await"]);
        let what = format!("domain has no clock and no effects: hand in what {} is used for", path.join("::"));
        (is_clock || is_effect || is_async).then_some((mention.line, what))
    };
    source.mentions.iter().filter_map(check).collect()
}

fn anonymity(source: &Source) -> Vec<Broken> {
    if source.layer() != "engine" {
        return Vec::new();
    }
    let named = source.mentions.iter().map(|mention| (mention.path.join("::"), mention.line));
    let functions = source.functions.iter().map(|function| (function.name.clone(), function.line));
    let words = named.chain(functions).chain(source.literals.iter().cloned());
    words
        .filter(|(word, _)| PROVIDERS.iter().any(|provider| word.to_lowercase().contains(provider)))
        .map(|(word, line)| {
            (line, format!("the engine names a provider in {word}: ask for it through crate::provider"))
        })
        .collect()
}

fn permits(source: &Source) -> Vec<Broken> {
    let mint = |mention: &&Mention| mention.path.last().is_some_and(|last| last == "mint");
    let is_allowed = |mention: &&Mention| {
        let path: Vec<_> = mention.path.iter().map(String::as_str).collect();
        match source.path.as_str() {
            "src/engine/intent.rs" => path.ends_with(&["CreatePermit", "mint"]),
            "src/engine/act.rs" => path.ends_with(&["DeletePermit", "mint"]),
            _ => false,
        }
    };
    let what = "permits are minted in one place each: CreatePermit in engine/intent.rs once the intent is stored, DeletePermit in \
                engine/act.rs once the guard has passed it";
    source
        .mentions
        .iter()
        .filter(mint)
        .filter(|mention| !is_allowed(mention))
        .map(|m| (m.line, what.to_owned()))
        .collect()
}

fn statuses(source: &Source) -> Vec<Broken> {
    if source.path == "src/engine/report.rs" {
        return Vec::new();
    }
    let writes = |mention: &&Mention| mention.path.last().is_some_and(|last| STATUS_WRITERS.contains(&last.as_str()));
    let what = "statuses are written in engine/report.rs, where every write is bound to a version: call it";
    source.mentions.iter().filter(writes).map(|mention| (mention.line, what.to_owned())).collect()
}

fn headers(source: &Source) -> Vec<Broken> {
    let what = "begin the file with `//!`: what the module owns, and what it must never do";
    if source.has_header { Vec::new() } else { vec![(1, what.to_owned())] }
}

fn names(source: &Source) -> Vec<Broken> {
    let files = source.path.trim_end_matches(".rs").split('/').map(|name| (name, 1));
    let inline = source.modules.iter().map(|(name, line)| (name.as_str(), *line));
    files
        .chain(inline)
        .filter(|(name, _)| EMPTY_NAMES.contains(name))
        .map(|(name, line)| {
            (line, format!("a module called {name} says nothing about what it owns: name it after that"))
        })
        .collect()
}

fn lengths(source: &Source) -> Vec<Broken> {
    let too_long = (source.lines > MAX_FILE).then(|| {
        (1, format!("{} lines without tests, at most {MAX_FILE}: split the file by what it owns", source.lines))
    });
    let functions = source.functions.iter().filter(|function| function.lines > MAX_FUNCTION).map(|function| {
        let what = format!("fn {} has {} lines, at most {MAX_FUNCTION}: name its parts", function.name, function.lines);
        (function.line, what)
    });
    too_long.into_iter().chain(functions).collect()
}
