//! What a team notices of another one whose objects fail, where both share an account: the time until its own are ready.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail};
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
/// So many objects come one after another: enough for a 95th percentile.
const SINGLE: usize = 60;
/// How long an object may take to become ready.
const HANG: Duration = Duration::from_mins(10);

/// Beside those that fail, 95 of 100 objects are ready within this many times what 95 of 100 take without them.
const LIMIT: f64 = 2.0;

/// The times until objects were ready, shortest first: alone, and beside those that fail.
struct Times {
    how: &'static str,
    idle: Vec<Duration>,
    beside: Vec<Duration>,
    /// So many creates of the failing ones were refused while these were measured beside them.
    refusals: usize,
}

impl Times {
    fn ratio(&self) -> f64 {
        at(&self.beside, 95).as_secs_f64() / at(&self.idle, 95).as_secs_f64()
    }
}

/// What was measured: objects that come one after another, and objects that come at once, which wait for each other too.
pub(crate) struct Figures {
    failing: usize,
    all: [Times; 2],
}

impl Figures {
    /// That nobody waits too long.
    ///
    /// # Errors
    /// The figures, where somebody does.
    fn check(&self) -> Result<()> {
        if let Some(Times { how, .. }) = self.all.iter().find(|times| times.refusals == 0) {
            bail!("{self}nothing was refused while objects came {how}: nobody was in their way");
        }
        match self.all.iter().find(|times| times.ratio() > LIMIT) {
            Some(Times { how, .. }) => bail!("{self}objects {how} wait more than {LIMIT} times as long"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for times in &self.all {
            let Times { how, idle, beside, refusals } = times;
            let n = idle.len();
            writeln!(
                f,
                "{n} objects of one namespace {how}, in an account that another namespace shares (s until ready)"
            )?;
            writeln!(f, "{:<44} {:>7} {:>7} {:>7}", "the other namespace", "median", "p95", "max")?;
            let failing = format!("has {} objects that fail", self.failing);
            for (what, all) in [("has none", idle), (failing.as_str(), beside)] {
                let [median, p95, max] = [50, 95, 100].map(|percent| at(all, percent).as_secs_f64());
                writeln!(f, "{what:<44} {median:>7.2} {p95:>7.2} {max:>7.2}")?;
            }
            writeln!(
                f,
                "p95 beside / p95 alone = {:.2}; {refusals} creates of the other namespace were refused meanwhile",
                times.ratio()
            )?;
        }
        Ok(())
    }
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// Measures `objects` at once, and [`SINGLE`] one after another, alone, and again while `failing` others, which the provider
/// refuses for now, are tried again and again.
///
/// # Errors
/// Where nothing could be measured; with `--check` on the command line also where somebody waits too long.
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

    let idle_row = row(&world, "idle-row", SINGLE).await?;
    let idle_batch = batch(&world, "idle", objects).await?;
    let manifests = (0..failing).map(|n| instance(&format!("failing-{n}"), MANY));
    let apply = |manifest: String| async { world.apply(MANY, &{ manifest }).await };
    stream::iter(manifests).map(apply).buffer_unordered(16).try_collect::<()>().await?;
    // Those that fail are tried less often as time goes by: what counts most comes first.
    let begun = refused(&world);
    let beside = row(&world, "beside-row", SINGLE).await?;
    let between = refused(&world);
    let singly = Times { how: "one after another", idle: idle_row, beside, refusals: between - begun };
    let beside = batch(&world, "beside", objects).await?;
    let at_once = Times { how: "at once", idle: idle_batch, beside, refusals: refused(&world) - between };
    operator.end().await?;
    world.end();
    let figures = Figures { failing, all: [singly, at_once] };
    if std::env::args().any(|arg| arg == "--check") {
        figures.check()?;
    }
    Ok(figures)
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

/// Applies so many objects, each when the one before it is ready; how long each of them took.
async fn row(world: &World, name: &str, objects: usize) -> Result<Vec<Duration>> {
    let mut took = vec![];
    for n in 0..objects {
        took.push(ready(world, &format!("{name}-{n}")).await?);
    }
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
