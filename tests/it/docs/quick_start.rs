//! `docs/quick-start.md`, carried out: its manifests and the commands on them as they stand, against the real API server, with an operator
//! beside it. kind and docker are not run; what their commands name is compared with what the chart renders and the Makefile has.

use std::collections::BTreeSet;

use serde_json::Value;
use tradewind::api::v1alpha1::{Connection, ProviderAccount};

use super::{blocks, carry_out, read, section};
use crate::cli::Programs;
use crate::cluster::documents;
use crate::{examples, install};

/// The commands of a section, without comments.
fn commands(section: &str) -> Vec<String> {
    let lines = blocks(section, "sh");
    let lines =
        lines.iter().flat_map(|block| block.lines()).map(|line| line.split("  #").next().unwrap_or(line).trim());
    lines.map(str::to_owned).collect()
}

/// The words of the only command that begins like this.
fn words<'a>(commands: &'a [String], begin: &str) -> Vec<&'a str> {
    let found: Vec<_> = commands.iter().filter(|command| command.starts_with(begin)).collect();
    assert_eq!(found.len(), 1, "commands that begin with {begin}: {commands:?}");
    found[0].split(' ').collect()
}

#[tokio::test]
async fn the_image_is_built_loaded_and_installed_under_one_name() {
    let commands = commands(&section(&read("quick-start.md"), "A cluster, and the operator in it"));
    let (make, kind) = (words(&commands, "make image"), words(&commands, "kind load"));
    let helm = [&["template"], &words(&commands, "helm install")[2..]].concat();
    // The chart's schema refuses a value that it does not have.
    let said = install::helm(&helm, "").await;
    assert!(said.ok && said.err.is_empty(), "{said:?}");
    let objects = install::objects(&said.out);
    let deployment = install::the(&objects, "Deployment");
    let image = deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().expect("an image");
    assert_eq!((make[2], kind[3]), (format!("IMAGE={image}").as_str(), image));
    let rollout = words(&commands, "kubectl rollout status");
    let name = deployment["metadata"]["name"].as_str().expect("a name");
    assert_eq!(rollout[3..], [&format!("deployment/{name}"), "-n", helm[4]]);
}

#[test]
fn every_target_of_make_on_the_page_is_one() {
    let makefile = include_str!("../../../Makefile");
    let page = read("quick-start.md");
    let named = page.split("make ").skip(1).filter_map(|rest| rest.split([' ', '`', '\n']).next());
    let named: BTreeSet<_> = named.filter(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-')).collect();
    assert_eq!(named, BTreeSet::from(["build", "demo", "image"]));
    for target in named {
        assert!(makefile.contains(&format!("\n{target}: ## ")), "there is no `make {target}`");
    }
}

/// Whoever begins here need not find out by an error what else is to be installed.
#[test]
fn the_page_begins_with_what_its_commands_need() {
    let (page, readme) = (read("quick-start.md"), include_str!("../../../README.md"));
    let (needs, rest) = page.split_once("\n## ").expect("a beginning");
    let all = commands(rest);
    let programs: BTreeSet<_> = all.iter().filter_map(|command| command.split(' ').next()).collect();
    assert_eq!(programs, BTreeSet::from(["helm", "kind", "kubectl", "make", "tradewind"]));
    // The program itself is built; the other targets are those of the image and of the demo.
    for need in ["Helm", "[kind](", "kubectl", "make", "docker", "Rust", "`cc`"] {
        assert!(needs.contains(need), "{need} is not named");
    }
    let (_, demo) = readme.split_once("\nAll need ").expect("what `make demo` needs");
    let (demo, _) = demo.split_once("No cluster").expect("its end");
    for need in ["Rust", "`cc`", "make", "Go in the version of `tests/controlplane/go.mod`", "curl", "Linux"] {
        assert!(demo.contains(need) && needs.contains(need), "{need} is not named");
    }
}

#[tokio::test]
async fn the_page_carried_out_connects_a_store_and_deletes_it_again() {
    let world = examples::shop("quick-start").await;
    let page = read("quick-start.md");
    let programs = Programs::new("quick-start");
    programs.link(world.sandbox.cluster().kubectl().as_std().get_program(), "kubectl");
    for yaml in blocks(&page, "yaml") {
        let name = yaml.lines().next().and_then(|line| line.strip_prefix("# ")).expect("the name of a file");
        let objects = documents(&yaml).into_iter().map(|object| {
            let mut object = serde_json::to_value(object).expect("JSON");
            world.direct(&mut object);
            object
        });
        let text: Vec<String> = objects.map(|object: Value| format!("---\n{object}\n")).collect();
        std::fs::write(programs.folder().join(name), text.concat()).expect("a manifest");
    }
    let mut said = String::new();
    for heading in ["An account", "A store", "How it fares", "The end"] {
        if heading == "The end" {
            assert_eq!(world.live().len(), 1, "{said}");
        }
        for command in commands(&section(&page, heading)) {
            if command.starts_with("helm ") || command.starts_with("kind ") {
                continue;
            }
            assert!(
                command.contains("-n shop") || command.starts_with("tradewind validate "),
                "{command} names no namespace"
            );
            let ran = carry_out(&world, &programs, &command).await;
            assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
            said.push_str(&ran.out);
        }
    }
    let token = world.simulator.connections().remove(0).access_token.to_string();
    assert!(said.contains(&token) && said.contains("acme-outdoor"), "{said}");
    assert_eq!(world.live(), [""; 0], "nothing stays at the provider");
    let left =
        (world.sandbox.get::<Connection>("acme-outdoor").await, world.sandbox.get::<ProviderAccount>("rutter").await);
    assert!(left.0.is_none() && left.1.is_none(), "{left:?}");
}

#[test]
fn sections_and_commands_are_found() {
    let page = "# Page\n\n## One\n\n```sh\na b  # c\nd\n```\n\n## Two\n\n```sh\ne\n```\n";
    assert_eq!(commands(&section(page, "One")), ["a b", "d"]);
    assert_eq!(commands(&section(page, "Two")), ["e"]);
    assert_eq!(words(&commands(&section(page, "One")), "a"), ["a", "b"]);
}
