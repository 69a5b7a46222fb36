//! `tradewind completions` in a real shell, and what kubectl makes of the plugin.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use super::{Programs, Ran, VERBS, run};
use crate::cluster::control_plane;

/// What bash does when somebody presses Tab after these words, the last of which is still being typed.
const TAB: &str = "
set -eu
source <(tradewind completions bash)
COMP_WORDS=(tradewind \"$@\") COMP_CWORD=$#
function=$(complete -p tradewind)
function=${function#*-F }
${function%% *} tradewind \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"
printf '%s\\n' \"${COMPREPLY[@]}\"
";

/// What bash offers after these words.
fn tab(programs: &Programs, words: &[&str]) -> Vec<String> {
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", TAB, "bash"]).args(words).env_remove("BASH_ENV").env("PATH", programs.path());
    let ran = Ran::from(bash.output().expect("bash"));
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{words:?}");
    ran.out.lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_verbs_options_and_values() {
    let programs = Programs::new("bash");
    let verbs: Vec<_> = tab(&programs, &[""]).into_iter().filter(|word| !word.starts_with('-')).collect();
    let mut wanted = VERBS.to_vec();
    wanted.push("help");
    assert_eq!(verbs, wanted);
    assert_eq!(tab(&programs, &["re"]), ["reconcile", "refresh", "resume", "resolve"]);
    assert_eq!(tab(&programs, &["resolve", "--a"]), ["--adopt"]);
    assert_eq!(tab(&programs, &["status", "--output", ""]), ["text", "json"]);
    assert_eq!(tab(&programs, &["completions", ""]).last().map(String::as_str), Some("zsh"));
}

#[test]
fn every_shell_gets_a_script_that_knows_every_verb() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let ran = run(&["completions", shell]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{shell}");
        for verb in VERBS {
            assert!(ran.out.contains(verb), "{shell} knows nothing of {verb}");
        }
    }
    assert_eq!(run(&["completions", "csh"]).code, Some(3));
}

#[tokio::test]
async fn kubectl_completes_the_plugin_with_the_program_on_the_page() {
    let programs = Programs::new("kubectl-complete");
    let page = crate::docs::read("install.md");
    let (_, after) = page.split_once("kubectl_complete-tradewind` on").expect("the program");
    let shim = crate::docs::blocks(after, "bash").remove(0);
    let file = programs.folder().join("kubectl_complete-tradewind");
    std::fs::write(&file, shim).expect("a file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("a program");
    for (words, candidates) in [
        (["re"].as_slice(), "reconcile\nrefresh\nresume\nresolve\n:0\n"),
        (&["status", "--output", "j"], "json\n:0\n"),
        (&["status", "no-such-thing"], ":0\n"),
    ] {
        let mut kubectl = control_plane().await.kubectl();
        let asked = kubectl.args(["__complete", "tradewind"]).args(words).env("PATH", programs.path());
        let ran = Ran::from(asked.stdin(Stdio::null()).output().await.expect("kubectl"));
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), candidates), "{words:?}: {}", ran.err);
    }
}
