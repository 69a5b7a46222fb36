//! The Go programs below `tests/tools`: what others make of what is ours, by their own code.
//!
//! Go builds them, and knows by itself whether it has to. A test that needs one fails where it cannot be built.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What a tool answers to this input.
pub(super) fn run(tool: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let mut child = Command::new(build(tool))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a tool to start");
    let (mut stdin, input) = (child.stdin.take().expect("its input"), input.to_owned());
    // On the side: it may answer before it has read all.
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("its end");
    let _ = writer.join();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

fn build(tool: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("target/").join("tools");
    std::fs::create_dir_all(&folder).expect("a folder for tools");
    // One at a time, whichever test of whichever run asks: a program that is being written cannot be started.
    let lock = File::create(folder.join("lock")).expect("a lock");
    lock.lock().expect("the lock");
    let program = folder.join(tool);
    let built = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools").join(tool))
        .envs([("CGO_ENABLED", "0"), ("GOWORK", "off")])
        .output()
        .expect("Go, which builds the tools of tests/tools");
    assert!(built.status.success(), "tests/tools/{tool}: {}", String::from_utf8_lossy(&built.stderr));
    program
}
