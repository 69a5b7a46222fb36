//! What is told of one object, of any kind: the same for people and, as JSON, for programs.

use super::{
    age::now,
    authorization::{Ask, ask},
    caller::Caller,
    cluster::Typed,
    names::Kind,
    question::Question,
    turn::{Look, Turn, concern, turn},
};
use crate::{
    api::v1alpha1::{
        Account, AccountKind, AuthorizationStatus, CreationStatus, DeletionPolicy, LastAction, Managed, ManagedStatus,
        Provider, RefreshStatus,
    },
    domain::{conditions::Type, intent::Creation},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::core::{DynamicObject, ObjectMeta};
use serde::Serialize;

/// One object.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct View {
    pub(super) kind: &'static str,
    /// Empty where the object is in none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) namespace: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<Provider>,
    /// `True`, `False` or `Unknown`.
    pub(super) ready: String,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) waits_for: Turn,
    /// What a person can run next.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) commands: Vec<String>,
    pub(super) deleting: bool,
    pub(super) suspended: bool,
    /// Who the account is at the provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) identity: Option<String>,
    /// What an account does not have.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(super) record: Option<RecordView>,
    pub(super) conditions: Vec<Condition>,
}

/// What is told of an object's record at the provider.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordView {
    /// The account by name; `cluster/NAME` for a shared one.
    pub(super) account: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) external_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) store: Option<String>,
    pub(super) creation: CreationView,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) drifted_fields: Vec<String>,
    pub(super) deletion_policy: DeletionPolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_action: Option<LastAction>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_sync_time: Option<Time>,
    /// How the last sync went, in the provider's own words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sync_status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sync_error: Option<String>,
    /// The link that a person is to open; the link itself stands in the connection Secret only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authorization: Option<AuthorizationStatus>,
    /// What the provider holds, where it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) has_credentials: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) has_webhook_secret: Option<bool>,
    /// The last refresh of each entity, as the status has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refresh: Option<RefreshStatus>,
}

/// How far the creation of a record has come.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CreationView {
    /// `NotStarted`, `Pending`, `Done` or `Unverifiable`.
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) attempt: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) at: Option<Time>,
    /// What makes the record the same thing at the provider, whoever made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) key: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) candidates: Vec<String>,
}

impl View {
    /// An object with a record. `caller`: who is told what to run.
    pub(super) fn managed<K: Managed + Typed>(object: &K, caller: &Caller) -> Self {
        let (status, declaration) = (object.managed_status().cloned().unwrap_or_default(), object.declaration());
        let (suspended, observed) = (declaration.is_suspended(), status.observed_generation);
        let view = Self::new(K::TYPED, object.meta(), &status.conditions, observed, suspended);
        let commands = commands(&view, object, caller);
        let record = RecordView::new(object, status);
        Self { provider: Some(declaration.provider()), commands, record: Some(record), ..view }
    }

    /// An account of either kind.
    pub(super) fn account<K: Account + Typed>(object: &K) -> Self {
        let status = object.account_status();
        let conditions = status.map(|s| s.conditions.as_slice()).unwrap_or_default();
        let observed = status.map_or(-1, |s| s.observed_generation);
        let view = Self::new(K::TYPED, object.meta(), conditions, observed, false);
        Self { provider: Some(object.provider()), identity: status.and_then(|s| s.identity.clone()), ..view }
    }

    /// An object whose stored form cannot be read.
    pub(super) fn malformed(kind: Kind, object: &DynamicObject, why: &str) -> Self {
        let message = format!("The object cannot be read ({why}). Correct it and apply it again, or delete it");
        let view = Self::new(kind, &object.metadata, &[], -1, false);
        Self { ready: "False".into(), reason: "InvalidSpec".into(), message, waits_for: Turn::Person, ..view }
    }

