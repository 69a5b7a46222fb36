//! Least privilege: what the chart grants is what the operator uses, and what it says where one right of that is missing.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use kube::api::{Api, DeleteParams};
use kube::runtime::wait::await_condition;
use serde_json::{Value, json};
use tradewind::api::v1alpha1::{ClusterProviderAccount, Connection, IntegrationInstance, ProviderAccount};
use tradewind_cluster::{AuditLog, Event};
use tradewind_simulator::Clock;
use tradewind_simulator::rutter::{Deed, Trouble};

use super::life::{arguments, values};
use super::{Right, objects, rendered, rights, text, the};
use crate::cluster::{HANG, Sandbox};
use crate::conditions::Observed;
use crate::docs::{blocks, read};
use crate::lifecycle::instances::instance;
use crate::lifecycle::tenancy::{sharing, team, until};
use crate::process::Program;
use crate::world::{World, connection, id_of, store};

/// What an operator looks after: the value `scope` of the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    Namespaced,
    Cluster,
}

impl Scope {
    /// Values, to be put in braces. What people may do by the cluster's own roles is none of the operator's rights.
    fn values(self, secrets: bool) -> String {
        format!("scope: {self:?}, watchSecrets: {secrets}, rbac: {{aggregate: false}}")
    }

    /// Every right that there is for it.
    async fn rights(self) -> BTreeSet<Right> {
        rights(&rendered("tradewind", &format!("{{{}}}", self.values(true))).await)
    }
}

/// A world whose operator has the rights of the chart and is run as its Deployment says.
struct Installed {
    world: World,
    objects: Vec<Value>,
}

impl Installed {
    async fn new(name: &str, scope: Scope, secrets: bool) -> Self {
        let world = match scope {
            Scope::Namespaced => World::quiet(name).await,
            // It would look after what other tests make.
            Scope::Cluster => World::on(Sandbox::alone(name).await, Clock::real(), World::setup()),
        };
        let more = scope.values(secrets);
        let values = format!("{}, {more}, crds: {{enabled: false}}}}", values(&world).trim_end_matches('}'));
        let objects = rendered(world.sandbox.namespace(), &values).await;
        let installed = Self { world, objects };
        // The sandbox has an account of this name already, with the rights of config/: the chart's is to have its own only.
        for name in ["role", "rolebinding"] {
            assert!(installed.world.sandbox.kubectl(&["delete", name, "tradewind"]).await.ok);
        }
        installed
    }

    fn user(&self) -> String {
        format!("system:serviceaccount:{}:tradewind", self.world.sandbox.namespace())
    }

    /// Applies the account, roles and bindings of the chart, less one right.
    async fn grant(&self, missing: Option<&Right>) {
        let kinds = ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
        for object in self.objects.iter().filter(|object| kinds.contains(&text(object, "/kind"))) {
            let mut object = object.clone();
            let granted = rights([&object]).into_iter().filter(|right| Some(right) != missing);
            let rule = |r: Right| {
                let names = if r.name.is_empty() { vec![] } else { vec![r.name] };
                json!({"apiGroups": [r.group], "resources": [r.resource], "resourceNames": names, "verbs": [r.verb]})
            };
            if let Some(rules) = object.get_mut("rules") {
                *rules = granted.map(rule).collect();
            }
            self.world.sandbox.apply(&object.to_string()).await;
        }
        if let Some(missing) = missing {
            until_may(&self.world.sandbox, &self.user(), missing, false).await;
        }
    }

    fn start(&self) -> Program {
        let sandbox = &self.world.sandbox;
        Program::run(sandbox.operator_kubeconfig(), arguments(the(&self.objects, "Deployment"), "tradewind-0"))
    }
}

