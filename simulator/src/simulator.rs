//! The handle that tests, the server and the admin API share.
//!
//! Owns the lock around the core and the clock beside it. It must never hold the lock while it waits.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::arcus;
use crate::clock::{Clock, later};
use crate::fault::Fault;
use crate::journal::{Entry, Stats};
use crate::outcome::{Delivery, Reply};
use crate::rutter;
use crate::sku_io;
use crate::state::{Admission, State};

/// What a simulator starts with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Ids and tokens are drawn from it: the same seed gives the same ones in the same order.
    pub seed: u64,
    /// How the simulated Rutter behaves.
    pub rutter: rutter::Settings,
    /// Who may call it.
    pub accounts: Vec<rutter::Account>,
    /// How the simulated SKU.io behaves.
    pub sku_io: sku_io::Settings,
    /// Who may call that.
    pub sku_accounts: Vec<sku_io::Account>,
    /// How the simulated Arcus behaves.
    pub arcus: arcus::Settings,
    /// Who may call that.
    pub arcus_accounts: Vec<arcus::Account>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            seed: 0,
            rutter: rutter::Settings::default(),
            accounts: vec![rutter::Account::default()],
            sku_io: sku_io::Settings::default(),
            sku_accounts: vec![sku_io::Account::default()],
            arcus: arcus::Settings::default(),
            arcus_accounts: vec![arcus::Account::default()],
        }
    }
}

/// A handle to one set of simulated providers; clones share it.
#[derive(Clone, Debug)]
pub struct Simulator {
    state: Arc<Mutex<State>>,
    clock: Clock,
}

impl Simulator {
    /// Providers with nothing in them yet.
    #[must_use]
    pub fn new(clock: Clock, setup: Setup) -> Self {
        let rutter = rutter::Rutter::new(setup.seed, setup.rutter, setup.accounts);
        let sku_io = sku_io::SkuIo::new(setup.seed, setup.sku_io, setup.sku_accounts);
        let arcus = arcus::Arcus::new(setup.seed, setup.arcus, setup.arcus_accounts);
        Self { state: Arc::new(Mutex::new(State::new(rutter, sku_io, arcus))), clock }
    }

    /// The clock it lives by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Looks at the core, or changes it, in one piece.
    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        // A test that panicked while it held the lock has failed already; the others should still see what is there.
        look(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Every request so far.
    #[must_use]
    pub fn journal(&self) -> Vec<Entry> {
        self.with(|state| state.journal().to_vec())
    }

    /// What the journal and the records add up to.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.with(|state| state.stats())
    }

    /// Lets something go wrong.
    pub fn push_fault(&self, fault: Fault) {
        self.with(|state| state.push_fault(fault));
    }

    /// Lets nothing go wrong any more.
    pub fn clear_faults(&self) {
        self.with(State::clear_faults);
    }

    /// Changes how the simulated Rutter behaves from now on.
    pub fn configure(&self, change: impl FnOnce(&mut rutter::Settings)) {
        self.with(|state| change(state.rutter_mut().settings_mut()));
    }

    /// Every connection that there ever was, the deleted ones included, in the order in which they were made.
    #[must_use]
    pub fn connections(&self) -> Vec<rutter::Record> {
        let now = self.clock.now();
        self.with(|state| state.rutter().records(now))
    }

    /// One connection.
    #[must_use]
    pub fn connection(&self, id: Uuid) -> Option<rutter::Record> {
        let now = self.clock.now();
        self.with(|state| state.rutter().record(now, id))
    }

    /// Does something behind the client's back; see [`rutter::Deed`].
    ///
    /// # Errors
    ///
    /// When there is no such account or connection, or no such store.
    pub fn act(&self, deed: &rutter::Deed) -> Result<rutter::Record, rutter::NoSuch> {
        let now = self.clock.now();
        self.with(|state| state.rutter_mut().act(now, deed))
    }

    /// Changes how the simulated SKU.io behaves from now on.
    pub fn configure_sku_io(&self, change: impl FnOnce(&mut sku_io::Settings)) {
        self.with(|state| change(state.sku_io_mut().settings_mut()));
    }

    /// Every instance of SKU.io that there ever was, the deleted ones included, in the order in which they were made.
    #[must_use]
    pub fn instances(&self) -> Vec<sku_io::Record> {
        let now = self.clock.now();
        self.with(|state| state.sku_io().records(now))
    }

    /// One instance of SKU.io.
    #[must_use]
    pub fn instance(&self, id: u64) -> Option<sku_io::Record> {
        let now = self.clock.now();
        self.with(|state| state.sku_io().record(now, id))
    }

    /// Every job of SKU.io that there ever was, whether or not jobs can be read through its API.
    #[must_use]
    pub fn sku_jobs(&self) -> Vec<sku_io::JobRecord> {
        let now = self.clock.now();
        self.with(|state| state.sku_io().jobs(now))
    }

