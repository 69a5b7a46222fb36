//! Open sessions by account. Accounts with the very same login share one, and with it its budget and its lists.

use crate::{
    api::v1alpha1::Limits,
    domain::reason::Problem,
    provider::{ConnectSettings, Login, Session, connect},
    telemetry::Metrics,
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// All sessions of this process.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Entry>>);

/// What is known of one account.
#[derive(Clone, Default)]
pub(super) struct Entry {
    /// The session, and what it was opened with.
    pub(super) session: Option<(Arc<Session>, Opened)>,
    /// Whether a pass over the account came to an end with this session.
    pub(super) judged: bool,
    /// Why objects must not use the account now.
    pub(super) problem: Option<Problem>,
    /// When the login was last accepted.
    proven: Option<Instant>,
}

/// What a session was opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    sharing: String,
    limits: Limits,
}

impl Sessions {
    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of an account; `None` before its first pass in this process.
    pub(super) fn get(&self, account: &str) -> Option<Entry> {
        self.all().get(account).cloned()
    }

    /// The session of a login: the account's own, another account's with the same login, or a new one.
    ///
    /// # Errors
    /// Where no client can be built.
    pub(super) fn open(
        &self,
        account: &str,
        login: &Login,
        limits: &Limits,
        settings: &ConnectSettings,
        metrics: &Metrics,
    ) -> Result<Arc<Session>, Problem> {
        let opened = Opened { sharing: login.sharing.clone(), limits: limits.clone() };
        let mut all = self.all();
        let same =
            all.values().filter_map(|e| e.session.as_ref()).find(|(_, o)| *o == opened).map(|(s, _)| Arc::clone(s));
        let session = match same {
            Some(session) => session,
            None => Arc::new(connect(login, limits, settings, metrics)?),
        };
        let entry = all.entry(account.to_owned()).or_default();
        let is_same = entry.session.as_ref().is_some_and(|(known, _)| Arc::ptr_eq(known, &session));
        if !is_same {
            *entry = Entry { session: Some((Arc::clone(&session), opened)), ..Entry::default() };
        }
        Ok(session)
    }

    /// The login was accepted just now.
    pub(super) fn prove(&self, account: &str) {
        self.all().entry(account.to_owned()).or_default().proven = Some(Instant::now());
    }

    /// The login needs a new proof.
    pub(super) fn doubt(&self, account: &str) {
        if let Some(entry) = self.all().get_mut(account) {
            entry.proven = None;
        }
    }

    /// Whether the login was accepted within this time, and nobody has doubted it since.
    pub(super) fn is_proven(&self, account: &str, within: Duration) -> bool {
        let all = self.all();
        all.get(account).is_some_and(|e| e.problem.is_none() && e.proven.is_some_and(|at| at.elapsed() < within))
    }

    /// Whether objects may use the account now.
    pub(super) fn judge(&self, account: &str, problem: Option<Problem>) {
        let mut all = self.all();
        let entry = all.entry(account.to_owned()).or_default();
        (entry.judged, entry.problem) = (true, problem);
    }

    /// Forgets an account that is gone.
    pub(super) fn forget(&self, account: &str) {
        self.all().remove(account);
    }
}