/// Waits until the authorizer, which follows roles by watches of its own, says this of a user.
pub(super) async fn until_may(sandbox: &Sandbox, user: &str, right: &Right, may: bool) {
    let (resource, subresource) = right.resource.split_once('/').unwrap_or((&right.resource, ""));
    let resource = if right.group.is_empty() { resource.to_owned() } else { format!("{resource}.{}", right.group) };
    let resource = if right.name.is_empty() { resource } else { format!("{resource}/{}", right.name) };
    let (user, subresource) = (format!("--as={user}"), format!("--subresource={subresource}"));
    let question = ["auth", "can-i", &right.verb, &resource, &subresource, &user];
    let followed = async { while sandbox.kubectl(&question).await.ok != may {} };
    tokio::time::timeout(HANG, followed).await.unwrap_or_else(|late| panic!("may {right} is not {may}: {late}"));
}

/// Everything that the operator of a namespace does in Kubernetes, at least once.
async fn story(world: &World) {
    let sandbox = &world.sandbox;
    world.furnish().await;
    world.furnish_sku("").await;
    sandbox.apply(&connection("acme", &store(sandbox.namespace()), "")).await;
    let id = id_of(&world.settled("acme").await);
    sandbox.apply(&instance("acme", "")).await;
    world.well("acme").await;

    // Lost and found again: the second event of the same words is the first one, counted.
    for _ in 0..2 {
        world.deed(&id, |connection| Deed::Upset { connection, trouble: Trouble::Unhealthy });
        world.request("acme").await;
        world.until("acme", "Ready", "False", "ProviderUnavailable").await;
        world.deed(&id, |connection| Deed::Mend { connection });
        world.request("acme").await;
        world.settled("acme").await;
    }
    sandbox.delete::<Connection>("acme").await;
    sandbox.delete::<IntegrationInstance>("acme").await;
    sandbox.wait_gone::<Connection>("acme", HANG).await;
    sandbox.wait_gone::<IntegrationInstance>("acme", HANG).await;
    for account in ["rutter", "sku"] {
        sandbox.delete::<ProviderAccount>(account).await;
        sandbox.wait_gone::<ProviderAccount>(account, HANG).await;
    }
}

/// Everything that the operator of a whole cluster does besides, at least once: a shared account with its login in one namespace, and a
/// connection in another one, which its label lets in.
async fn story_of_a_shared_account(world: &World) {
    world.sandbox.apply(&shared_account(world)).await;
    let team = team(world, "team").await;
    team.apply(&sharing("acme", &store(team.namespace()), "")).await;
    until(&team, "acme", "False", "NamespaceNotAllowed").await;
    team.label("rutter", Some("yes")).await;
    until(&team, "acme", "True", "Succeeded").await;
    team.delete::<Connection>("acme").await;
    team.wait_gone::<Connection>("acme", HANG).await;
    let accounts = shared_accounts(world);
    accounts.delete("rutter", &DeleteParams::default()).await.expect("an account to delete");
    let gone = await_condition(accounts, "rutter", |account: Option<&ClusterProviderAccount>| account.is_none());
    tokio::time::timeout(HANG, gone).await.expect("in time").expect("a watch");
}

/// The manifests of the shared account `rutter`, for namespaces with a label, and of its login.
fn shared_account(world: &World) -> String {
    let login = format!("credentialsSecretRef: {{name: rutter-api, namespace: {}}}", world.sandbox.namespace());
    world
        .account_with("allowedNamespaces: {selector: {matchLabels: {rutter: \"yes\"}}}")
        .replace("kind: ProviderAccount", "kind: ClusterProviderAccount")
        .replace("credentialsSecretRef: {name: rutter-api}", &login)
}

fn shared_accounts(world: &World) -> Api<ClusterProviderAccount> {
    Api::all(world.sandbox.client().clone())
}

