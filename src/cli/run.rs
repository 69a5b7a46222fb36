//! `tradewind run`: the operator as a process: signals, probes, and the end of both.
//!
//! The process never outlives its engine, which is what makes `/livez` true.

use super::{Exit, cluster::ClusterArgs, proxy, refusal::BadInput};
use crate::{
    engine::{self, Reach, Stop},
    serve::{self, Readiness},
    settings::RunArgs,
    telemetry::{self, Metrics},
};
use anyhow::{Context, anyhow};
use futures::FutureExt;
use std::{future::Future, io, pin::pin, time::Duration};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};

/// Requests for probes and metrics may take this long to end once the engine has ended.
const FAREWELL: Duration = Duration::from_secs(2);

/// Run the operator until SIGTERM or SIGINT; a second signal ends it at once
#[derive(clap::Args, Debug)]
pub(super) struct Run {
    #[command(flatten)]
    args: RunArgs,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl Run {
    pub(super) async fn run(self) -> anyhow::Result<Exit> {
        let invalid = |error: String| anyhow!(BadInput::new(error));
        telemetry::init_logs(&self.args.log, self.args.log_format).map_err(|e| invalid(format!("--log: {e}")))?;
        let settings = self.args.settings().map_err(|e| invalid(e.to_string()))?;
        // HTTPS_PROXY is for the providers: only a kubeconfig can put a proxy before the API server.
        let config = self.cluster.config(&proxy::Environment::default()).await?;
        let busy = || format!("cannot listen on {}. Choose another address with --listen", settings.listen);
        let listener = TcpListener::bind(settings.listen).await.with_context(busy)?;
        // Before anybody is told that it runs: a signal that nobody listens for ends a process in the middle of anything.
        let heard = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
        let (version, listen) = (env!("CARGO_PKG_VERSION"), listener.local_addr()?);
        tracing::info!(%listen, version, server = config.cluster_url.host(), "tradewind starts");

        let reach = Reach::real(config)?;
        let (metrics, readiness) = (Metrics::new(), Readiness::default());
        // Before anybody can ask: without a gate there would be nothing to be named.
        let watches = readiness.gate("watches");
        let (ask, asked) = oneshot::channel();
        let (over, ended) = oneshot::channel();
        let stop: Stop = asked.map(|_| ()).boxed().shared();
        let probes = serve::serve(listener, metrics.clone(), readiness, ended.map(|_| ()));
        let engine = async {
            let result = Box::pin(engine::run(reach, settings, metrics, watches, stop)).await;
            // The probes answer until the last call is recorded.
            drop::<oneshot::Sender<()>>(over);
            result.context("the operator had to end")
        };
        tokio::select! {
            result = together(engine, probes) => result?,
            result = signals(heard, ask) => result?,
        }
        tracing::info!("tradewind has ended");
        Ok(Exit::Done)
    }
}

/// Until both have ended; neither is left alone when the other one fails.
async fn together(
    engine: impl Future<Output = anyhow::Result<()>>,
    probes: impl Future<Output = io::Result<()>>,
) -> anyhow::Result<()> {
    let mut probes = pin!(probes);
    tokio::select! {
        result = engine => result?,
        result = &mut probes => {
            result.context("the server of /livez, /readyz and /metrics failed")?;
            anyhow::bail!("the server of /livez, /readyz and /metrics ended before the operator");
        }
    }
    // A client that never ends its request is not waited for.
    let _ = tokio::time::timeout(FAREWELL, probes).await;
    Ok(())
}

/// The first signal asks the engine to stop; the second one does not wait for it.
async fn signals([mut terminate, mut interrupt]: [Signal; 2], ask: oneshot::Sender<()>) -> anyhow::Result<()> {
    let mut next = async || tokio::select! { _ = terminate.recv() => "SIGTERM", _ = interrupt.recv() => "SIGINT" };
    let first = next().await;
    tracing::info!(
        signal = first,
        "stopping: calls under way come to their end; a second signal does not wait for them"
    );
    // The engine may have ended by itself.
    let _ = ask.send(());
    let second = next().await;
    Err(anyhow!("ended at once by a second signal ({second}): a call under way is looked up by the next process"))
}