    /// Does something at SKU.io behind the client's back; see [`sku_io::Deed`].
    ///
    /// # Errors
    ///
    /// When there is no such tenant, live instance or job, or no instance can be like this.
    pub fn act_sku(&self, deed: &sku_io::Deed) -> Result<sku_io::Record, sku_io::NoSuch> {
        let now = self.clock.now();
        self.with(|state| state.sku_io_mut().act(now, deed))
    }

    /// Changes a token of SKU.io, named by its public part: revokes it, takes a scope away.
    ///
    /// # Errors
    ///
    /// When there is no such token.
    pub fn change_token(&self, token_id: u64, change: impl FnOnce(&mut sku_io::Account)) -> Result<(), sku_io::NoSuch> {
        self.with(|state| state.sku_io_mut().account_mut(token_id).map(change))
    }

    /// Changes how the simulated Arcus behaves from now on.
    pub fn configure_arcus(&self, change: impl FnOnce(&mut arcus::Settings)) {
        self.with(|state| change(state.arcus_mut().settings_mut()));
    }

    /// Every connector of Arcus that there ever was, the deleted ones included, in the order in which they were made.
    #[must_use]
    pub fn connectors(&self) -> Vec<arcus::Record> {
        let now = self.clock.now();
        self.with(|state| state.arcus().records(now))
    }

    /// The connector of that kind of the first Arcus account's entity, deleted or not.
    #[must_use]
    pub fn connector(&self, connector: arcus::Connector) -> Option<arcus::Record> {
        let now = self.clock.now();
        self.with(|state| state.arcus().record(now, None, connector))
    }

    /// Every link for consent that Arcus ever handed out.
    #[must_use]
    pub fn arcus_links(&self) -> Vec<arcus::LinkRecord> {
        let now = self.clock.now();
        self.with(|state| state.arcus().links(now))
    }

    /// Does something at Arcus behind the client's back, see [`arcus::Deed`]; the connector as it is then, if there is
    /// one.
    ///
    /// # Errors
    ///
    /// When there is no such entity, living connector or working link, or no connector can be like this.
    pub fn act_arcus(&self, deed: &arcus::Deed) -> Result<Option<arcus::Record>, arcus::NoSuch> {
        let now = self.clock.now();
        self.with(|state| state.arcus_mut().act(now, deed))
    }

    /// Changes an API key of Arcus, named by its name: revokes it, takes a scope away.
    ///
    /// # Errors
    ///
    /// When there is no such key.
    pub fn change_key(&self, name: &str, change: impl FnOnce(&mut arcus::Account)) -> Result<(), arcus::NoSuch> {
        self.with(|state| state.arcus_mut().account_mut(name).map(change))
    }

    /// Answers a person with a browser; see [`State::visit`].
    #[must_use]
    pub fn visit(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let now = self.clock.now();
        self.with(|state| state.visit(now, request))
    }

    /// Stops all data (dates of syncs, counts) where it is, or lets it move on. Readiness and trouble still come.
    pub fn freeze(&self, frozen: bool) {
        let now = self.clock.now();
        self.with(|state| {
            state.rutter_mut().freeze(now, frozen);
            state.sku_io_mut().freeze(now, frozen);
            state.arcus_mut().freeze(now, frozen);
        });
    }

    /// Carries a request through the core, with all the waiting that its fault asks for.
    ///
    /// It goes on when the caller stops waiting: a provider does not undo its work because the client hung up.
    pub async fn exchange(&self, request: Request<Bytes>) -> Reply {
        let now = self.clock.now();
        let admission = self.with(|state| state.admit(now, &request));
        let due = later(now, admission.wait);
        let (answer, answered) = oneshot::channel();
        tokio::spawn(self.clone().carry_out(admission, due, request, answer));
        answered.await.unwrap_or_else(|_| Reply::lost())
    }

    async fn carry_out(
        self,
        Admission { ticket, hang_up, .. }: Admission,
        due: Timestamp,
        request: Request<Bytes>,
        answer: oneshot::Sender<Reply>,
    ) {
        // The receiver of a dropped sender sees a lost answer.
        let answer = (!hang_up).then_some(answer);
        self.clock.sleep_until(due).await;
        let now = self.clock.now();
        let mut reply = self.with(|state| state.apply(now, &ticket, &request));
        if hang_up {
            reply.delivery = Delivery::Lost;
        }
        self.clock.sleep_until(later(now, reply.held_back)).await;
        self.with(|state| state.finish(self.clock.now(), &ticket, &reply));
        self.log(ticket.seq());
        if let Some(answer) = answer {
            // Nobody listens if the client has gone; that changes nothing here.
            let _ = answer.send(reply);
        }
    }

    fn log(&self, seq: u64) {
        let entry = self.with(|state| state.journal().iter().rev().find(|entry| entry.seq == seq).cloned());
        if let Some(Entry { method, path, status, delivery, in_flight, .. }) = entry {
            tracing::info!(seq, %method, %path, status, ?delivery, in_flight, "request");
        }
    }
}