/// What the audit log says that a user asked for, allowed or not. Names of objects are told of what is granted by name.
fn used(sandbox: &Sandbox, user: &str, granted: &BTreeSet<Right>) -> BTreeSet<Right> {
    let events = sandbox.cluster().audit_log().and_then(AuditLog::events).expect("an audit log");
    // The questions of `until_may` are asked in its name, but not by it.
    let own = |event: &Event| event.user == user && event.impersonated_by.is_none() && !event.resource.is_empty();
    let of_user = events.filter(own);
    let right = |event: Event| {
        let resource = if event.subresource.is_empty() {
            event.resource
        } else {
            format!("{}/{}", event.resource, event.subresource)
        };
        let named = Right { group: event.api_group, resource, name: event.name, verb: event.verb };
        if granted.contains(&named) { named } else { Right { name: String::new(), ..named } }
    };
    of_user.map(right).collect()
}

#[tokio::test]
async fn what_is_granted_is_used_and_what_is_used_is_granted() {
    for (scope, secrets) in
        [(Scope::Namespaced, false), (Scope::Namespaced, true), (Scope::Cluster, false), (Scope::Cluster, true)]
    {
        let installed = Installed::new("rights", scope, secrets).await;
        installed.grant(None).await;
        let program = installed.start();
        story(&installed.world).await;
        if scope == Scope::Cluster {
            story_of_a_shared_account(&installed.world).await;
        }
        // Ended, so that its watches are in the log.
        program.terminate().await;
        let granted = rights(&installed.objects);
        let sandbox = &installed.world.sandbox;
        let same = async {
            while used(sandbox, &installed.user(), &granted) != granted {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        // A line of a watch may follow its end by a moment.
        let _ = tokio::time::timeout(HANG, same).await;
        let used = used(sandbox, &installed.user(), &granted);
        let words = |rights: BTreeSet<&Right>| rights.into_iter().map(Right::to_string).collect::<Vec<_>>();
        let install = scope.values(secrets);
        assert_eq!(words(granted.difference(&used).collect()), [""; 0], "granted and not used ({install})");
        assert_eq!(words(used.difference(&granted).collect()), [""; 0], "used and not granted ({install})");
    }
}

/// With one namespace the chart gives people nothing: what it gives them with the whole cluster, but for shared accounts, the page does.
#[tokio::test]
async fn the_role_for_a_team_on_the_page_has_what_the_roles_of_the_whole_cluster_have() {
    let sandbox = Sandbox::new("team").await;
    let yaml = blocks(&read("install.md"), "yaml").concat();
    let all = rendered("tradewind", "scope: Cluster").await;
    let aggregated =
        all.iter().filter(|o| o.pointer("/metadata/labels/rbac.authorization.k8s.io~1aggregate-to-admin").is_some());
    let mut expected = rights(aggregated);
    expected.retain(|right| right.resource != "clusterprovideraccounts");
    assert_eq!(rights(&objects(&yaml)), expected);

    // The questions are asked in the name of users.
    let here = yaml.replace("namespace: shop", &format!("namespace: {}", sandbox.namespace()));
    sandbox.apply(&here.replace("kind: Group", "kind: User")).await;
    for (user, may) in [("shop-team", true), ("another-team", false)] {
        for right in &expected {
            until_may(&sandbox, user, right, may).await;
        }
    }
}

/// How many operators are under way at the same time.
const AT_ONCE: usize = 4;
/// The same where each has a control plane of its own.
const CONTROL_PLANES_AT_ONCE: usize = 2;

#[tokio::test]
async fn without_any_one_right_it_says_so_and_runs_on_and_recovers() {
    let granted = Scope::Namespaced.rights().await;
    assert!(granted.len() > 20, "{granted:?}");
    let less = |right: Right| async move { goes_on_without(Scope::Namespaced, &right).await };
    stream::iter(granted).for_each_concurrent(AT_ONCE, less).await;
}

/// Those that only an operator of the whole cluster has. All others are those of the test above: the same program asks for them, of all
/// namespaces at once.
#[tokio::test]
async fn without_any_one_right_to_shared_accounts_it_says_so_and_runs_on_and_recovers() {
    let here = Scope::Namespaced.rights().await;
    let mut only = Scope::Cluster.rights().await;
    only.retain(|right| !here.contains(right));
    assert_eq!(only.len(), 7, "{only:?}");
    let less = |right: Right| async move { goes_on_without(Scope::Cluster, &right).await };
    stream::iter(only).for_each_concurrent(CONTROL_PLANES_AT_ONCE, less).await;
}

async fn goes_on_without(scope: Scope, right: &Right) {
    let name = format!("less-{}-{}", right.verb, right.resource.replace('/', "-"));
    let installed = Installed::new(&name, scope, true).await;
    installed.grant(Some(right)).await;
    let world = &installed.world;
    let mut program = installed.start();
    tokio::select! {
        () = names(&program, world, right) => {}
        // Mostly it cannot end without the right.
        () = part_of_the_story(scope, world) => tokio::time::timeout(HANG, names(&program, world, right))
            .await
            .unwrap_or_else(|late| panic!("nothing says that it may not {right}: {late}")),
    }
    // A leader that cannot renew its Lease has to go: once, and what takes its place waits.
    let lease = right.resource == "leases" && right.verb == "update";
    if lease {
        let ended = async {
            while program.ended().is_none() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        tokio::time::timeout(HANG, ended).await.expect("the end of a leader without a Lease");
        program = installed.start();
        tokio::time::timeout(HANG, names(&program, world, right)).await.expect("the same from the next one");
    }
    assert_eq!(program.ended(), None, "{right}: it ended: {}", program.log());

    installed.grant(None).await;
    works_again(scope, world).await;
    assert_eq!(program.ended(), None, "{right}: it ended: {}", program.log());
    program.terminate().await;
}

/// What needs every right that [`goes_on_without`] takes away in this scope.
async fn part_of_the_story(scope: Scope, world: &World) {
    match scope {
        Scope::Namespaced => story(world).await,
        Scope::Cluster => story_of_a_shared_account(world).await,
    }
}

async fn works_again(scope: Scope, world: &World) {
    match scope {
        Scope::Namespaced => {
            world.furnish().await;
            let store = store(&format!("{}-later", world.sandbox.namespace()));
            world.sandbox.apply(&connection("later", &store, "")).await;
            world.settled("later").await;
        }
        Scope::Cluster => {
            world.sandbox.apply(&shared_account(world)).await;
            let team = team(world, "later").await;
            team.label("rutter", Some("yes")).await;
            team.apply(&sharing("later", &store(team.namespace()), "")).await;
            until(&team, "later", "True", "Succeeded").await;
        }
    }
}

/// Done once a condition or a line of the log names the right.
async fn names(program: &Program, world: &World, right: &Right) {
    let (resource, verb) = (right.resource.as_str(), right.verb.as_str());
    let refusal = format!("cannot {verb} resource \"{resource}\"");
    let advice = |text: &str| {
        let asked = text.split("Grant it ").nth(1).and_then(|rest| rest.split(" on Secrets").next());
        resource == "secrets" && asked.is_some_and(|verbs| verbs.split([',', ' ']).any(|word| word == verb))
    };
    let told = || async {
        // A line of JSON has its quotation marks escaped.
        let log = program.log().replace("\\\"", "\"");
        if log.contains(&refusal) {
            return true;
        }
        let connection = world.sandbox.get::<Connection>("acme").await;
        let account = world.sandbox.get::<ProviderAccount>("rutter").await;
        let shared = shared_accounts(world).get_opt("rutter").await.expect("an answer of the API server");
        let observed =
            connection.iter().filter_map(|c| c.observed()).chain(account.iter().filter_map(|a| a.observed()));
        let observed = observed.chain(shared.iter().filter_map(|a| a.observed()));
        let mut conditions = observed.flat_map(|(conditions, _)| conditions);
        conditions.any(|condition| condition.message.contains(&refusal) || advice(&condition.message))
    };
    while !told().await {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
