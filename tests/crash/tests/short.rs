//! The short form of `make crash`, so that every `make test` kills the operator a hundred times.

use std::path::{Path, PathBuf};

use tradewind_crash::run::Plan;

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures, with `--nocapture`")]
async fn killed_at_every_write_it_makes_each_record_once_and_a_naive_controller_does_not() {
    rustls::crypto::ring::default_provider().install_default().expect("no other TLS provider");
    let plan = Plan {
        operator: PathBuf::from(env!("CARGO_BIN_EXE_crash-operator")),
        naive: PathBuf::from(env!("CARGO_BIN_EXE_crash-naive")),
        dir: Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash"),
        lanes: 24,
        seed: uuid::Uuid::new_v4().as_u64_pair().0 % 1_000_000,
        short: true,
    };
    let report = plan.run(|line| println!("{line}")).await.expect("a run");
    assert!(report.failures.is_empty(), "{report}");
}
