//! What stands between an operator and the world: each request is a point of the history.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{self, BoxFuture},
};
use http::{Method, Request, Response, StatusCode, header::ACCEPT};
use http_body_util::{BodyExt, Full};
use kube::client::Body;
use tokio::sync::Notify;
use tower::{Service, service_fn, util::BoxCloneSyncService};
use tradewind::{
    engine::Stop,
    provider::{Wire, WireError},
};
use tradewind_apiserver::{Answer, ApiService};
use tradewind_simulator::{Delivery, Effect, Fault, Reply};

use crate::{event::Event, site::Site, world::World};

/// How long a request is on its way: without it, two that answer each other would stop the time.
const LATENCY: Duration = Duration::from_millis(20);
/// So many turns there are for requests of the same moment.
const TURNS: u64 = 31;
/// So many operators there are at most at once: two that run all the time, and one that takes over.
const OPERATORS: u64 = 3;
/// How long a request to the API server is held up: longer than anybody waits for its answer, and than another process waits
/// before it concludes anything.
const KUBE_STALL: Duration = Duration::from_secs(25);
/// How long one to a provider is: longer than a permit lives, and than anybody waits for the answer; no longer than both
/// together. A create that comes later than that is what no client can exclude (docs/crash.md).
const CALL_STALL: Duration = Duration::from_secs(12);
/// When a write takes effect whose connection was lost at once: later than a grace.
const LATE: Duration = Duration::from_secs(20);

/// One process of the operator.
#[derive(Clone, Debug, Default)]
pub(crate) struct Process {
    /// Whose it is, of those that a history has.
    number: u64,
    dead: Arc<AtomicBool>,
    died: Arc<Notify>,
    asked: Arc<Notify>,
}

impl Process {
    /// A new process of this operator: one that takes the place of a killed one has its number.
    pub(crate) fn numbered(number: u64) -> Self {
        Self { number, ..Self::default() }
    }

    /// Whether another one was there before it.
    pub(crate) fn is_second(&self) -> bool {
        self.number > 1
    }

    /// Ends it in the middle of whatever it does: this never returns.
    async fn die(&self) {
        self.end();
        self.died.notify_one();
        future::pending::<()>().await;
    }

    /// Waits for its end.
    pub(crate) async fn death(&self) {
        self.died.notified().await;
    }

    /// Done when it is asked to stop.
    pub(crate) fn stop(&self) -> Stop {
        let asked = Arc::clone(&self.asked);
        async move { asked.notified().await }.boxed().shared()
    }

    /// It has ended: what it has left running does nothing any more.
    pub(crate) fn end(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    /// A dead process sends nothing.
    async fn lives(&self) {
        if self.dead.load(Ordering::Relaxed) {
            future::pending::<()>().await;
        }
    }
}

/// A request at its point, once what happens before it has happened.
struct Arrival {
    events: Vec<Event>,
}

impl Arrival {
    async fn at(world: &World, process: &Process, site: &Site, turn: Duration) -> Self {
        tokio::time::sleep(LATENCY + turn).await;
        process.lives().await;
        let events = world.arrive(site);
        if world.is_over() {
            future::pending::<()>().await;
        }
        if events.contains(&Event::CrashBefore) {
            process.die().await;
        }
        if events.contains(&Event::Stop) {
            process.asked.notify_one();
        }
        Self { events }
    }

    /// Whether the request is held up.
    fn is_stalled(&self) -> bool {
        self.has(Event::Stall) || self.has(Event::Takeover)
    }

    fn has(&self, event: Event) -> bool {
        self.events.contains(&event)
    }

    /// Whether a fault met the request that can come between it and what is known of it.
    fn is_struck(&self) -> bool {
        self.events.iter().any(|event| event.is_fault() && !event.is_light())
    }

    async fn leave(&self, process: &Process) {
        if self.has(Event::CrashAfter) {
            process.die().await;
        }
        process.lives().await;
    }
}

/// Carries a request out that is held up. It goes on when nobody waits for it any more, and when the process that sent it has
/// ended: a network takes nothing back.
async fn held_up<T: Send + 'static>(delay: Duration, effect: impl Future<Output = T> + Send + 'static) -> T {
    let carried = tokio::spawn(async move {
        tokio::time::sleep(delay).await;
        effect.await
    });
    // What panicked was blamed where it did; nobody is answered.
    let Ok(answer) = carried.await else { return future::pending().await };
    answer
}

/// Where a request goes, but for the name of an event: it is made of the time outside of the history.
fn path<B>(request: &Request<B>) -> &str {
    let whole = request.uri().path();
    whole
        .split_once("/events/")
        .map_or(whole, |(before, _)| whole.get(..before.len() + "/events".len()).unwrap_or(whole))
}

