//! What stands between the program and the API server, for answers that a real one gives at times of its own.

use std::path::{Path, PathBuf};

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http_body_util::BodyExt as _;
use kube::Client;

use super::{Ran, process::NOWHERE, run};
use crate::cluster::Sandbox;

/// An answer in the place of the API server's.
pub(super) type Answer = (StatusCode, &'static str);

/// It speaks plain HTTP, and with the administrator's rights. It goes with its owner.
pub(super) struct Between {
    kubeconfig: PathBuf,
    namespace: String,
}

impl Between {
    /// `answer`: what it says itself to a request for a path. All others the API server answers; it passes on no watches.
    pub(super) async fn new(
        sandbox: &Sandbox,
        answer: impl Fn(&str) -> Option<Answer> + Clone + Send + Sync + 'static,
    ) -> Self {
        let client = sandbox.client().clone();
        let between = move |request: Request| {
            let (answer, client) = (answer(request.uri().path()), client.clone());
            async move {
                match answer {
                    Some(answer) => answer.into_response(),
                    None => pass_on(client, request).await,
                }
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = axum::Router::new().fallback(between);
        tokio::spawn(async move { axum::serve(listener, router).await });
        let kubeconfig = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("between-{}.yaml", sandbox.namespace()));
        std::fs::write(&kubeconfig, NOWHERE.replace("127.0.0.1:1", &address.to_string())).expect("a kubeconfig");
        Self { kubeconfig, namespace: sandbox.namespace().to_owned() }
    }

    /// Runs the program in the namespace of the sandbox.
    pub(super) async fn run(&self, args: &[&str]) -> Ran {
        let place = ["--namespace", &self.namespace, "--kubeconfig", self.kubeconfig.to_str().expect("a path")];
        let args: Vec<String> = args.iter().chain(&place).map(|arg| (*arg).to_owned()).collect();
        let run = move || run(&args.iter().map(String::as_str).collect::<Vec<_>>());
        tokio::task::spawn_blocking(run).await.expect("the end of the program")
    }
}

impl Drop for Between {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.kubeconfig);
    }
}

async fn pass_on(client: Client, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.expect("a body");
    let mut passed =
        http::Request::builder().method(head.method).uri(head.uri).body(body.to_vec().into()).expect("a request");
    *passed.headers_mut() = head.headers;
    passed.headers_mut().remove(http::header::HOST);
    let answer = client.send(passed).await.expect("an answer");
    let (head, body) = answer.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    (head.status, Body::from(body)).into_response()
}
