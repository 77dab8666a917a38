//! `longhaul dead redrive` and `longhaul dead dismiss`.
//!
//! A dead task is redriven once, however often the command runs. `--all` redrives only the tasks
//! that were dead when the command began: one that fails again at once would otherwise be redriven
//! without end.

use super::dead_letters::{MAX_PAGE_LETTERS, query_from_args, rfc3339};
use crate::{
    args::{DismissDeadArgs, LOCAL_OWNER, RedriveDeadArgs},
    client::operator_client,
    exit::{CommandError, CommandResult, Completion},
    print,
    screen::clean,
    tasks::prompt,
};
use chrono::TimeDelta;
use longhaul_client::{ClientError, OperatorClient, operator_json::RedrivenTask};
use longhaul_runtime::{Clock, SystemClock};
use serde::Serialize;

/// Most tasks that one request redrives.
const MAX_BATCH_TASKS: u32 = 100;

/// A redriven task and its successor, as `--json` prints them.
#[derive(Debug, Serialize)]
struct PrintedRedrive {
    from: String,
    to: String,
    /// True if an earlier request redrove it.
    already: bool,
}

/// `longhaul dead redrive`.
pub async fn redrive(args: RedriveDeadArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    if args.all {
        return redrive_all(&operator, &args).await;
    }
    if args.filter.has_criteria() {
        return Err(CommandError::usage(
            "--agent, --because, --from, --before and --cause go with --all; tasks are named by their ids and --owner",
        ));
    }
    let owner = args.filter.owner.as_deref().unwrap_or(LOCAL_OWNER);
    let json = args.deployment.json;
    for_each_task(&args.tasks, "redriven", async |task| match operator.redrive(owner, task).await {
        Ok(answer) => {
            let (to, already) = (answer.value.task_id, answer.value.already);
            print_redrive(&PrintedRedrive { from: task.to_owned(), to, already }, json)?;
            Ok(None)
        }
        Err(error) => refusal(error),
    })
    .await
}

/// `longhaul dead dismiss`.
pub async fn dismiss(args: DismissDeadArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    for_each_task(&args.tasks, "dismissed", async |task| {
        match operator.dismiss(&args.owner, task).await {
            Ok(_) if args.deployment.json => {
                print::line(&serde_json::json!({"dismissed": task}).to_string())?;
                Ok(None)
            }
            Ok(_) => {
                print::line(&format!("task {} is dismissed", clean(task)))?;
                Ok(None)
            }
            Err(error) => refusal(error),
        }
    })
    .await
}

/// Returns the message of a refusal that concerns one task. Any other error ends the command: it
/// would meet every task.
fn refusal(error: ClientError) -> Result<Option<String>, CommandError> {
    match error {
        ClientError::Denied { status: 400 | 404 | 409, message, .. } => Ok(Some(message)),
        error => Err(error.into()),
    }
}

/// Runs a request for each task; reports on standard error those that were refused.
async fn for_each_task(
    tasks: &[String],
    done: &str,
    mut request: impl AsyncFnMut(&str) -> Result<Option<String>, CommandError>,
) -> CommandResult {
    let mut refused = 0;
    for task in tasks {
        if let Some(why) = request(task).await? {
            print::warning(&format!("task {}: {}", clean(task), clean(&why)));
            refused += 1;
        }
    }
    if refused == 0 {
        return Ok(Completion::Ok);
    }
    Err(CommandError::failed(format!(
        "{refused} of {} could not be {done}; `longhaul dead list` shows which there are, and whose (--owner)",
        tasks.len()
    )))
}