/// Of requests that are sent at the same moment, always the same one is first: what orders them in the program is chance,
/// and a history is to be the same when it is told again.
fn turn<B>(process: &Process, request: &Request<B>) -> Duration {
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let words = [request.method().as_str(), path(request), request.uri().query().unwrap_or_default(), accept];
    // FNV-1a: the standard library's hashes differ from one program to the next.
    let hash = words
        .concat()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    Duration::from_millis((hash >> 32) % TURNS * OPERATORS + process.number % OPERATORS)
}

/// The way to the API server.
#[derive(Clone)]
pub(crate) struct KubeTap {
    world: World,
    process: Process,
    inner: ApiService,
}

impl KubeTap {
    pub(crate) fn new(world: World, process: Process, inner: ApiService) -> Self {
        Self { world, process, inner }
    }
}

/// The API server's own words for a bad moment.
const DOWN: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"etcdserver: request timed out","reason":"InternalError","code":500}"#;

/// The connection to the API server broke.
#[derive(Debug)]
pub(crate) struct Lost;

impl std::fmt::Display for Lost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the connection broke")
    }
}

impl std::error::Error for Lost {}

impl Service<Request<Body>> for KubeTap {
    type Response = Answer;
    type Error = Lost;
    type Future = BoxFuture<'static, Result<Answer, Lost>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let Self { world, process, inner } = self.clone();
        Box::pin(async move {
            let site = Site::Kube(request.method().clone(), path(&request).to_owned());
            let arrival = Arrival::at(&world, &process, &site, turn(&process, &request)).await;
            if arrival.has(Event::KubeDown) || world.is_kube_out() {
                let mut answer = Response::new(Full::new(Bytes::from_static(DOWN.as_bytes())).boxed_unsync());
                *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                return Ok(answer);
            }
            let effect = take_effect(world, inner, request, site, arrival.is_struck());
            if arrival.has(Event::KubeLate) {
                tokio::spawn(held_up(LATE, effect));
                return Err(Lost);
            }
            let answer = if arrival.is_stalled() { held_up(KUBE_STALL, effect).await } else { effect.await };
            arrival.leave(&process).await;
            if arrival.has(Event::KubeLost) { Err(Lost) } else { Ok(answer) }
        })
    }
}

/// The API server does what a request asks for.
async fn take_effect(world: World, mut inner: ApiService, request: Request<Body>, site: Site, struck: bool) -> Answer {
    let answer = inner.call(request).await.unwrap_or_else(|never: Infallible| match never {});
    world.wrote(&site, struck);
    answer
}

/// The provider does what a request asks for.
async fn be_called(world: World, request: Request<Bytes>, site: Site, faults: Vec<Effect>) -> Reply {
    for effect in faults {
        world.simulator().push_fault(Fault::on_any(effect));
    }
    world.called(&site);
    let reply = world.simulator().exchange(request).await;
    world.answered(&site);
    reply
}

/// The way to the providers.
pub(crate) fn wire(world: World, process: Process) -> Wire {
    BoxCloneSyncService::new(service_fn(move |request: Request<Bytes>| {
        let (world, process) = (world.clone(), process.clone());
        async move {
            let site = Site::Call(request.method().clone(), request.uri().path().to_owned());
            let arrival = Arrival::at(&world, &process, &site, turn(&process, &request)).await;
            if arrival.events.iter().any(|event| event.is_late()) {
                let mut track = world.track();
                track.late |= site.has_effect();
                // A change that comes late comes over what another operator has made of the record since.
                track.unnoticed += usize::from(*request.method() == Method::PATCH);
            }
            let faults = arrival.events.iter().filter_map(|event| event.effect()).collect();
            let effect = be_called(world, request, site, faults);
            let reply = if arrival.is_stalled() { held_up(CALL_STALL, effect).await } else { effect.await };
            arrival.leave(&process).await;
            match reply.delivery {
                Delivery::Whole => Ok(reply.response),
                Delivery::Cut | Delivery::Lost => Err(WireError::Broken),
            }
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::simulated;

    #[test]
    fn what_is_held_up_takes_effect_when_nobody_waits_for_it_any_more() {
        simulated(async {
            let effect = Arc::new(AtomicBool::new(false));
            let (happened, patience) = (Arc::clone(&effect), Duration::from_secs(5));
            let request = held_up(LATE, async move { happened.store(true, Ordering::Relaxed) });
            assert!(tokio::time::timeout(patience, request).await.is_err(), "it was answered in time");
            assert!(!effect.load(Ordering::Relaxed), "it took effect at once");
            tokio::time::sleep(LATE).await;
            assert!(effect.load(Ordering::Relaxed), "it never took effect");
        });
    }
}
