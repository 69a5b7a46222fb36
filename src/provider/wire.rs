//! The only place that sends HTTP: bytes out, and no more of them back than are wanted.
//!
//! It never follows a redirect.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use std::sync::Arc;
use tower::{service_fn, util::BoxCloneSyncService};

/// How a request reaches a provider: reqwest in the operator, a router in deterministic tests.
pub type Wire = BoxCloneSyncService<Request<Bytes>, Response<Bytes>, WireError>;

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Nothing was sent: no connection, no TLS, no such host.
    #[error("nothing was sent")]
    NotSent,
    /// The permit had expired: nothing was sent.
    #[error("the permit expired before sending")]
    Expired,
    /// No whole answer in time.
    #[error("no answer in time")]
    Timeout,
    /// The connection broke.
    #[error("the connection broke")]
    Broken,
    /// The answer is larger than this many bytes.
    #[error("the answer is larger than {0} bytes")]
    TooBig(usize),
}

/// The largest answer to anything but a list, in bytes.
pub(super) const BODY_CAP: usize = 1 << 20;
/// The largest page of a list, in bytes.
pub(super) const LIST_CAP: usize = 2 << 20;
/// A page that is larger than this is read while no other one of its account is.
const LARGE: usize = 256 << 10;

/// How much of an answer its request wants: nobody reads more only to throw it away.
#[derive(Clone, Copy)]
pub(super) struct Cap(pub(super) usize);

/// Whose turn it is to read a large page, among the requests of one account. Not the others': one whose provider lets its
/// bytes drip holds up nobody else's.
#[derive(Clone, Default)]
pub(super) struct Turn(Arc<tokio::sync::Mutex<()>>);

/// Held as long as the page is there.
#[derive(Clone)]
pub(super) struct Held {
    _turn: Arc<tokio::sync::OwnedMutexGuard<()>>,
}

/// The wire of the operator.
pub(super) fn over_reqwest(client: reqwest::Client) -> Wire {
    BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
        let client = client.clone();
        async move {
            let cap = request.extensions().get().map_or(BODY_CAP, |Cap(cap)| *cap);
            let turn = request.extensions().get::<Turn>().cloned();
            let request = reqwest::Request::try_from(request).map_err(|_| WireError::NotSent)?;
            let mut response = client.execute(request).await.map_err(|e| classify(&e))?;
            let mut head = Response::builder().status(response.status());
            if let Some(headers) = head.headers_mut() {
                headers.clone_from(response.headers());
            }
            let mut turn_taken = None;
            let read = body(&mut response, cap, turn, &mut turn_taken).await;
            let mut answer = head.body(needed(response.status(), read)?).map_err(|_| WireError::Broken)?;
            if let Some(turn_taken) = turn_taken {
                answer.extensions_mut().insert(turn_taken);
            }
            Ok(answer)
        }
    }))
}

