//! What a team notices of another one whose objects fail, where both share an account: the time until its own are ready.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use kube::runtime::wait::await_condition;
use tokio::time::Instant;
use tradewind::api::v1alpha1::IntegrationInstance;
use tradewind_simulator::{Effect, Fault, Operation};

use crate::world::World;

/// Where the login of the shared account lives.
const PLATFORM: &str = "platform";
/// The team whose objects fail.
const MANY: &str = "many";
/// The team that is measured.
const FEW: &str = "few";
/// How long an object may take to become ready.
const HANG: Duration = Duration::from_mins(10);

/// The times until objects were ready, shortest first: alone, and beside those that fail.
pub(crate) struct Figures {
    failing: usize,
    refusals: usize,
    idle: Vec<Duration>,
    beside: Vec<Duration>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (n, failing, refusals) = (self.idle.len(), self.failing, self.refusals);
        writeln!(
            f,
            "{n} objects of one namespace at once, in an account that another namespace shares (s until ready)"
        )?;
        writeln!(f, "{:<44} {:>7} {:>7} {:>7}", "the other namespace", "median", "p95", "max")?;
        let beside = format!("has {failing} objects that fail");
        for (what, all) in [("has none", &self.idle), (beside.as_str(), &self.beside)] {
            let [median, p95, max] = [50, 95, 100].map(|percent| at(all, percent).as_secs_f64());
            writeln!(f, "{what:<44} {median:>7.2} {p95:>7.2} {max:>7.2}")?;
        }
        let ratio = at(&self.beside, 95).as_secs_f64() / at(&self.idle, 95).as_secs_f64();
        writeln!(
            f,
            "p95 beside / p95 alone = {ratio:.2}; {refusals} creates of the other namespace were refused meanwhile"
        )
    }
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// Measures `objects` alone, and again while `failing` others, which the provider refuses for now, are tried again and again.
pub(crate) async fn measure(objects: usize, failing: usize) -> Result<Figures> {
    let world = World::new().await?;
    let namespaces: Api<Namespace> = Api::all(world.client.clone());
    for name in [PLATFORM, MANY, FEW] {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        namespaces.create(&PostParams::default(), &Namespace { metadata, ..Namespace::default() }).await?;
    }
    world.apply(PLATFORM, &account(&world.origin)).await?;
    for team in [MANY, FEW] {
        world.apply(team, TOKEN).await?;
    }
    let locked = Effect::Refuse { status: 409, retry_after: None };
    world.simulator.push_fault(Fault::on(Operation::Create, locked).store(MANY).forever());
    let operator = world.operator(None)?;
    // The first object of an account also makes the account held: it is not counted.
    ready(&world, "warm").await?;

    let idle = batch(&world, "idle", objects).await?;
    let manifests = (0..failing).map(|n| instance(&format!("failing-{n}"), MANY));
    let apply = |manifest: String| async { world.apply(MANY, &{ manifest }).await };
    stream::iter(manifests).map(apply).buffer_unordered(16).try_collect::<()>().await?;
    let before = refused(&world);
    let beside = batch(&world, "beside", objects).await?;
    let refusals = refused(&world) - before;
    operator.end().await?;
    world.end();
    Ok(Figures { failing, refusals, idle, beside })
}

fn refused(world: &World) -> usize {
    world.simulator.journal().iter().filter(|e| e.operation == Operation::Create && e.status == Some(409)).count()
}

/// Applies so many objects at once; how long each of them took.
async fn batch(world: &World, name: &str, objects: usize) -> Result<Vec<Duration>> {
    let all = (0..objects).map(|n| async move { ready(world, &format!("{name}-{n}")).await });
    let mut took: Vec<Duration> = stream::iter(all).buffer_unordered(objects.max(1)).try_collect().await?;
    took.sort();
    Ok(took)
}

async fn ready(world: &World, name: &str) -> Result<Duration> {
    let begun = Instant::now();
    world.apply(FEW, &instance(name, &name.replace('-', ""))).await?;
    let is_ready = |object: Option<&IntegrationInstance>| {
        let conditions = object.and_then(|o| o.status.as_ref()).map(|status| status.conditions.as_slice());
        conditions.unwrap_or_default().iter().any(|c| c.type_ == "Ready" && c.status == "True")
    };
    let api = Api::namespaced(world.client.clone(), FEW);
    tokio::time::timeout(HANG, await_condition(api, name, is_ready))
        .await
        .with_context(|| format!("{name} waits"))??;
    Ok(begun.elapsed())
}

const TOKEN: &str = "apiVersion: v1
kind: Secret
metadata: {name: store-login}
stringData: {token: test-store-token}
";

fn account(origin: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: sku-api}}
stringData: {{token: 1|test-sku-io-token}}
---
apiVersion: tradewind.dev/v1alpha1
kind: ClusterProviderAccount
metadata: {{name: sku}}
spec:
  provider: SkuIo
  endpoint: {origin}
  skuIo: {{tenant: acme}}
  credentialsSecretRef: {{name: sku-api, namespace: {PLATFORM}}}
  allowedNamespaces: {{names: [{MANY}, {FEW}]}}
"
    )
}

fn instance(name: &str, store: &str) -> String {
    format!(
        "apiVersion: tradewind.dev/v1alpha1
kind: IntegrationInstance
metadata: {{name: {name}}}
spec:
  provider: SkuIo
  accountRef: {{kind: ClusterProviderAccount, name: sku}}
  platform: big-commerce
  name: {name}
  integrationId: 5
  accessTokenSecretRef: {{name: store-login, key: token}}
  settings:
    storeHash: {store}
    startDate: \"2026-01-01\"
    storeId: 1
    autoLinkProducts: true
    autoCreateProducts: false
"
    )
}
