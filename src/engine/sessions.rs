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
    /// Why nothing new may be made in it, though it works: the login that it declares cannot be held.
    pub(super) unheld: Option<Problem>,
    /// When the login was last accepted.
    proven: Option<Instant>,
    /// A new secret of the same login, which has yet to prove itself; until then the one that works stays.
    coming: Option<(Arc<Session>, Opened)>,
}

impl Entry {
    /// Whether objects may use the account now.
    pub(super) fn works(&self) -> bool {
        self.judged && self.problem.is_none()
    }
}

/// A session that a login was opened with.
pub(super) struct Opening {
    pub(super) session: Arc<Session>,
    /// The account works with the login's secret of before: this session is not used before it is proven.
    pub(super) unproven: bool,
}

/// What a session was opened with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Opened {
    sharing: String,
    /// Whose login it is, where, and in which version of the API: all of it but the secret.
    whose: (String, String),
    limits: Limits,
}

impl Opened {
    /// Whether it is the same but for the secret.
    fn is_rotation_of(&self, other: &Self) -> bool {
        self.sharing != other.sharing && (&self.whose, &self.limits) == (&other.whose, &other.limits)
    }
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
    ) -> Result<Opening, Problem> {
        let whose = (login.fingerprint.clone(), login.version.clone());
        let opened = Opened { sharing: login.sharing.clone(), whose, limits: limits.clone() };
        let mut all = self.all();
        let same = all
            .values()
            .flat_map(|e| e.session.iter().chain(&e.coming))
            .find(|(_, o)| *o == opened)
            .map(|(s, _)| Arc::clone(s));
        let session = match same {
            Some(session) => session,
            None => Arc::new(connect(login, limits, settings, metrics)?),
        };
        let entry = all.entry(account.to_owned()).or_default();
        // What the provider has asked of this login holds with another budget too.
        let before = entry.session.as_ref().filter(|(_, known)| known.whose == opened.whose);
        if let Some(rest) = before.and_then(|(before, _)| before.gate.closed_for()) {
            session.gate.close(rest);
        }
        let works = entry.works() && entry.proven.is_some();
        let unproven = match &entry.session {
            Some((known, _)) if Arc::ptr_eq(known, &session) => {
                entry.coming = None;
                false
            }
            Some((_, known)) if works && opened.is_rotation_of(known) => {
                entry.coming = Some((Arc::clone(&session), opened));
                true
            }
            Some(_) | None => {
                *entry = Entry { session: Some((Arc::clone(&session), opened)), ..Entry::default() };
                false
            }
        };
        Ok(Opening { session, unproven })
    }

    /// The new secret of a login has proven itself: it takes the place of the one before.
    pub(super) fn take_over(&self, account: &str) {
        if let Some(entry) = self.all().get_mut(account)
            && let Some(coming) = entry.coming.take()
        {
            *entry = Entry { session: Some(coming), ..Entry::default() };
        }
    }

    /// Whether the login that the account declares can be held.
    pub(super) fn held(&self, account: &str, unheld: Option<Problem>) {
        self.all().entry(account.to_owned()).or_default().unheld = unheld;
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

    /// Forgets accounts that went without a word: who is not in use has nothing to wait for.
    pub(super) fn retain(&self, exists: impl Fn(&str) -> bool) {
        self.all().retain(|account, _| exists(account));
    }
}