/// Reads a body of no more bytes than this: one that becomes large when it is its turn.
async fn body(
    response: &mut reqwest::Response,
    cap: usize,
    turn: Option<Turn>,
    held: &mut Option<Held>,
) -> Result<Bytes, WireError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| classify(&e))? {
        let length = body.len() + chunk.len();
        if length > cap {
            return Err(WireError::TooBig(cap));
        }
        if length > LARGE
            && held.is_none()
            && let Some(Turn(turn)) = &turn
        {
            *held = Some(Held { _turn: Arc::new(Arc::clone(turn).lock_owned().await) });
        }
        if length > LARGE {
            // At once all that there may be, of which only what is written to is taken: what grows is there twice.
            body.reserve_exact(cap - body.len());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

/// The body of an answer, or none where it failed and is not needed: who is refused, or asked to slow down, is so by the
/// status, and when to come back stands in the head. What is wrong with a request only the body tells. A deadline that ran out
/// stays one.
pub(super) fn needed(status: StatusCode, body: Result<Bytes, WireError>) -> Result<Bytes, WireError> {
    let says_all = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS].contains(&status);
    match body {
        Err(error) if error != WireError::Timeout && (says_all || status.is_server_error()) => Ok(Bytes::new()),
        body => body,
    }
}

/// Only a failed connection is certain to have sent nothing.
fn classify(error: &reqwest::Error) -> WireError {
    if error.is_connect() || error.is_builder() {
        WireError::NotSent
    } else if error.is_timeout() {
        WireError::Timeout
    } else {
        WireError::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header;
    use rstest::rstest;
    use std::time::Duration;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tower::ServiceExt;

    /// What the operator's wire makes of these bytes, after which the server says nothing more: it closes the connection, or
    /// else holds it.
    async fn said(bytes: &str, closes: bool, cap: usize, turn: Turn) -> Result<Response<Bytes>, WireError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = async {
            let (mut stream, _) = listener.accept().await.expect("a connection");
            let _ = stream.read(&mut [0; 1024]).await.expect("a request");
            stream.write_all(bytes.as_bytes()).await.expect("an answer");
            if !closes {
                std::future::pending::<()>().await;
            }
        };
        // Long where nothing shall run out, however busy the machine is.
        let patience = if closes { Duration::from_secs(30) } else { Duration::from_millis(300) };
        let client = reqwest::Client::builder().timeout(patience).build().expect("a client");
        let request = Request::get(url).extension(Cap(cap)).extension(turn).body(Bytes::new()).expect("a request");
        let answer = over_reqwest(client).oneshot(request);
        tokio::select! {
            biased;
            answer = answer => answer,
            () = async { server.await; std::future::pending().await } => unreachable!("it answers"),
        }
    }

    #[rstest]
    #[case::a_limit(
        "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 100\r\n\r\nno",
        Ok((429, Some("7"), ""))
    )]
    #[case::chunks_without_an_end(
        "HTTP/1.1 503 Service Unavailable\r\nretry-after: 7\r\ntransfer-encoding: chunked\r\n\r\n5\r\nho",
        Ok((503, Some("7"), ""))
    )]
    #[case::no_gzip(
        "HTTP/1.1 401 Unauthorized\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\noops",
        Ok((401, None, ""))
    )]
    #[case::larger_than_is_wanted("HTTP/1.1 403 Forbidden\r\ncontent-length: 12\r\n\r\ntwelve bytes", Ok((403, None, "")))]
    #[case::only_the_body_tells("HTTP/1.1 422 Unprocessable\r\ncontent-length: 100\r\n\r\nno", Err(WireError::Broken))]
    #[case::a_whole_one("HTTP/1.1 400 Bad Request\r\ncontent-length: 2\r\n\r\nno", Ok((400, None, "no")))]
    #[case::a_success("HTTP/1.1 200 OK\r\nretry-after: 7\r\ncontent-length: 100\r\n\r\nno", Err(WireError::Broken))]
    #[case::a_large_success("HTTP/1.1 200 OK\r\ncontent-length: 12\r\n\r\ntwelve bytes", Err(WireError::TooBig(8)))]
    #[tokio::test]
    async fn a_refusal_whose_body_fails_is_one_by_its_head_and_a_success_is_none(
        #[case] bytes: &'static str,
        #[case] expected: Result<(u16, Option<&str>, &str), WireError>,
    ) {
        let answer = said(bytes, true, 8, Turn::default()).await;
        let told = answer.as_ref().map(|r| {
            let wait = r.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            (r.status().as_u16(), wait, std::str::from_utf8(r.body()).expect("text"))
        });
        assert_eq!(told.map_err(|e| *e), expected);
    }

    #[tokio::test]
    async fn a_refusal_that_does_not_come_to_its_end_in_time_is_no_answer() {
        let bytes = "HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 100\r\n\r\nno";
        assert_eq!(said(bytes, false, 8, Turn::default()).await.err(), Some(WireError::Timeout));
    }

    /// Of the pages of one account, and for as long as it is there.
    #[rstest]
    #[case::small(LARGE, true)]
    #[case::large(LARGE + 1, false)]
    #[tokio::test]
    async fn a_large_page_is_there_while_no_other_one_is(#[case] length: usize, #[case] free: bool) {
        let (turn, body) = (Turn::default(), "x".repeat(length));
        let bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        let answer = said(&bytes, true, LIST_CAP, turn.clone()).await.expect("an answer");
        assert_eq!((answer.body().len(), turn.0.try_lock().is_ok()), (length, free));
        drop(answer);
        assert!(turn.0.try_lock().is_ok(), "the next one's turn");
    }
}
