//! `tradewind reconcile`: asks the operator to look at an object now, and waits until it says that it has.

use super::{
    Exit,
    age::now,
    caller::Caller,
    cluster::{Scope, ScopeArgs, Typed},
    names::{Kind, ManagedKind, ObjectName},
    output::{Line, OutputArgs, line},
    refusal::Blocked,
    suspend,
    turn::Turn,
    view::View,
    wait::WaitArgs,
};
use crate::{
    api::{
        keys,
        v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, Managed, ProviderAccount},
    },
    domain::request,
};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde::Serialize;
use serde_json::json;

/// Ask the operator to look at an object now, and wait until it has
///
/// Ends with 0 once the operator has looked, also where work is still under way, or has let an object go that is being
/// deleted, and with 4 where a person has to act. A suspended object is not looked at, and is refused with 4.
#[derive(clap::Args, Debug)]
pub(super) struct Reconcile {
    /// A Connection, or KIND/NAME such as ii/acme or provideraccount/rutter
    #[arg(value_name = "NAME")]
    object: ObjectName,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// What came of it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    kind: &'static str,
    /// Absent where the object is in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    namespace: Option<String>,
    name: String,
    requested_at: String,
    /// The object as it was when the operator had looked; absent where nobody waited, and where it is gone.
    #[serde(skip_serializing_if = "Option::is_none")]
    object: Option<View>,
    /// Its deletion came to its end.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gone: bool,
}

/// A kind that echoes the request in its status.
pub(super) trait Echoes: Typed {
    fn echo(&self) -> Option<&String>;
    fn view(&self, caller: &Caller) -> View;
}

impl<K: Managed + Typed> Echoes for K {
    fn echo(&self) -> Option<&String> {
        self.managed_status()?.last_handled_reconcile_at.as_ref()
    }

    fn view(&self, caller: &Caller) -> View {
        View::managed(self, caller)
    }
}

impl Echoes for ProviderAccount {
    fn echo(&self) -> Option<&String> {
        self.status.as_ref()?.last_handled_reconcile_at.as_ref()
    }

    fn view(&self, _: &Caller) -> View {
        View::account(self)
    }
}

impl Echoes for ClusterProviderAccount {
    fn echo(&self) -> Option<&String> {
        self.status.as_ref()?.last_handled_reconcile_at.as_ref()
    }

    fn view(&self, _: &Caller) -> View {
        View::account(self)
    }
}

impl Reconcile {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        let scope = self.scope.open(program).await?;
        match self.object.kind {
            Kind::Managed(ManagedKind::Connection) => self.request::<Connection>(&scope).await,
            Kind::Managed(ManagedKind::IntegrationInstance) => self.request::<IntegrationInstance>(&scope).await,
            Kind::ProviderAccount => self.request::<ProviderAccount>(&scope).await,
            Kind::ClusterProviderAccount => self.request::<ClusterProviderAccount>(&scope).await,
        }
    }

    async fn request<K: Echoes>(&self, scope: &Scope) -> anyhow::Result<Exit> {
        let name = &self.object.name;
        let before = scope.get::<K>(name).await?;
        let view = before.view(scope.caller());
        // A deletion goes on, and so does a question that a person has to answer.
        if view.suspended && !view.deleting && view.waits_for != Turn::Person {
            return Err(
                Blocked::new(format!("{} {name} {}", K::TYPED.resource(), suspend::refusal::<K>(scope, name))).into()
            );
        }
        let stamp = stamp(request::latest(before.annotations()), now()).to_string();
        let body = json!({"metadata": {"annotations": {keys::RECONCILE: stamp}}});
        let leaving = scope.patch::<K>(name, &body).await?.meta().deletion_timestamp.is_some();
        let seen = if self.wait.no_wait {
            None
        } else {
            self.output.note(&format!("{}: waiting for the operator to look", self.object));
            // The last look at an object that is being deleted leaves nothing to say it by.
            let seen = |object: Option<K>| {
                Ok(match object {
                    Some(object) => is_handled(&object).then_some(Some(object)),
                    None => leaving.then_some(None),
                })
            };
            Some(self.wait.until(scope, name, "looked at", seen).await?)
        };
        let gone = matches!(seen, Some(None));
        let object = seen.flatten().map(|object| object.view(scope.caller()));
        let exit = match object.as_ref().map(|view| view.waits_for) {
            Some(Turn::Person) => Exit::Blocked,
            Some(Turn::Nobody | Turn::Operator | Turn::Provider) | None => Exit::Done,
        };
        let request = Request {
            kind: K::TYPED.as_str(),
            namespace: scope.namespace_of(K::TYPED).map(str::to_owned),
            name: name.clone(),
            requested_at: stamp,
            object,
            gone,
        };
        self.output.print(&request, || self.told(&request))?;
        Ok(exit)
    }

    fn told(&self, request: &Request) -> Vec<Line> {
        let name = &self.object;
        let Some(View { ready, reason, message, .. }) = &request.object else {
            let what =
                if request.gone { "it is gone: its deletion came to its end" } else { "asked the operator to look" };
            return vec![line(format!("{name}: {what}"))];
        };
        let by = request.object.as_ref().and_then(View::told_by);
        let by = by.map(|c| format!("{name}: {} is {}, {}: {}", c.type_, c.status, c.reason, c.message));
        let ready = format!("{name}: Ready is {ready}, {reason}: {message}");
        std::iter::once(ready).chain(by).map(line).collect()
    }
}

/// A stamp of now, or, where the last request bears a later one, of just after that: the operator answers the later of two
/// requests, and one that it has answered it passes over.
fn stamp(last: Option<&str>, now: Timestamp) -> Timestamp {
    let after = last.and_then(request::at).and_then(|last| last.checked_add(SignedDuration::from_secs(1)).ok());
    after.map_or(now, |after| after.max(now))
}

/// Of several requests the operator answers the last one, which need not be ours.
fn is_handled<K: Echoes>(object: &K) -> bool {
    object.echo().is_some() && object.echo().map(String::as_str) == request::latest(object.annotations())
}

/// Whether somebody has asked the operator to look, and it has not yet.
pub(super) fn is_asked_for<K: Echoes>(object: &K) -> bool {
    request::latest(object.annotations()).is_some() && !is_handled(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::none(None, "2026-01-05T09:00:00Z")]
    #[case::earlier(Some("2026-01-05T08:00:00Z"), "2026-01-05T09:00:00Z")]
    #[case::of_this_second(Some("2026-01-05T09:00:00Z"), "2026-01-05T09:00:01Z")]
    #[case::of_another_zone(Some("2026-01-05T12:00:00+02:00"), "2026-01-05T10:00:01Z")]
    #[case::in_seconds(Some("1767603605"), "2026-01-05T09:00:06Z")]
    #[case::no_time(Some("once more"), "2026-01-05T09:00:00Z")]
    fn a_request_bears_a_later_stamp_than_the_last(#[case] last: Option<&str>, #[case] expected: &str) {
        let now = "2026-01-05T09:00:00Z".parse().expect("a time");
        assert_eq!(stamp(last, now).to_string(), expected);
    }
}
