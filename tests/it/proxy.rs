//! A proxy, before whatever a test wants to see reached through one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

/// A proxy that leads everybody to one place, by CONNECT and by SOCKS 5, and knows where they wanted to go.
pub(crate) struct Proxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) async fn before(place: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(lead(stream, place, Arc::clone(&all)));
            }
        });
        Self { address, asked }
    }

    pub(crate) fn url(&self, scheme: &str) -> String {
        format!("{scheme}://{}", self.address)
    }

    /// What it was asked for, from the beginning.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("a list").clone()
    }
}

async fn lead(mut client: TcpStream, place: SocketAddr, asked: Arc<Mutex<Vec<String>>>) {
    let mut first = [0];
    client.peek(&mut first).await.expect("a greeting");
    let (host, answer) = match first {
        [5] => (socks(&mut client).await, &b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"[..]),
        _ => (connect(&mut client).await, &b"HTTP/1.1 200 Connected\r\n\r\n"[..]),
    };
    asked.lock().expect("a list").push(host);
    let mut server = TcpStream::connect(place).await.expect("the place");
    client.write_all(answer).await.expect("an answer");
    // However it ends, it ends.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}

/// The host and port that a CONNECT names; of anything else all that it says.
async fn connect(client: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("a head"));
    }
    let head = String::from_utf8(head).expect("text");
    head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap_or(&head).to_owned()
}

/// The name and port that a client of SOCKS asks for.
async fn socks(client: &mut TcpStream) -> String {
    let [_, methods] = client.read_u16().await.expect("a greeting").to_be_bytes();
    client.read_exact(&mut vec![0; methods.into()]).await.expect("methods");
    client.write_all(b"\x05\x00").await.expect("a method");
    let mut request = [0; 5];
    client.read_exact(&mut request).await.expect("a request");
    assert_eq!(request[..4], *b"\x05\x01\x00\x03", "a connection to a name");
    let mut name = vec![0; request[4].into()];
    client.read_exact(&mut name).await.expect("a name");
    let port = client.read_u16().await.expect("a port");
    format!("{}:{port}", String::from_utf8(name).expect("text"))
}
