//! No `unsafe` in any crate of the workspace: counted in every source, and forbidden to the compiler by every manifest.

use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};

/// Every file of the repository for which this holds; not what is built.
fn files(wanted: fn(&Path) -> bool) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut folders, mut found) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("a file").path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with(".git") {
                folders.push(path);
            } else if wanted(&path) {
                found.push(path);
            }
        }
    }
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("a text")
}

/// How often the keyword stands in this, inside of macros and tests too.
fn count(tokens: TokenStream) -> usize {
    let each = tokens.into_iter().map(|token| match token {
        TokenTree::Ident(word) => usize::from(word == "unsafe"),
        TokenTree::Group(group) => count(group.stream()),
        TokenTree::Punct(_) | TokenTree::Literal(_) => 0,
    });
    each.sum()
}

fn parse(text: &str) -> TokenStream {
    text.parse().expect("Rust")
}

#[test]
#[expect(clippy::print_stdout, reason = "numbers for people: `make no-unsafe`")]
fn no_source_has_unsafe_code() {
    assert_eq!(count(parse("fn f() { g!(unsafe { h() }) } // unsafe")), 1, "a count that finds");
    assert_eq!(count(parse("#![forbid(unsafe_code)] const A: &str = \"unsafe\";")), 0, "and nothing else");
    let sources = files(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let found: usize = sources.iter().map(|path| count(parse(&read(path)))).sum();
    println!("no-unsafe: {} sources in all crates of the workspace, {found} times `unsafe`", sources.len());
    assert_eq!(found, 0);
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let manifests = files(|path| path.ends_with("Cargo.toml"));
    let workspace = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"));
    let (_, lints) = workspace.split_once("[workspace.lints.rust]\n").expect("the lints of the workspace");
    assert!(lints.starts_with("unsafe_code = \"forbid\"\n"), "the first of them");
    assert!(manifests.len() > 1);
    for manifest in manifests {
        assert!(read(&manifest).contains("\n[lints]\nworkspace = true\n"), "{}", manifest.display());
    }
}
