//! The API server in memory, in place of the real one, for the tests that may run against either.
//!
//! It owns which of the two this run has (`TRADEWIND_APISERVER=memory`), and the log of what the operator asked of the one
//! in memory. It must never stand in for what that one does not do: CEL, authorization, kubectl.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use jiff::Timestamp;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::Service;
use tradewind::api::crd;
use tradewind_apiserver::{Answer, ApiServer, ApiService, Clock, Definition};
use tradewind_cluster::AuditLog;

/// Whether this run has the API server in memory.
pub(crate) fn is_meant() -> bool {
    match std::env::var("TRADEWIND_APISERVER").as_deref() {
        Err(_) | Ok("real") => false,
        Ok("memory") => true,
        Ok(other) => panic!("TRADEWIND_APISERVER is real or memory, not {other}"),
    }
}

/// An API server of one test.
pub(crate) struct Memory {
    server: ApiServer,
    namespace: String,
    log: AuditLog,
    lines: Arc<Mutex<File>>,
}

impl Memory {
    /// A server with our CRDs and one namespace. `dir`: for its log.
    pub(crate) fn new(namespace: &str, dir: &Path) -> Self {
        static KINDS: LazyLock<Vec<Definition>> = LazyLock::new(|| {
            let all = crd::all().expect("our CRDs");
            all.iter().map(|crd| Definition::of(&crd.manifest).expect("a CRD")).collect()
        });
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let server = ApiServer::new(Clock::starting_at(Timestamp::now()), number);
        for kind in KINDS.iter() {
            server.install(kind);
        }
        server.create_namespace(namespace).expect("a namespace");
        std::fs::create_dir_all(dir).expect("a folder for the log");
        let log = AuditLog::at(&dir.join(format!("{namespace}.log")));
        let lines = OpenOptions::new().create_new(true).append(true).open(log.path()).expect("a log");
        Self { server, namespace: namespace.to_owned(), log, lines: Arc::new(Mutex::new(lines)) }
    }

    /// The same server and log, in another namespace.
    pub(crate) fn with(&self, namespace: &str) -> Self {
        self.server.create_namespace(namespace).expect("a namespace");
        Self {
            server: self.server.clone(),
            namespace: namespace.to_owned(),
            log: self.log.clone(),
            lines: Arc::clone(&self.lines),
        }
    }

    /// From now on it takes whatever it is given.
    pub(crate) fn trust(&self) {
        self.server.trust();
    }

    /// From now on watches show a change this late.
    pub(crate) fn lag(&self, lag: Duration) {
        self.server.lag(lag);
    }

    /// What the operator asked for.
    pub(crate) fn audit_log(&self) -> &AuditLog {
        &self.log
    }

    /// A client that may do everything, as the real server's administrator.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.server.service(), "default")
    }

    /// What the operator speaks to.
    pub(crate) fn for_operator(&self, user: String) -> Audited {
        Audited {
            inner: self.server.service(),
            user,
            namespace: self.namespace.clone(),
            lines: Arc::clone(&self.lines),
        }
    }
}

/// A way to the server that writes down what is asked, in the form of a real server's audit log.
#[derive(Clone)]
pub(crate) struct Audited {
    inner: ApiService,
    user: String,
    namespace: String,
    lines: Arc<Mutex<File>>,
}

impl Service<Request<Body>> for Audited {
    type Response = Answer;
    type Error = std::convert::Infallible;
    type Future = BoxFuture<'static, Result<Answer, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut this = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body in memory").to_bytes();
            let (method, uri, began) = (head.method.clone(), head.uri.clone(), Timestamp::now());
            let answer = this.inner.call(Request::from_parts(head, Full::new(body.clone()))).await?;
            // As a real one: the line first, the answer second.
            this.write(&method, &uri, &body, began, answer.status());
            Ok(answer)
        })
    }
}

impl Audited {
    fn write(&self, method: &Method, uri: &Uri, body: &[u8], began: Timestamp, code: StatusCode) {
        let segments: Vec<&str> = uri.path().split('/').filter(|s| !s.is_empty()).collect();
        let (group, rest) = match segments.as_slice() {
            ["api", _, rest @ ..] => ("", rest),
            ["apis", group, _, rest @ ..] => (*group, rest),
            _ => return,
        };
        let rest = if let ["namespaces", _, rest @ ..] = rest { rest } else { rest };
        let mut rest = rest.iter().copied();
        let (resource, name, subresource) = (rest.next(), rest.next(), rest.next());
        // What is created is named in its body.
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let name =
            name.or_else(|| body.pointer("/metadata/name").and_then(Value::as_str).filter(|_| method == Method::POST));
        let verb = match (method.as_str(), name) {
            ("GET", None) => "list",
            ("GET", Some(_)) => "get",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            _ => "delete",
        };
        let line = json!({
            "stage": "ResponseComplete", "verb": verb, "user": {"username": self.user}, "requestURI": uri.to_string(),
            "objectRef": {
                "apiGroup": group, "resource": resource.unwrap_or_default(), "namespace": self.namespace,
                "name": name.unwrap_or_default(), "subresource": subresource.unwrap_or_default()
            },
            "responseStatus": {"code": code.as_u16()}, "requestReceivedTimestamp": began, "stageTimestamp": Timestamp::now()
        });
        let mut lines = self.lines.lock().expect("no panic while a line is written");
        writeln!(lines, "{line}").expect("a line in the log");
    }
}
