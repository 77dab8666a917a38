//! One campaign: start the stack, run load and faults, heal, wait until idle, collect records,
//! check.

use crate::{
    check::{Promise, check},
    client::{ApiNodes, ClientNotes, ClientPool},
    collect::RecordCollector,
    inject::{InjectedFault, inject_all},
    journal,
    options::CampaignOptions,
    plan::{PlannedFault, plan},
    process_slot::journals,
    records::{ClientView, TaskRecord},
    report::{self, Report},
    stack::{ChaosStack, ChaosStackOptions},
};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tempfile::TempDir;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

/// Tasks with violations whose log the report shows.
const MAX_EXCERPTS: usize = 10;

/// Runs a campaign.
///
/// # Panics
///
/// When the stack does not start or a journal cannot be read: there is nothing to check then.
pub async fn run(options: &CampaignOptions) -> Report {
    let temporary = TempDir::with_prefix("longhaul-chaos-").expect("a temporary folder");
    let folder = options.keep.as_deref().unwrap_or(temporary.path());
    // A new folder each time: journals of an earlier campaign would be taken for this one's.
    let folder = folder.join(format!("seed-{}-{}", options.plan.seed, journal::now()));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let faults = plan(&options.plan);
    report::print_plan(options, &faults);
    let stack =
        Arc::new(ChaosStack::start(&folder, ChaosStackOptions { lease: options.plan.lease }).await);
    let api = ApiNodes::new(stack.apis.iter().map(|slot| slot.base()).collect());

    let clients = ClientPool::new(&api, options);
    let injected = run_load_and_faults(&stack, clients.clone(), faults, options).await;
    let deadline = Instant::now() + options.quiesce;
    let supervisor = spawn_supervisor(&stack);
    let notes = clients.finish(deadline).await;
    let idle = wait_until_idle(&stack, deadline).await;
    drop(supervisor);

    let mut report = Report::new(options.plan.seed, injected);
    if let Err(left) = idle {
        report
            .violation(Promise::Ended, format!("not at rest after {:?}: {left}", options.quiesce));
    }
    let journal_entries = journal::read(&journals(&folder)).expect("the journals can be read");
    let views = client_views(notes, &mut report);
    check_tasks(RecordCollector::new(&stack, api, views, journal_entries), &mut report).await;
    for slot in stack.slots() {
        for wrong in slot.close().await {
            report.violation(Promise::NoPanic, wrong);
        }
    }
    report
}

/// The views of the clients, by task.
fn client_views(notes: Vec<ClientNotes>, report: &mut Report) -> HashMap<String, ClientView> {
    report.figures.retries_of_clients = notes.iter().map(|notes| notes.retries).sum();
    let unanswered =
        notes.iter().filter(|notes| notes.task.is_none() && !notes.client_view.done).count();
    if unanswered > 0 {
        report.violation(Promise::Answers, format!("{unanswered} clients never got an answer"));
    }
    notes.into_iter().filter_map(|notes| Some((notes.task?, notes.client_view))).collect()
}

/// Checks and counts every task.
async fn check_tasks(mut collector: RecordCollector<'_>, report: &mut Report) {
    loop {
        let batch = match collector.next().await {
            Ok(batch) => batch,
            Err(error) => {
                let what = format!("the database cannot be read: {error}");
                return report.violation(Promise::NotLost, what);
            }
        };
        if batch.is_empty() {
            return;
        }
        for record in &batch {
            report.figures.add(record, &report.struck);
            check_task(record, report);
        }
    }
}

fn check_task(record: &TaskRecord, report: &mut Report) {
    let violations = check(record);
    if !violations.is_empty() && report.excerpts.len() < MAX_EXCERPTS {
        report.excerpts.push(report::excerpt(record));
    }
    report.violations.extend(violations);
}

/// Runs load and faults concurrently; returns when both are over and the network is healed.
async fn run_load_and_faults(
    stack: &Arc<ChaosStack>,
    clients: ClientPool,
    faults: Vec<PlannedFault>,
    options: &CampaignOptions,
) -> Vec<InjectedFault> {
    let started = Instant::now();
    let supervisor = spawn_supervisor(stack);
    let injections = inject_all(stack, faults, started);
    let load = async {
        sleep(options.plan.duration).await;
        clients.stop_starting();
    };
    let (injected, ()) = tokio::join!(injections, load);
    for slot in stack.slots() {
        slot.to_postgres.heal();
        slot.to_broker.heal();
    }
    drop(supervisor);
    injected
}

/// Spawns a supervisor that restarts dead processes until it is dropped.
fn spawn_supervisor(stack: &Arc<ChaosStack>) -> JoinSet<()> {
    let mut supervisor = JoinSet::new();
    let stack = Arc::clone(stack);
    supervisor.spawn(async move {
        loop {
            for slot in stack.slots() {
                slot.restart_if_dead();
            }
            sleep(Duration::from_millis(200)).await;
        }
    });
    supervisor
}

/// Waits until no task is queued or running.
async fn wait_until_idle(stack: &ChaosStack, deadline: Instant) -> Result<(), String> {
    const COUNT_OPEN_TASKS: &str = "select count(*) from task_state where state in (1, 2)";
    loop {
        let open = stack.sql(COUNT_OPEN_TASKS);
        if open.as_deref() == Ok("0") {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(format!("{} tasks are open", open.unwrap_or_else(|error| error)));
        }
        sleep(Duration::from_millis(200)).await;
    }
}