    fn new(kind: Kind, meta: &ObjectMeta, conditions: &[Condition], observed: i64, suspended: bool) -> Self {
        let deleting = meta.deletion_timestamp.is_some();
        let current = meta.generation == Some(observed);
        let ready = conditions.iter().find(|c| c.type_ == Type::Ready.to_string());
        let text =
            |part: fn(&Condition) -> &String, none: &str| ready.map_or_else(|| none.to_owned(), |c| part(c).clone());
        Self {
            kind: kind.as_str(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            provider: None,
            ready: text(|c| &c.status, "Unknown"),
            reason: text(|c| &c.reason, "Progressing"),
            message: text(|c| &c.message, "Waiting for the operator"),
            waits_for: turn(Look { deleting, suspended, current, conditions }),
            commands: vec![],
            deleting,
            suspended,
            identity: None,
            record: None,
            conditions: conditions.to_vec(),
        }
    }

    /// What a person has to put right of an object that works all the same.
    pub(super) fn concern(&self) -> Option<&Condition> {
        concern(&self.conditions).filter(|_| self.waits_for == Turn::Person)
    }

    /// The object as kubectl names it.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind.to_lowercase(), self.name)
    }
}

impl RecordView {
    fn new<K: Managed>(object: &K, status: ManagedStatus) -> Self {
        let question = Question::from(object);
        let (attempt, creation) = (question.attempt(), status.creation.unwrap_or_default());
        let declaration = object.declaration();
        let account = declaration.account_ref();
        let account = match account.kind {
            AccountKind::ProviderAccount => account.name.clone(),
            AccountKind::ClusterProviderAccount => format!("cluster/{}", account.name),
        };
        let store = match (status.store_name, status.store_domain) {
            (Some(name), Some(domain)) => Some(format!("{name} ({domain})")),
            (name, domain) => name.or(domain),
        };
        let CreationStatus { key, candidates, .. } = creation;
        Self {
            account,
            platform: status.platform.or_else(|| declaration.platform()),
            external_id: status.external_id,
            store,
            creation: CreationView {
                state: state(&question.creation()),
                attempt: attempt.as_ref().map(|i| i.attempt),
                at: attempt.as_ref().map(|i| i.at.clone()),
                key: attempt.and_then(|i| i.key).or(key),
                candidates,
            },
            drifted_fields: status.drifted_fields,
            deletion_policy: declaration.deletion_policy(),
            last_action: status.last_action,
            last_sync_time: status.last_sync_time,
            sync_status: status.sync_status,
            sync_error: status.sync_error,
            authorization: status.authorization,
            has_credentials: status.has_credentials,
            has_webhook_secret: status.has_webhook_secret,
            refresh: status.refresh,
        }
    }
}

fn state(creation: &Creation) -> &'static str {
    match creation {
        Creation::NotStarted => "NotStarted",
        Creation::Pending(_) => "Pending",
        Creation::Done(_) => "Done",
        Creation::Unverifiable(_) => "Unverifiable",
    }
}

/// The commands that answer what the object waits for.
fn commands<K: Managed + Typed>(view: &View, object: &K, caller: &Caller) -> Vec<String> {
    let (question, name) = (Question::from(object), K::TYPED.argument(&view.name));
    let command = |verb: &str, rest: &str| caller.command(&format!("{verb} {name} -n {}{rest}", view.namespace));
    let mut commands = Vec::new();
    if question.is_open() {
        commands.extend(question.candidates().iter().map(|id| command("resolve", &format!(" --adopt {id}"))));
        commands.push(command("resolve", " --create-anew"));
    }
    if view.deleting && view.waits_for == Turn::Person {
        commands.push(command("abandon", ""));
    }
    match ask(object, now()) {
        Ask::Open { .. } => commands.push(command("authorize", "")),
        // Nothing is asked of the provider before it is resumed.
        Ask::Expired(_) if !view.suspended => commands.push(command("authorize", " --wait")),
        Ask::Request(_) if !view.suspended => commands.push(command("reconcile", "")),
        Ask::Expired(_)
        | Ask::Request(_)
        | Ask::Nothing
        | Ask::Leaving
        | Ask::SomethingElse
        | Ask::Elsewhere(_)
        | Ask::Nowhere(_) => {}
    }
    if view.suspended && !view.deleting {
        commands.push(command("resume", ""));
    }
    commands
}
