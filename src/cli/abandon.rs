//! `tradewind abandon`: the way out where a deletion is blocked for good.
//!
//! It removes our finalizer from the very version of the object that it has told about, and touches nothing at the
//! provider.

use super::{
    Exit,
    age::now,
    caller::Caller,
    cluster::{Scope, ScopeArgs, Typed},
    names::{ManagedKind, ManagedName},
    output::{Line, OutputArgs, line},
    question::Question,
    turn::Turn,
    view::{View, allow},
};
use crate::{
    api::v1alpha1::{AuthorizationStatus, Connection, IntegrationInstance, Managed, StoredIntent},
    domain::{intent::Creation, reason::Reason},
};
use anyhow::bail;
use kube::{ResourceExt, api::DynamicObject};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Let an object go whose deletion is blocked, and leave the provider as it is
///
/// Says what stays behind. Without --yes nothing is done and the command ends with 2.
#[derive(clap::Args, Debug)]
pub(super) struct Abandon {
    /// A Connection, or KIND/NAME such as ii/acme
    name: ManagedName,
    /// Do it
    #[arg(long)]
    yes: bool,
    /// Also where the deletion is not blocked: the account's guard holds it, or no operator is there to carry it out
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What stays behind at the provider.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LeftBehind {
    kind: &'static str,
    /// The object as kubectl names it.
    #[serde(skip)]
    title: String,
    namespace: String,
    name: String,
    provider: String,
    /// Identity of the account, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<String>,
    /// The id in status.
    #[serde(skip_serializing_if = "Option::is_none")]
    external_id: Option<String>,
    /// Records that may be the object's; none where it is known which one is, or that there is none.
    candidates: Vec<String>,
    /// The attempt whose outcome nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    open_attempt: Option<StoredIntent>,
    /// There is an attempt that cannot be read.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unreadable_attempt: bool,
    /// The link that a merchant may still use.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization: Option<AuthorizationStatus>,
    /// The Secret that goes with the object, if the operator wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_secret: Option<String>,
    /// Finalizers of others, which still hold the object.
    other_finalizers: Vec<String>,
    abandoned: bool,
}

impl Abandon {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        match self.name.kind {
            ManagedKind::Connection => self.abandon::<Connection>(program).await,
            ManagedKind::IntegrationInstance => self.abandon::<IntegrationInstance>(program).await,
        }
    }

    async fn abandon<K: Managed + Typed>(self, program: &str) -> anyhow::Result<Exit> {
        let scope = self.scope.open(program).await?;
        let stored = scope.stored::<K>(&self.name.name).await?;
        let mut left = LeftBehind::of::<K>(&stored, &scope);
        let LeftBehind { name, namespace, title, .. } = &left;
        let kind = K::TYPED.resource();
        if stored.metadata.deletion_timestamp.is_none() {
            let delete = scope.caller().kubectl(&format!("delete {kind} {name} -n {namespace}"));
            bail!(
                "{kind} {name} is not being deleted. Delete it first: {delete}. To leave its record at the provider on \
                 purpose, set deletionPolicy: Retain before that"
            );
        }
        if !stored.finalizers().iter().any(|f| f == K::FINALIZER) {
            let text = format!("{title} is not held by Tradewind: there is nothing to do");
            self.output.print(&left, || vec![line(text)])?;
            return Ok(Exit::Done);
        }
        // What cannot be read is let go too: there may be no other way out.
        let standing = match stored.clone().try_parse::<K>() {
            Ok(object) => standing(&object, scope.caller()),
            Err(_) => standing_of_unreadable(&stored),
        };
        // Only what would not go otherwise is abandoned.
        match standing.filter(|_| !self.force) {
            Some(Standing::Held(why)) => bail!(
                "the deletion of {kind} {name} is not blocked, but held ({why}). To let it pass now: {}. To let the object \
                 go and leave the record, add --force",
                allow(K::TYPED, &stored.metadata, scope.caller())
            ),
            Some(Standing::UnderWay(why)) => bail!(
                "the deletion of {kind} {name} is not blocked ({why}). Wait for the operator, or, if none runs any more, \
                 add --force"
            ),
            None => {}
        }
        if self.yes {
            let metadata = json!({"resourceVersion": stored.resource_version(), "finalizers": left.other_finalizers});
            scope.patch_stored::<K>(&left.name, &json!({"metadata": metadata})).await?;
            left.abandoned = true;
        }
        self.output.print(&left, || left.text())?;
        Ok(if self.yes { Exit::Done } else { Exit::Changes })
    }
}

/// What an object says of its deletion, where that goes on by itself.
enum Standing {
    /// In a later window of the account's guard.
    Held(String),
    /// As soon as the operator gets to it.
    UnderWay(String),
}

