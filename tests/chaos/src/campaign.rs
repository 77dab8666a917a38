//! One run from beginning to end: start, load and faults, heal, wait, collect, check.

use crate::{
    check::{Rule, Violation, check},
    client::{Api, Clients, Notes},
    collect::Collector,
    journal,
    place::journals,
    plan::{Fault, Rules, plan},
    records::{TaskRecord, Told},
    report::{self, Report},
    stack::{Setup, Stack},
    strike::strike_all,
};
use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// Tasks whose log is shown when something is wrong with them.
const EXCERPTS: usize = 10;

/// What to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Decides faults and orders, how long there is load and trouble, and what kind of trouble.
    pub rules: Rules,
    /// No more tasks than this.
    pub tasks: u64,
    /// Clients at once.
    pub clients: u64,
    /// How long everything may take to end once all faults are over.
    pub quiesce: Duration,
    /// Keeps logs and journals in a new folder within this one instead of removing them.
    pub keep: Option<PathBuf>,
}

/// Runs, and tells what came of it.
///
/// # Panics
///
/// When the stack does not start, or a journal cannot be read: then nothing can be said.
pub async fn run(options: &Options) -> Report {
    let temporary = TempDir::with_prefix("longhaul-chaos-").expect("a temporary folder");
    let folder = options.keep.as_deref().unwrap_or(temporary.path());
    // Never that of an earlier run, whose journals would be taken for this one's.
    let folder = folder.join(format!("seed-{}-{}", options.rules.seed, journal::now()));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let faults = plan(&options.rules);
    report::print_plan(options, &faults);
    let stack = Arc::new(Stack::start(&folder, Setup { lease: options.rules.lease }).await);
    let api = Api::new(stack.apis.iter().map(|place| place.base()).collect());

    let clients = Clients::new(&api, options);
    let struck = trouble(&stack, clients.clone(), faults, options).await;
    let over = Instant::now() + options.quiesce;
    let keeper = keep(&stack);
    let notes = clients.finish(over).await;
    let settled = settle(&stack, over).await;
    drop(keeper);

    let mut report = Report::new(options.rules.seed, struck);
    if let Err(left) = settled {
        report.violation(Rule::Ended, format!("not at rest after {:?}: {left}", options.quiesce));
    }
    let signs = journal::read(&journals(&folder)).expect("the journals can be read");
    let told = told(notes, &mut report);
    examine(Collector::new(&stack, api, told, signs), &mut report).await;
    for place in stack.places() {
        for wrong in place.close().await {
            report.violation(Rule::NoPanic, wrong);
        }
    }
    report
}

/// What clients were told, by task.
fn told(notes: Vec<Notes>, report: &mut Report) -> HashMap<String, Told> {
    report.figures.retries_of_clients = notes.iter().map(|notes| notes.troubles).sum();
    let unanswered = notes.iter().filter(|notes| notes.task.is_none() && !notes.told.done).count();
    if unanswered > 0 {
        report.violation(Rule::Answers, format!("{unanswered} clients never got an answer"));
    }
    notes.into_iter().filter_map(|notes| Some((notes.task?, notes.told))).collect()
}

/// Checks and counts every task.
async fn examine(mut collector: Collector<'_>, report: &mut Report) {
    loop {
        let batch = match collector.next().await {
            Ok(batch) => batch,
            Err(error) => {
                let what = format!("the database cannot be read: {error}");
                return report.violation(Rule::NotLost, what);
            }
        };
        if batch.is_empty() {
            return;
        }
        for record in &batch {
            report.figures.add(record, &report.struck);
            judge(record, report);
        }
    }
}

fn judge(record: &TaskRecord, report: &mut Report) {
    let violations = check(record);
    if !violations.is_empty() && report.excerpts.len() < EXCERPTS {
        report.excerpts.push(report::excerpt(record));
    }
    report.violations.extend::<Vec<Violation>>(violations);
}

/// Load and faults side by side; returns when both are over and all is healed.
async fn trouble(
    stack: &Arc<Stack>,
    clients: Clients,
    faults: Vec<Fault>,
    options: &Options,
) -> Vec<crate::strike::Struck> {
    let begun = Instant::now();
    let keeper = keep(stack);
    let strikes = strike_all(stack, faults, begun);
    let load = async {
        sleep(options.rules.duration).await;
        clients.enough();
    };
    let (struck, ()) = tokio::join!(strikes, load);
    for place in stack.places() {
        place.to_postgres.heal();
        place.to_broker.heal();
    }
    drop(keeper);
    struck
}

/// Restarts processes that end by themselves, until it is dropped.
fn keep(stack: &Arc<Stack>) -> JoinSet<()> {
    let mut keeper = JoinSet::new();
    let stack = Arc::clone(stack);
    keeper.spawn(async move {
        loop {
            for place in stack.places() {
                place.look_after();
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    keeper
}

/// Waits until no task is queued or running; says what still is when the time is over.
async fn settle(stack: &Stack, over: Instant) -> Result<(), String> {
    const OPEN: &str = "select count(*) from task_state where state in (1, 2)";
    loop {
        let open = stack.sql(OPEN);
        if open.as_deref() == Ok("0") {
            return Ok(());
        }
        if Instant::now() > over {
            return Err(format!("{} tasks are open", open.unwrap_or_else(|error| error)));
        }
        sleep(Duration::from_millis(200)).await;
    }
}
