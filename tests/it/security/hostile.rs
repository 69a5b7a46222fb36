//! A provider that means harm: it stands before the simulator, hands on what it is not asked to attack, and notes who calls.
//!
//! It owns sockets and bytes. It must never know what the operator should make of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What is sent in place of an answer: the head, and then the same piece again and again.
#[derive(Clone, Default)]
pub(super) struct Attack {
    pub(super) head: String,
    pub(super) piece: Vec<u8>,
    pub(super) times: usize,
    /// How long after one piece the next one comes.
    pub(super) pause: Duration,
}

impl Attack {
    /// An answer that is whole: this status line with these further headers, and this body.
    pub(super) fn whole(status: &str, headers: &str, body: impl Into<Vec<u8>>) -> Self {
        let piece = body.into();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", piece.len());
        Self { head, piece, times: 1, pause: Duration::ZERO }
    }
}

/// What it is up to, and what it has seen.
#[derive(Default)]
struct Doings {
    /// Requests that begin so are attacked with this.
    attack: Option<(&'static str, Attack)>,
    /// How often, since that was set.
    served: usize,
    /// What every request began with: its head, and of its body what came with it.
    seen: Vec<Vec<u8>>,
}

/// See the module.
pub(super) struct Hostile {
    address: SocketAddr,
    doings: Arc<Mutex<Doings>>,
    task: JoinHandle<()>,
}

impl Hostile {
    /// Before this provider.
    pub(super) async fn before(provider: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let doings = Arc::<Mutex<Doings>>::default();
        let shared = Arc::clone(&doings);
        let task = tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                // A caller that hangs up ends its own conversation.
                tokio::spawn(converse(caller, provider, Arc::clone(&shared)));
            }
        });
        Self { address, doings, task }
    }

    /// Scheme, host and port.
    pub(super) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn doings(&self) -> MutexGuard<'_, Doings> {
        self.doings.lock().expect("no panic in a conversation")
    }

    /// From now on requests that begin so are answered so, and the count begins anew.
    pub(super) fn attack(&self, requests: &'static str, attack: Attack) {
        let mut doings = self.doings();
        (doings.attack, doings.served) = (Some((requests, attack)), 0);
    }

    /// From now on it is as honest as the provider behind it.
    pub(super) fn relent(&self) {
        self.doings().attack = None;
    }

    /// How often it has attacked since it was last told to.
    pub(super) fn served(&self) -> usize {
        self.doings().served
    }

    /// What every request so far began with.
    pub(super) fn seen(&self) -> Vec<Vec<u8>> {
        self.doings().seen.clone()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request and its answer: a conversation is not used twice.
async fn converse(mut caller: TcpStream, provider: SocketAddr, doings: Arc<Mutex<Doings>>) -> std::io::Result<()> {
    let mut said = Vec::new();
    let end = loop {
        if let Some(end) = said.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if caller.read_buf(&mut said).await? == 0 {
            return Ok(());
        }
    };
    let attack = {
        let mut doings = doings.lock().expect("no panic in a conversation");
        doings.seen.push(said.clone());
        let due = doings.attack.clone().filter(|(requests, _)| said.starts_with(requests.as_bytes()));
        doings.served += usize::from(due.is_some());
        due
    };
    let Some((_, attack)) = attack else {
        let mut honest = TcpStream::connect(provider).await?;
        honest.write_all(&said[..end]).await?;
        honest.write_all(b"\r\nconnection: close").await?;
        honest.write_all(&said[end..]).await?;
        return copy_bidirectional(&mut caller, &mut honest).await.map(drop);
    };
    caller.write_all(attack.head.as_bytes()).await?;
    for _ in 0..attack.times {
        caller.write_all(&attack.piece).await?;
        tokio::time::sleep(attack.pause).await;
    }
    Ok(())
}
