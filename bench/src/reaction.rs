//! How long it takes an idle operator to make its first call to the provider for a new object.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use jiff::Timestamp;
use kube::{Api, Client};
use tradewind::api::v1alpha1::Connection;
use tradewind_simulator::Operation;

use crate::world::{HANG, World};

/// Where the objects live.
const NAMESPACE: &str = "default";

/// The delays of all objects, shortest first.
pub(crate) struct Figures {
    first_call: Vec<Duration>,
    create: Vec<Duration>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "reaction of an idle operator to {} new objects, one at a time (ms)", self.first_call.len())?;
        writeln!(f, "{:<44} {:>7} {:>7} {:>7}", "from the creation of the object to", "min", "median", "max")?;
        for (what, all) in
            [("the first call to the provider", &self.first_call), ("the create at the provider", &self.create)]
        {
            let at = |index: usize| all.get(index).map_or(0.0, |d| d.as_secs_f64() * 1000.0);
            let last = all.len().saturating_sub(1);
            writeln!(f, "{what:<44} {:>7.1} {:>7.1} {:>7.1}", at(0), at(last / 2), at(last))?;
        }
        Ok(())
    }
}

/// Creates so many objects, each when the one before it is done.
pub(crate) async fn measure(objects: usize) -> Result<Figures> {
    let world = World::new().await?;
    world.apply(NAMESPACE, &account(&world.origin)).await?;
    let operator = world.operator(Some(NAMESPACE))?;
    // The first object of an account also makes the account held: it is not counted.
    world.apply(NAMESPACE, &connection("warm")).await?;
    until_recorded(&world.client, "warm").await?;

    let mut figures = Figures { first_call: vec![], create: vec![] };
    for n in 0..objects {
        let calls = world.simulator.journal().len();
        let begun = Timestamp::now();
        world.apply(NAMESPACE, &connection(&format!("c{n}"))).await?;
        until_recorded(&world.client, &format!("c{n}")).await?;
        let journal = world.simulator.journal().split_off(calls);
        let since = |wanted: fn(Operation) -> bool| {
            let entry = journal.iter().find(|e| wanted(e.operation) && e.started_at >= begun)?;
            Duration::try_from(entry.started_at.duration_since(begun)).ok()
        };
        figures.first_call.push(since(|_| true).context("a call")?);
        figures.create.push(since(|o| o == Operation::Create).context("a create")?);
    }
    figures.first_call.sort();
    figures.create.sort();
    operator.end().await?;
    world.end();
    Ok(figures)
}

async fn until_recorded(client: &Client, name: &str) -> Result<()> {
    let api: Api<Connection> = Api::namespaced(client.clone(), NAMESPACE);
    let recorded = kube::runtime::wait::await_condition(api.clone(), name, |c: Option<&Connection>| {
        c.and_then(|c| c.status.as_ref()).is_some_and(|s| s.external_id.is_some())
    });
    match tokio::time::timeout(HANG, recorded).await {
        Ok(object) => ensure!(object?.is_some(), "{name} vanished"),
        Err(_) => bail!("{name} was not made in time: {}", serde_json::to_string_pretty(&api.get(name).await?.status)?),
    }
    Ok(())
}

fn account(origin: &str) -> String {
    format!(
        "apiVersion: v1
kind: Secret
metadata: {{name: rutter-api}}
stringData: {{client_id: test-client-id, client_secret: test-client-secret}}
---
apiVersion: v1
kind: Secret
metadata: {{name: store-login}}
stringData: {{oauth_access_token: test-store-token}}
---
apiVersion: tradewind.dev/v1alpha1
kind: ProviderAccount
metadata: {{name: rutter}}
spec:
  provider: Rutter
  endpoint: {origin}/versioned
  credentialsSecretRef: {{name: rutter-api}}
"
    )
}

fn connection(name: &str) -> String {
    format!(
        "apiVersion: tradewind.dev/v1alpha1
kind: Connection
metadata: {{name: {name}}}
spec:
  provider: Rutter
  accountRef: {{name: rutter}}
  platform: BIG_COMMERCE
  rutter:
    credentialsSecretRef: {{name: store-login}}
    parameters: {{store_url: store-{name}.mybigcommerce.com}}
"
    )
}
