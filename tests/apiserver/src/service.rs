//! The server as a tower service: requests of a kube client in, answers and streams out.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use serde_json::{Value, json};
use tower::Service;

use crate::{
    fail::Failure,
    handle::ApiServer,
    kinds::Kind,
    meta,
    request::Request,
    state::{Key, State},
    stored::Object,
    watch,
    write::Part,
};

/// See the module.
#[derive(Clone, Debug)]
pub struct ApiService(ApiServer);

/// The body of an answer: one document, or the lines of a watch.
pub type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl ApiService {
    pub(crate) fn new(server: ApiServer) -> Self {
        Self(server)
    }

    fn answer(&self, request: &http::request::Parts, body: &[u8]) -> Result<Answer, Failure> {
        let parsed = self.0.with(|state| {
            if let Some(found) = state.discover(request.uri.path()) {
                return Ok(Err(found));
            }
            Request::parse(state, &request.method, &request.uri, &request.headers).map(Ok)
        })?;
        let request = match parsed {
            Ok(request) => request,
            Err(found) => return Ok(document(StatusCode::OK, &found)),
        };
        if request.method == Method::GET && request.is_watch() {
            let lines = watch::watch(&self.0, &request)?;
            return Ok(Response::new(StreamBody::new(lines).boxed_unsync()));
        }
        let (status, object) = self.0.with(|state| {
            if request.only_tries() { state.clone().serve(&request, body) } else { state.serve(&request, body) }
        })?;
        Ok(match object {
            Found::Object(object) if request.partial => document(status, &meta::partial(&object)),
            Found::Object(object) => written(status, object.text().to_owned()),
            Found::Other(value) => document(status, &value),
        })
    }
}

impl<B> Service<http::Request<B>> for ApiService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: std::fmt::Debug,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Answer, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let server = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let mut answer =
                server.answer(&head, &body).unwrap_or_else(|failure| document(failure.code, &failure.status()));
            let date = server.0.with(|state| state.clock.date());
            if let Ok(date) = date.parse() {
                answer.headers_mut().insert(header::DATE, date);
            }
            Ok(answer)
        })
    }
}

/// What a request is answered with.
enum Found {
    Object(Object),
    /// A list, or what became of a deletion.
    Other(Value),
}

fn document(status: StatusCode, value: &Value) -> Answer {
    written(status, value.to_string())
}

fn written(status: StatusCode, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    answer
}

impl State {
    /// Everything but watches.
    fn serve(&mut self, request: &Request, body: &[u8]) -> Result<(StatusCode, Found), Failure> {
        let part = match request.subresource.as_deref() {
            None => Part::Main,
            Some("status") => Part::Status,
            Some(other) => return Err(Failure::unsupported(&format!("the subresource {other}"))),
        };
        let parse =
            || serde_json::from_slice(body).map_err(|e| Failure::bad_request(format!("this body is no JSON: {e}")));
        let ok = |object| (StatusCode::OK, Found::Object(object));
        let key = Key {
            kind: request.kind,
            namespace: request.namespace.clone().unwrap_or_default(),
            name: request.name.clone().unwrap_or_default(),
        };
        let named = request.name.is_some();
        match (&request.method, named) {
            (&Method::GET, false) => self.page(request).map(|list| (StatusCode::OK, Found::Other(list))),
            (&Method::GET, true) => self.get(&key).cloned().map(ok),
            (&Method::POST, false) => {
                let object: Value = parse()?;
                let name = meta::text(&object, "/metadata/name").unwrap_or_default().to_owned();
                self.create(Key { name, ..key }, object).map(|object| (StatusCode::CREATED, Found::Object(object)))
            }
            (&Method::PUT, true) => self.replace(&key, part, parse()?).map(ok),
            (&Method::PATCH, true) if request.content_type.starts_with("application/merge-patch") => {
                self.patch(&key, part, &parse()?).map(ok)
            }
            (&Method::PATCH, true) if request.content_type.starts_with("application/json-patch") => {
                self.patch_by_steps(&key, part, parse()?).map(ok)
            }
            (&Method::PATCH, true) if request.content_type.starts_with("application/apply-patch") => {
                let manager = request.query("fieldManager").unwrap_or_default().to_owned();
                self.apply(&key, &manager, parse()?).map(ok)
            }
            (&Method::PATCH, true) => Err(Failure::unsupported(&request.content_type)),
            (&Method::DELETE, true) => {
                let options = if body.is_empty() { Value::Null } else { parse()? };
                let gone = self.delete(&key, &options)?;
                if self.objects.contains_key(&key) {
                    return Ok(ok(gone));
                }
                let done = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"});
                Ok((StatusCode::OK, Found::Other(done)))
            }
            (method, _) => Err(Failure::unsupported(&format!("{method} here"))),
        }
    }

    /// The list of kinds of a group.
    fn discover(&self, path: &str) -> Option<Value> {
        let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
        let (group, version) = match segments.as_slice() {
            ["api", version] => ("", *version),
            ["apis", group, version] => (*group, *version),
            _ => return None,
        };
        let of = |k: &&Arc<Kind>| k.group == group && k.version == version;
        let verbs = json!(["create", "delete", "get", "list", "patch", "update", "watch"]);
        let resource = |k: &Arc<Kind>| json!({"name": k.plural, "singularName": "", "namespaced": k.namespaced, "kind": k.name, "verbs": verbs});
        let resources: Vec<Value> = self.kinds.iter().filter(of).map(resource).collect();
        let version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
        Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}))
    }
}
