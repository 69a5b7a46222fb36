//! A process that can be told from a later one of the same id.
//!
//! It owns the ending of processes. It must never end one by its id alone: ids are used again, and the file that remembers them
//! outlives reboots.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

/// A process that was started here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    /// The program's name, for people.
    pub(crate) name: String,
    /// Its id.
    pub(crate) pid: u32,
    /// When it began, in the kernel's ticks since boot: with the id, this is one process and no other.
    started: u64,
}

impl Process {
    /// Remembers the process that has this id now.
    pub(crate) fn new(name: &str, pid: u32) -> io::Result<Self> {
        Ok(Self { name: name.to_owned(), pid, started: read(pid)?.started })
    }

    /// Whether it still runs. One that has ended and was not waited for does not.
    pub(crate) fn is_alive(&self) -> bool {
        read(self.pid).is_ok_and(|now| now.started == self.started && now.state != 'Z')
    }

    /// Ends it at once, if it still runs. There is no gentler way on purpose: an API server takes up to a minute over it.
    pub(crate) fn kill(&self) -> io::Result<()> {
        if !self.is_alive() {
            return Ok(());
        }
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
        match kill_process(pid, Signal::KILL) {
            Err(gone) if gone == rustix::io::Errno::SRCH => Ok(()),
            other => other.map_err(io::Error::from),
        }
    }

    /// Waits until it is gone; true if it is.
    pub(crate) async fn gone_within(&self, limit: Duration) -> bool {
        let wait = async {
            while self.is_alive() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(limit, wait).await.is_ok()
    }
}

/// What the kernel says about a process.
struct Stat {
    state: char,
    started: u64,
}

fn read(pid: u32) -> io::Result<Stat> {
    let text = std::fs::read_to_string(PathBuf::from(format!("/proc/{pid}/stat")))?;
    parse(&text)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("/proc/{pid}/stat is not as expected")))
}

/// The second field is the program's name in parentheses and may hold anything, parentheses too: count from the last one.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?.chars().next()?;
    // The start time is field 22 of the line; the state was field 3.
    Some(Stat { state, started: fields.nth(18)?.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str =
        "42 (a) b) (c) S 1 42 42 0 -1 4194304 100 0 0 0 3 4 0 0 20 0 1 0 987654 1000 10 18446744073709551615 1 1";

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = parse(STAT).map(|stat| (stat.state, stat.started));
        assert_eq!(stat, Some(('S', 987_654)));
    }

    #[test]
    fn the_same_id_with_another_start_is_another_process() {
        let me = Process::new("test", std::process::id());
        assert!(me.as_ref().is_ok_and(Process::is_alive));
        let earlier = me.map(|me| Process { started: me.started.wrapping_sub(1), ..me });
        assert!(earlier.as_ref().is_ok_and(|process| !process.is_alive()));
        assert!(earlier.is_ok_and(|process| process.kill().is_ok()), "and killing it does not kill this test");
    }
}
