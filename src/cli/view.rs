//! What is told of one object, of any kind: the same for people and, as JSON, for programs.

use super::{
    age::now,
    authorization::{Ask, ask},
    caller::Caller,
    cluster::Typed,
    names::Kind,
    question::Question,
    turn::{Look, Turn, turn},
};
use crate::{
    api::{
        keys,
        v1alpha1::{
            Account, AccountKind, AuthorizationStatus, CreationStatus, Declaration, DeletionPolicy, LastAction,
            Managed, ManagedStatus, ManagementPolicy, Provider, RefreshStatus,
        },
    },
    domain::{conditions::Type, intent::Creation, reason::Reason},
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
    /// The condition that says who has to act, where one does.
    #[serde(skip)]
    by: Option<Condition>,
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
    pub(super) management_policy: ManagementPolicy,
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
    pub(super) state: CreationState,
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

/// How far, in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum CreationState {
    NotStarted,
    Pending,
    Done,
    /// Made by another object, or not readable.
    Unverifiable,
}

impl From<&Creation> for CreationState {
    fn from(creation: &Creation) -> Self {
        match creation {
            Creation::NotStarted => Self::NotStarted,
            Creation::Pending(_) => Self::Pending,
            Creation::Done(_) => Self::Done,
            Creation::Unverifiable(_) => Self::Unverifiable,
        }
    }
}

impl View {
    /// An object with a record. `caller`: who is told what to run.
    pub(super) fn managed<K: Managed + Typed>(object: &K, caller: &Caller) -> Self {
        let (status, declaration) = (object.managed_status().cloned().unwrap_or_default(), object.declaration());
        let (suspended, observed) = (declaration.is_suspended(), status.observed_generation);
        let view = Self::new(K::TYPED, object.meta(), &status.conditions, observed, suspended);
        let question = Question::of(object, &declaration);
        let commands = commands(&view, object, &declaration, &question, caller);
        let record = RecordView::new(&declaration, &question, status);
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
        let reason = Reason::InvalidSpec.to_string();
        Self { ready: "False".into(), reason, message, waits_for: Turn::Person, ..view }
    }

    fn new(kind: Kind, meta: &ObjectMeta, conditions: &[Condition], observed: i64, suspended: bool) -> Self {
        let deleting = meta.deletion_timestamp.is_some();
        let current = meta.generation == Some(observed);
        let ready = conditions.iter().find(|c| c.type_ == Type::Ready.to_string());
        let text =
            |part: fn(&Condition) -> &String, none: &str| ready.map_or_else(|| none.to_owned(), |c| part(c).clone());
        let (waits_for, by) = turn(Look { deleting, suspended, current, conditions });
        Self {
            kind: kind.as_str(),
            namespace: meta.namespace.clone().unwrap_or_default(),
            name: meta.name.clone().unwrap_or_default(),
            provider: None,
            ready: text(|c| &c.status, "Unknown"),
            reason: text(|c| &c.reason, Reason::Progressing.as_str()),
            message: text(|c| &c.message, "Waiting for the operator"),
            waits_for,
            by: by.cloned(),
            commands: vec![],
            deleting,
            suspended,
            identity: None,
            record: None,
            conditions: conditions.to_vec(),
        }
    }

    /// The condition that says who has to act, where it says something else than `Ready` does.
    pub(super) fn told_by(&self) -> Option<&Condition> {
        self.by.as_ref().filter(|by| by.message != self.message)
    }

    /// Why somebody has to act, in the words of the operator: a reason, and its sentence.
    pub(super) fn why(&self) -> (&str, &str) {
        self.by.as_ref().map_or((&self.reason, &self.message), |by| (&by.reason, &by.message))
    }

    /// Whether a person has something to put right that is in nobody's way: the record works, and is as declared.
    pub(super) fn is_concern(&self) -> bool {
        let beside = [Type::CredentialsValid, Type::InitialRefreshComplete];
        self.by.as_ref().is_some_and(|by| beside.iter().any(|kind| by.type_ == kind.to_string()))
    }

    /// Whether the account's guard holds a deletion, the object's own or that of a record that is to be replaced.
    pub(super) fn is_held(&self) -> bool {
        self.waits_for == Turn::Person && self.why().0 == Reason::DeletionHeld.as_str()
    }

    /// The object as kubectl names it.
    pub(super) fn title(&self) -> String {
        format!("{}/{}", self.kind.to_lowercase(), self.name)
    }
}

impl RecordView {
    fn new(declaration: &Declaration, question: &Question, status: ManagedStatus) -> Self {
        let (attempt, creation) = (question.attempt(), status.creation.unwrap_or_default());
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
                state: CreationState::from(&question.creation()),
                attempt: attempt.as_ref().map(|i| i.attempt),
                at: attempt.as_ref().map(|i| i.at.clone()),
                key: attempt.and_then(|i| i.key).or(key),
                candidates,
            },
            drifted_fields: status.drifted_fields,
            management_policy: declaration.management_policy(),
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

/// What lets the deletion pass that the account's guard holds.
pub(super) fn allow(kind: Kind, meta: &ObjectMeta, caller: &Caller) -> String {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let (kind, name, namespace) = (kind.resource(), text(&meta.name), text(&meta.namespace));
    let uid = text(&meta.uid);
    caller.kubectl(&format!("annotate {kind} {name} -n {namespace} --overwrite {}={uid}", keys::ALLOW_DELETION))
}

/// The commands that answer what the object waits for.
fn commands<K: Managed + Typed>(
    view: &View,
    object: &K,
    declaration: &Declaration,
    question: &Question,
    caller: &Caller,
) -> Vec<String> {
    let name = K::TYPED.argument(&view.name);
    let command = |verb: &str, rest: &str| caller.command(&format!("{verb} {name} -n {}{rest}", view.namespace));
    let mut commands = Vec::new();
    if question.is_open() {
        commands.extend(question.candidates().iter().map(|id| command("resolve", &format!(" --adopt {id}"))));
        commands.push(command("resolve", " --create-anew"));
    }
    if view.is_held() {
        commands.push(allow(K::TYPED, object.meta(), caller));
    }
    if view.deleting && view.waits_for == Turn::Person {
        // What goes on by itself is let go only on purpose.
        commands.push(command("abandon", if view.is_held() { " --force" } else { "" }));
    }
    match ask(object, declaration, question, now()) {
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