async fn redrive_all(operator: &OperatorClient, args: &RedriveDeadArgs) -> CommandResult {
    let mut query = query_from_args(&args.filter, SystemClock.now());
    query.limit = Some(MAX_PAGE_LETTERS);
    let page = operator.dead_letters(&query).await?.value;
    // The latest comes first.
    let Some(latest) = page.dead.first() else {
        if !args.deployment.json {
            print::line("no dead tasks")?;
        }
        return Ok(Completion::Ok);
    };
    // The limit is a time of the server's clock, so that tasks that die from now on are left alone.
    // Times of letters are cut to milliseconds, hence the one more.
    query.before = Some(rfc3339(latest.at + TimeDelta::milliseconds(1)));
    if !args.yes {
        let question = question(page.dead.len(), page.next.is_some(), args.limit);
        confirm(&question, prompt::is_possible()).await?;
    }
    let mut left = args.limit.unwrap_or(u32::MAX);
    while left > 0 {
        // Small batches: an interrupt loses the report of one batch at most.
        query.limit = Some(left.min(MAX_BATCH_TASKS));
        let batch = operator.redrive_matching(&query).await?.value;
        left = left.saturating_sub(u32::try_from(batch.redriven.len()).unwrap_or(u32::MAX));
        let is_empty = batch.redriven.is_empty();
        for RedrivenTask { from, to, already } in batch.redriven {
            print_redrive(&PrintedRedrive { from, to, already }, args.deployment.json)?;
        }
        if !batch.more {
            break;
        }
        // Without this, two operators with overlapping filters could loop for as long as both run.
        if is_empty {
            return Err(CommandError::failed(
                "somebody else is redriving them too; look again with `longhaul dead list`",
            ));
        }
    }
    Ok(Completion::Ok)
}

async fn confirm(question: &str, can_ask: bool) -> Result<(), CommandError> {
    if !can_ask {
        return Err(CommandError::usage("nobody can be asked here; say --yes to redrive them"));
    }
    if prompt::confirm(question).await? {
        return Ok(());
    }
    Err(CommandError::failed("nothing was redriven"))
}

fn question(found: usize, more: bool, limit: Option<u32>) -> String {
    match limit.map(|limit| limit as usize) {
        Some(limit) if limit < found => format!("Redrive {limit} dead tasks?"),
        _ if more => format!("Redrive more than {found} dead tasks?"),
        _ if found == 1 => "Redrive 1 dead task?".to_owned(),
        _ => format!("Redrive {found} dead tasks?"),
    }
}

fn print_redrive(redrive: &PrintedRedrive, json: bool) -> Result<(), CommandError> {
    if json {
        let text = serde_json::to_string(redrive);
        return print::line(&text.unwrap_or_default());
    }
    print::line(&describe(redrive))
}

fn describe(redrive: &PrintedRedrive) -> String {
    let before = if redrive.already { "  (before)" } else { "" };
    format!("{} → {}{before}", clean(&redrive.from), clean(&redrive.to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use longhaul_client::ApiKind;

    #[test]
    fn the_question_says_how_many() {
        assert_eq!(question(1, false, None), "Redrive 1 dead task?");
        assert_eq!(question(7, false, Some(9)), "Redrive 7 dead tasks?");
        assert_eq!(question(7, false, Some(2)), "Redrive 2 dead tasks?");
        assert_eq!(question(500, true, None), "Redrive more than 500 dead tasks?");
    }

    #[tokio::test]
    async fn tasks_are_not_redriven_by_filter_without_consent() {
        let refused = confirm("Redrive 1 dead task?", false).await.unwrap_err();
        assert!(refused.code() == 2 && refused.to_string().contains("--yes"), "{refused}");
    }

    #[test]
    fn an_earlier_redrive_is_marked() {
        let redrive =
            |already| PrintedRedrive { from: "a".to_owned(), to: "b".to_owned(), already };
        assert_eq!(describe(&redrive(false)), "a → b");
        assert_eq!(describe(&redrive(true)), "a → b  (before)");
    }

    #[tokio::test]
    async fn a_refused_task_does_not_hold_up_the_others() {
        let tasks = ["a", "b", "c"].map(str::to_owned);
        let mut requested = Vec::new();
        let outcome = for_each_task(&tasks, "redriven", async |task| {
            requested.push(task.to_owned());
            Ok((task == "b").then(|| "not dead".to_owned()))
        });
        let failure = outcome.await.unwrap_err();
        assert!(failure.to_string().starts_with("1 of 3 could not be redriven"), "{failure}");
        assert_eq!(requested, tasks);
    }

    #[tokio::test]
    async fn an_unavailable_server_ends_the_command() {
        let tasks = ["a", "b"].map(str::to_owned);
        let mut requests = 0;
        let outcome = for_each_task(&tasks, "redriven", async |_| {
            requests += 1;
            let (url, api) = ("http://a".to_owned(), ApiKind::Operator);
            refusal(ClientError::Http { url, status: 503, api })
        });
        assert!(outcome.await.is_err());
        assert_eq!(requests, 1);
    }
}
