//! The house rules, held against every source file.
//!
//! Each [`Rule`](rules::Rule) carries sources that it refuses and sources that it passes, so that a rule that cannot fail fails.

mod rules;
mod source;
mod unsafety;

use rules::{EVERYWHERE, OF_THE_PACKAGE, Rule};
use source::Source;

/// What a source breaks, one line each: where, and what to do.
fn broken(rules: &[Rule], sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        for rule in rules {
            let found = (rule.check)(source);
            broken.extend(
                found
                    .into_iter()
                    .map(|(line, what)| format!("{}:{line}: {what} (ARCHITECTURE.md: {})", source.path, rule.name)),
            );
        }
    }
    broken
}

fn hold(rules: &[Rule], folder: &str) {
    let sources = Source::below(folder);
    assert!(!sources.is_empty(), "{folder} holds no sources");
    let broken = broken(rules, &sources);
    assert!(broken.is_empty(), "{} rules are broken:\n{}", broken.len(), broken.join("\n"));
}

#[test]
fn the_package_keeps_its_layers() {
    hold(OF_THE_PACKAGE, "src");
}

#[test]
fn the_package_keeps_its_form() {
    hold(EVERYWHERE, "src");
}

#[test]
fn the_simulator_keeps_its_form() {
    hold(EVERYWHERE, "simulator/src");
}

#[test]
fn the_test_cluster_keeps_its_form() {
    hold(EVERYWHERE, "tests/cluster/src");
}

#[test]
fn the_api_server_in_memory_keeps_its_form() {
    hold(EVERYWHERE, "tests/apiserver/src");
}

#[test]
fn the_histories_keep_their_form() {
    hold(EVERYWHERE, "tests/histories/src");
}

#[test]
fn the_crash_harness_keeps_its_form() {
    hold(EVERYWHERE, "tests/crash/src");
}

#[test]
#[expect(clippy::print_stdout, reason = "a number for people, with `--nocapture`")]
fn the_median_file_is_short() {
    let mut lengths: Vec<_> = Source::below("src").iter().map(|source| source.lines).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    println!("{} files in src/, median {median} lines, longest {}", lengths.len(), lengths[lengths.len() - 1]);
    assert!(median <= 150, "the median file of src/ has {median} lines: split the long ones by what they own");
}

#[test]
fn every_rule_refuses_and_passes() {
    for rule in OF_THE_PACKAGE.iter().chain(EVERYWHERE) {
        assert!(!rule.refuses.is_empty() && !rule.passes.is_empty(), "{}: show that it can fail, and pass", rule.name);
        for (path, text) in rule.refuses {
            assert!(!(rule.check)(&Source::parse(path, text)).is_empty(), "{} passes {path}: {text}", rule.name);
        }
        for (path, text) in rule.passes {
            let found = (rule.check)(&Source::parse(path, text));
            assert!(found.is_empty(), "{} refuses {path}: {text}: {found:?}", rule.name);
        }
    }
}

#[test]
fn long_files_and_functions_are_found() {
    let lines = |count: usize| "//! A header.\n".to_owned() + &"const A: u8 = 0;\n".repeat(count - 1);
    let body = |count: usize| format!("//! A header.\nfn f() {{\n{}}}\n", "    g();\n".repeat(count - 2));
    let with_tests = |text: &str| format!("{text}#[cfg(test)]\nmod tests {{\n{}}}\n", "    use a;\n".repeat(500));
    let found = |text: &str| broken(EVERYWHERE, &[Source::parse("src/domain/a.rs", text)]);
    assert_eq!(found(&lines(400)), [""; 0]);
    assert_eq!(found(&with_tests(&lines(400))), [""; 0], "tests do not count");
    assert_eq!(found(&lines(401)).len(), 1);
    assert_eq!(found(&body(60)), [""; 0]);
    let long = found(&body(61));
    assert!(long.len() == 1 && long[0].starts_with("src/domain/a.rs:2: fn f has 61 lines"), "{long:?}");
}
