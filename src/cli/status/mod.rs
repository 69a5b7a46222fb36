//! `tradewind status`: what there is, how it is, and who has to act.

mod detail;
mod overview;

use super::{
    Exit,
    caller::Caller,
    cluster::{Scope, ScopeArgs, Typed},
    names::{Kind, ManagedKind, ObjectName},
    output::{ColourArgs, OutputArgs, warn},
    refusal::{innermost, is_forbidden, is_unknown},
    turn::Turn,
    view::View,
};
use crate::api::v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, ProviderAccount};
use kube::{Api, api::ListParams, core::DynamicObject};
use serde_json::json;

/// What the overview shows. Accounts first: what is wrong with one is wrong with everything in it.
const KINDS: [Kind; 4] = [
    Kind::ClusterProviderAccount,
    Kind::ProviderAccount,
    Kind::Managed(ManagedKind::Connection),
    Kind::Managed(ManagedKind::IntegrationInstance),
];

/// Objects asked for at a time.
const PAGE: u32 = 100;

/// Show accounts and what is connected, and who has to act; of one object, all that is known
///
/// With --exit-code the result can be used in scripts: 0 if nothing is left to do, 2 if the operator or the provider
/// still has to do something, 4 if a person has to act, and 1 if not everything could be looked at.
#[derive(clap::Args, Debug)]
pub(super) struct Status {
    /// One object: a Connection, or KIND/NAME such as ii/acme or provideraccount/rutter
    #[arg(value_name = "NAME", conflicts_with = "all_namespaces")]
    object: Option<ObjectName>,
    /// Look in all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// End with 2 while something is under way and with 4 while a person has to act
    #[arg(long)]
    exit_code: bool,
    #[command(flatten)]
    scope: ScopeArgs,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    colour: ColourArgs,
}

impl Status {
    pub(super) async fn run(self, program: &str) -> anyhow::Result<Exit> {
        let (scope, paint) = (self.scope.open(program).await?, self.colour.paint());
        let (views, is_whole) = if let Some(object) = &self.object {
            let view = one(&scope, object).await?;
            self.output.print_in(paint, &view, || detail::text(&view))?;
            (vec![view], true)
        } else {
            let (views, is_whole) = all(&scope, self.all_namespaces).await?;
            let place = if self.all_namespaces { None } else { Some(scope.namespace()) };
            self.output.print_in(paint, &json!({"items": views}), || overview::text(&views, place))?;
            (views, is_whole)
        };
        Ok(match (self.exit_code, is_whole) {
            (false, _) => Exit::Done,
            // Of what nobody saw nobody knows whether it waits for a person.
            (true, false) => Exit::Failed,
            (true, true) => verdict(&views),
        })
    }
}

/// What a script wants to know.
fn verdict(views: &[View]) -> Exit {
    let waits = |turns: &[Turn]| views.iter().any(|view| turns.contains(&view.waits_for));
    if waits(&[Turn::Person]) {
        Exit::Blocked
    } else if waits(&[Turn::Operator, Turn::Provider]) {
        Exit::Changes
    } else {
        Exit::Done
    }
}

async fn one(scope: &Scope, object: &ObjectName) -> anyhow::Result<View> {
    let (api, kind) = (scope.objects(object.kind, false), object.kind);
    let found = api.get(&object.name).await.map_err(|error| scope.explain(error, kind, &object.name))?;
    Ok(view(kind, &found, scope.caller()))
}

/// What there is, and whether that is all.
async fn all(scope: &Scope, everywhere: bool) -> anyhow::Result<(Vec<View>, bool)> {
    let (mut views, mut is_whole) = (Vec::new(), true);
    for kind in KINDS {
        let shared = kind.is_shared();
        if shared && !everywhere {
            continue;
        }
        let objects = match list(&scope.objects(kind, everywhere)).await {
            // Where one namespace is served, nobody has to install what only a whole cluster needs.
            Err(error) if shared && is_unknown(&error) => vec![],
            // Who works in namespaces need not have a right in the cluster.
            Err(error) if shared && is_forbidden(&error) => {
                warn(&format!("shared accounts are left out: {}", scope.plain(error)));
                is_whole = false;
                vec![]
            }
            listed => listed.map_err(|error| scope.plain(error))?,
        };
        views.extend(objects.iter().map(|object| view(kind, object, scope.caller())));
    }
    Ok((views, is_whole))
}

/// Objects are read one by one: one that cannot be read must not hide the others.
async fn list(api: &Api<DynamicObject>) -> kube::Result<Vec<DynamicObject>> {
    let mut objects = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        objects.extend(page.items);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params = ListParams::default().limit(PAGE).continue_token(&token),
            None => return Ok(objects),
        }
    }
}

fn view(kind: Kind, object: &DynamicObject, caller: &Caller) -> View {
    let read = match kind {
        Kind::Managed(ManagedKind::Connection) => {
            read::<Connection>(object).map(|object| View::managed(&object, caller))
        }
        Kind::Managed(ManagedKind::IntegrationInstance) => {
            read::<IntegrationInstance>(object).map(|object| View::managed(&object, caller))
        }
        Kind::ProviderAccount => read::<ProviderAccount>(object).map(|object| View::account(&object)),
        Kind::ClusterProviderAccount => read::<ClusterProviderAccount>(object).map(|object| View::account(&object)),
    };
    read.unwrap_or_else(|why| View::malformed(kind, object, &why))
}

fn read<K: Typed>(object: &DynamicObject) -> Result<K, String> {
    object.clone().try_parse().map_err(|error| innermost(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONNECTION: Kind = Kind::Managed(ManagedKind::Connection);

    fn caller() -> Caller {
        Caller::new("tradewind", &[])
    }

    fn object(spec: &serde_json::Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "tradewind.dev/v1alpha1", "kind": "Connection",
            "metadata": {"name": "acme", "namespace": "shop", "generation": 1}, "spec": spec,
        }))
        .expect("an object")
    }

    #[test]
    fn an_object_that_cannot_be_read_is_told_like_any_other() {
        let view = view(CONNECTION, &object(&json!({"provider": "Telegraph"})), &caller());
        assert_eq!((view.ready.as_str(), view.reason.as_str(), view.waits_for), ("False", "InvalidSpec", Turn::Person));
        assert!(view.message.contains("cannot be read (unknown variant `Telegraph`"), "{}", view.message);
    }

    #[test]
    fn what_waits_for_a_person_comes_before_what_is_under_way() {
        let good = json!({"provider": "Rutter", "accountRef": {"name": "a"}});
        let fresh = view(CONNECTION, &object(&good), &caller());
        let broken = view(CONNECTION, &object(&json!({})), &caller());
        assert_eq!(verdict(&[]), Exit::Done);
        assert_eq!(verdict(std::slice::from_ref(&fresh)), Exit::Changes);
        assert_eq!(verdict(&[fresh, broken]), Exit::Blocked);
    }
}
