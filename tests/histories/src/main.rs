//! `tradewind-histories`: lives histories and prints what came of them. Exit code 1 where one went wrong.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use strum::IntoEnumIterator;
use tradewind_histories::{Event, Pairs, Plan, Report, Scenario, Share, all, describe, explore, pairs, tell};

#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Live every history with one event, and samples of those with more
#[derive(Parser, Debug)]
struct Args {
    /// Only scenarios whose name contains this, such as `Rutter/Plain`
    #[arg(long)]
    only: Option<String>,
    /// Only these events, by name; repeatable
    #[arg(long)]
    event: Vec<String>,
    /// About so many drawn histories with more than one event
    #[arg(long, default_value_t = 0)]
    sample: usize,
    /// Events in each of them
    #[arg(long, default_value_t = 2)]
    depth: usize,
    /// What is drawn
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Leave the histories with one event out
    #[arg(long)]
    no_singles: bool,
    /// Every history with two events: anywhere, or before the object comes to rest for the first time
    #[arg(long)]
    pairs: Option<Where>,
    /// Only a part of those: K/N is the Kth of N that together are all
    #[arg(long, default_value_t = Share::WHOLE)]
    share: Share,
    /// Histories at the same time
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Fail where it takes longer than so many seconds
    #[arg(long, value_name = "SECONDS")]
    within: Option<u64>,
    /// Tell one history: point and event, such as `17=CrashAfter`; repeatable
    #[arg(long)]
    at: Vec<String>,
    /// Print what the operator logs
    #[arg(long)]
    log: bool,
}

/// So many histories there are at least with one event, whatever is drawn beside them: where there are fewer, something that
/// can happen is not where it should be.
const LEAST: usize = 50_000;

/// Where two events happen
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// While the record is made
    Early,
    /// In the whole life
    Anywhere,
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    if args.log {
        tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::DEBUG).without_time().init();
    }
    let scenarios: Vec<Scenario> =
        all().into_iter().filter(|s| args.only.as_ref().is_none_or(|only| s.to_string().contains(only))).collect();
    let named = |name: &String| {
        let all: Vec<Event> = Event::iter().collect();
        let event = all.iter().find(|event| format!("{event:?}") == *name).copied();
        event.ok_or_else(|| anyhow::anyhow!("there is no event {name}. There are {all:?}"))
    };
    if args.log || !args.at.is_empty() {
        let at = |text: &String| {
            let (at, event) = text.split_once('=').ok_or_else(|| anyhow::anyhow!("write POINT=EVENT, not {text}"))?;
            Ok((at.parse()?, named(&event.to_owned())?))
        };
        let script = args.at.iter().map(at).collect::<anyhow::Result<Vec<(usize, Event)>>>()?;
        return Ok(one(&scenarios, &script));
    }
    let events: Vec<Event> = match args.event.as_slice() {
        [] => Event::iter().collect(),
        some => some.iter().map(named).collect::<anyhow::Result<_>>()?,
    };
    let (mut good, start) = (true, Instant::now());
    let (singles, draws) = (!args.no_singles, args.sample);
    if singles || draws > 0 {
        let (begun, (depth, seed, threads)) = (Instant::now(), (args.depth, args.seed, args.threads));
        let plan = Plan { scenarios: scenarios.clone(), events: events.clone(), singles, draws, depth, seed, threads };
        let report = explore(&plan);
        if singles && args.only.is_none() && args.event.is_empty() {
            good &= all_told(&report.untold(&scenarios, &events)) & are_enough(report.histories);
        }
        good &= print(&format!("drawn with seed {seed}: {}", report.drawn), &report, &scenarios, begun);
    }
    if let Some(place) = args.pairs {
        let (begun, anywhere) = (Instant::now(), place == Where::Anywhere);
        let plan = Pairs { scenarios: scenarios.clone(), events, anywhere, share: args.share, threads: args.threads };
        let what = if anywhere { "two events anywhere" } else { "two events while a record is made" };
        good &= print(&format!("{what}, share {}", args.share), &pairs(&plan), &scenarios, begun);
    }
    good &= is_in_time(start, args.within);
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[expect(clippy::print_stdout, reason = "what it is for")]
fn print(what: &str, report: &Report, scenarios: &[Scenario], begun: Instant) -> bool {
    for (blame, found) in &report.found {
        println!("BAD  {blame}\n     {}", found.story);
    }
    println!(
        "histories={} scenarios={} points={} bad={} ({what}) in {:.0?}",
        report.histories,
        scenarios.len(),
        report.points,
        report.bad,
        begun.elapsed()
    );
    report.bad == 0
}

/// Whether everything that can happen did, at every provider.
#[expect(clippy::print_stdout, reason = "what it is for")]
fn all_told(untold: &[String]) -> bool {
    for what in untold {
        println!("BAD  never lived: {what}");
    }
    untold.is_empty()
}

#[expect(clippy::print_stdout, reason = "what it is for")]
fn are_enough(histories: usize) -> bool {
    if histories < LEAST {
        println!("BAD  only {histories} histories, and not {LEAST}");
    }
    histories >= LEAST
}

/// Whether it is over in time, where somebody has said how much there is.
#[expect(clippy::print_stdout, reason = "what it is for")]
fn is_in_time(start: Instant, within: Option<u64>) -> bool {
    let took = start.elapsed();
    let late = within.filter(|seconds| took > Duration::from_secs(*seconds));
    if let Some(seconds) = late {
        println!("BAD  it took {took:.0?}, and not {seconds}s at most");
    }
    late.is_none()
}

#[expect(clippy::print_stdout, reason = "what it is for")]
fn one(scenarios: &[Scenario], script: &[(usize, Event)]) -> ExitCode {
    let mut good = true;
    for scenario in scenarios {
        let outcome = tell(*scenario, script);
        for (number, site) in outcome.points.iter().enumerate() {
            println!("{number:4} {site}");
        }
        println!(
            "{}{}",
            describe(*scenario, script, &outcome.points),
            if outcome.void { " (changed nothing)" } else { "" }
        );
        for blame in &outcome.blames {
            println!("BAD  {blame}");
        }
        good &= outcome.blames.is_empty();
    }
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
