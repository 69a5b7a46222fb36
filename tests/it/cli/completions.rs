//! `tradewind completions` in a real shell, and what kubectl makes of the plugin.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{PROGRAM, Ran, VERBS, run};
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

/// A folder of programs at the front of `PATH`: ours, by both of its names.
struct Programs(PathBuf);

impl Programs {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        for name in ["tradewind", "kubectl-tradewind"] {
            symlink(PROGRAM, folder.join(name)).expect("a link");
        }
        Self(folder)
    }

    fn path(&self) -> String {
        let others = std::env::var("PATH").expect("a PATH");
        format!("{}:{others}", self.0.display())
    }

    /// What bash offers after these words.
    fn tab(&self, words: &[&str]) -> Vec<String> {
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", TAB, "bash"]).args(words).env_remove("BASH_ENV").env("PATH", self.path());
        let ran = Ran::from(bash.output().expect("bash"));
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{words:?}");
        ran.out.lines().map(str::to_owned).collect()
    }
}

impl Drop for Programs {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn bash_completes_verbs_options_and_values() {
    let programs = Programs::new("bash");
    let verbs: Vec<_> = programs.tab(&[""]).into_iter().filter(|word| !word.starts_with('-')).collect();
    let mut wanted = VERBS.to_vec();
    wanted.push("help");
    assert_eq!(verbs, wanted);
    assert_eq!(programs.tab(&["re"]), ["reconcile", "refresh", "resume", "resolve"]);
    assert_eq!(programs.tab(&["resolve", "--a"]), ["--adopt"]);
    assert_eq!(programs.tab(&["status", "--output", ""]), ["text", "json"]);
    assert_eq!(programs.tab(&["completions", ""]).last().map(String::as_str), Some("zsh"));
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
    let file = programs.0.join("kubectl_complete-tradewind");
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