/// `None` where the deletion is blocked.
fn standing<K: Managed + Typed>(object: &K, caller: &Caller) -> Option<Standing> {
    let view = View::managed(object, caller);
    let why = format!("{}: {}", view.reason, view.message);
    if view.is_held() {
        Some(Standing::Held(why))
    } else {
        (view.waits_for != Turn::Person).then_some(Standing::UnderWay(why))
    }
}

fn standing_of_unreadable(stored: &DynamicObject) -> Option<Standing> {
    let all = stored.data.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_blocked = all.iter().any(|c| c["type"] == "Ready" && c["reason"] == Reason::DeletionBlocked.to_string());
    (!is_blocked).then(|| Standing::UnderWay("the operator has not said that it cannot read the object".to_owned()))
}

impl LeftBehind {
    /// Read from the places that every version has: this one need not be able to read the rest.
    fn of<K: Managed + Typed>(stored: &DynamicObject, scope: &Scope) -> Self {
        let text = |path: &str| stored.data.pointer(path).and_then(Value::as_str).map(str::to_owned);
        let link = stored.data.pointer("/status/authorization").and_then(|l| AuthorizationStatus::deserialize(l).ok());
        let question = Question::of_stored(stored);
        let (undecided, open_attempt) = match question.creation() {
            Creation::Pending(intent) => (true, Some(intent)),
            Creation::Unverifiable(intent) => (true, intent),
            Creation::NotStarted | Creation::Done(_) => (false, None),
        };
        Self {
            kind: K::TYPED.as_str(),
            title: format!("{}/{}", K::TYPED.resource(), stored.name_any()),
            namespace: scope.namespace().to_owned(),
            name: stored.name_any(),
            provider: text("/spec/provider").unwrap_or_else(|| "the provider".to_owned()),
            account: text("/status/account").or_else(|| open_attempt.as_ref().map(|i| i.account.clone())),
            external_id: text("/status/externalId"),
            // What was in the way of a record stands there too, and is somebody else's.
            candidates: if undecided { question.candidates().to_vec() } else { vec![] },
            unreadable_attempt: undecided && open_attempt.is_none(),
            open_attempt,
            authorization: link.filter(|link| now() < link.expires_at.0),
            connection_secret: text("/spec/connectionSecretRef/name"),
            other_finalizers: stored.finalizers().iter().filter(|f| *f != K::FINALIZER).cloned().collect(),
            abandoned: false,
        }
    }

    fn text(&self) -> Vec<Line> {
        let Self { namespace, title, provider, abandoned, .. } = self;
        let (is, stays) = if *abandoned { ("is", "stays") } else { ("would be", "would stay") };
        let account = self.account.as_ref().map(|account| format!(", account {account}")).unwrap_or_default();
        let mut lines = vec![format!(
            "{title} in namespace {namespace} {is} abandoned. At {provider}{account}, this {stays} behind:"
        )];
        lines.extend(self.items().into_iter().map(|item| format!("  - {item}")));
        lines.push("Nothing is sent to the provider: delete there what is not to stay.".to_owned());
        let secret = self.connection_secret.as_ref();
        lines.extend(secret.map(|name| format!("Secret {name} goes with the object, if the operator wrote it.")));
        if !self.other_finalizers.is_empty() {
            lines.push(format!(
                "The object stays until these finalizers are removed: {}.",
                self.other_finalizers.join(", ")
            ));
        }
        if !abandoned {
            lines.push("Nothing was done. Add --yes to do it.".to_owned());
        }
        lines.into_iter().map(line).collect()
    }

    fn items(&self) -> Vec<String> {
        let id = self.external_id.as_ref().map(|id| format!("record {id}, which the object's status names"));
        let others: Vec<&str> =
            self.candidates.iter().filter(|id| self.external_id.as_ref() != Some(id)).map(String::as_str).collect();
        let candidates = (!others.is_empty()).then(|| format!("{}, which may be the object's", others.join(", ")));
        let attempt = self.open_attempt.as_ref().map(|intent| {
            let key = intent.key.as_ref().map(|key| format!(" for {key}")).unwrap_or_default();
            format!("whatever attempt {} of {} made{key}, if it made anything", intent.attempt, intent.at.0)
        });
        let unreadable = "whatever an attempt made that cannot be read, if it made anything".to_owned();
        let unreadable = self.unreadable_attempt.then_some(unreadable);
        let link = self.authorization.as_ref().map(|AuthorizationStatus { attempt, expires_at }| {
            format!(
                "whatever a merchant still makes by the link of attempt {attempt}, which works until {}",
                expires_at.0
            )
        });
        let items: Vec<String> =
            id.into_iter().chain(candidates).chain(attempt).chain(unreadable).chain(link).collect();
        if items.is_empty() { vec!["nothing that the object knows of".to_owned()] } else { items }
    }
}
