//! What the process says of itself over HTTP: `/livez`, `/readyz`, `/metrics`. A leaf.
//!
//! Owns the answers, not what they rest on: readiness is what the holders of the gates say. `/livez` needs no gate,
//! since the process never outlives its engine: an answer at all means that the engine has not ended.

use crate::telemetry::Metrics;
use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use std::{
    fmt::Write as _,
    future::Future,
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::net::TcpListener;

/// What [`Metrics::text`] is written in.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Ready once every gate is open; never before there is one.
#[derive(Clone, Debug, Default)]
pub struct Readiness(Arc<Mutex<Vec<Named>>>);

/// A gate by its name.
type Named = (&'static str, Arc<AtomicBool>);

/// One thing that must be done for the process to be ready; closed at first.
#[derive(Debug)]
pub struct Gate(Arc<AtomicBool>);

impl Readiness {
    /// One more thing to wait for. All gates are made before the first one is opened, or the process is ready too early.
    #[must_use]
    pub fn gate(&self, name: &'static str) -> Gate {
        let open = Arc::new(AtomicBool::new(false));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name, Arc::clone(&open)));
        Gate(open)
    }

    /// Each gate by name, and whether it is open.
    fn gates(&self) -> Vec<(&'static str, bool)> {
        let gates = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        gates.iter().map(|(name, open)| (*name, open.load(Ordering::Relaxed))).collect()
    }
}

impl Gate {
    /// It is done.
    pub fn open(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// It is to be done again.
    pub fn close(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Answers on `listener` until `stop` is done, then lets the requests under way come to their end.
///
/// # Caveats
/// A client that never ends its request holds that end up: the caller bounds the wait.
///
/// # Errors
/// Where the listener breaks.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    readiness: Readiness,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    axum::serve(listener, router(metrics, readiness)).with_graceful_shutdown(stop).await
}

fn router(metrics: Metrics, readiness: Readiness) -> Router {
    let probes = Router::new().route("/readyz", get(ready)).with_state(readiness);
    Router::new().route("/livez", get(async || "ok")).route("/metrics", get(measures)).with_state(metrics).merge(probes)
}

/// In the form of the API server's own `/readyz?verbose`.
async fn ready(State(readiness): State<Readiness>) -> impl IntoResponse {
    let gates = readiness.gates();
    let passed = !gates.is_empty() && gates.iter().all(|(_, open)| *open);
    let mut text = String::new();
    for (name, open) in gates {
        // Writing to a String does not fail.
        let _ = if open { writeln!(text, "[+]{name} ok") } else { writeln!(text, "[-]{name} not yet") };
    }
    let (status, verdict) =
        if passed { (StatusCode::OK, "passed") } else { (StatusCode::SERVICE_UNAVAILABLE, "failed") };
    (status, format!("{text}readyz check {verdict}\n"))
}

async fn measures(State(metrics): State<Metrics>) -> impl IntoResponse {
    ([(CONTENT_TYPE, OPENMETRICS)], metrics.text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{body::Body, http::Request};
    use std::time::Duration;
    use tower::ServiceExt;

    struct Answer {
        status: StatusCode,
        content_type: String,
        text: String,
    }

    async fn ask(path: &str, readiness: &Readiness) -> Answer {
        let metrics = Metrics::new();
        metrics.panicked();
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = router(metrics, readiness.clone()).oneshot(request).await.expect("an answer");
        let (head, body) = answer.into_parts();
        let content_type = head.headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
        let body = axum::body::to_bytes(body, usize::MAX).await.expect("a body");
        Answer { status: head.status, content_type, text: String::from_utf8(body.to_vec()).expect("text") }
    }

    #[tokio::test]
    async fn a_process_that_answers_is_alive_whatever_its_gates_say() {
        let readiness = Readiness::default();
        let _closed = readiness.gate("connections");
        let answer = ask("/livez", &readiness).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "ok"));
    }

    #[tokio::test]
    async fn readiness_names_what_it_waits_for() {
        let readiness = Readiness::default();
        let (connections, accounts) = (readiness.gate("connections"), readiness.gate("accounts"));
        connections.open();
        let answer = ask("/readyz", &readiness).await;
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.text, "[+]connections ok\n[-]accounts not yet\nreadyz check failed\n");
        accounts.open();
        let answer = ask("/readyz", &readiness).await;
        assert_eq!(answer.status, StatusCode::OK);
        assert_eq!(answer.text, "[+]connections ok\n[+]accounts ok\nreadyz check passed\n");
    }

    #[tokio::test]
    async fn what_has_not_begun_is_not_ready() {
        let answer = ask("/readyz", &Readiness::default()).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "readyz check failed\n"));
    }

    #[tokio::test]
    async fn metrics_are_open_metrics() {
        let answer = ask("/metrics", &Readiness::default()).await;
        assert_eq!((answer.status, answer.content_type.as_str()), (StatusCode::OK, OPENMETRICS));
        assert!(answer.text.contains("\ntradewind_reconcile_panics_total 1\n"), "{}", answer.text);
        assert!(answer.text.ends_with("# EOF\n"), "{}", answer.text);
    }

    #[tokio::test]
    async fn there_is_nothing_else() {
        assert_eq!(ask("/", &Readiness::default()).await.status, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn it_ends_when_it_is_told_to() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let serving = serve(listener, Metrics::new(), Readiness::default(), async {});
        tokio::time::timeout(Duration::from_mins(1), serving).await.expect("an end").expect("a good one");
    }
}
