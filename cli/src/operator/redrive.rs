//! `longhaul dead redrive` and `longhaul dead dismiss`.
//!
//! A dead task is redriven once, however often it is asked for. With `--all`, only what was dead when the command began is
//! redriven: a task that fails again at once would otherwise be begun again without end.

use super::dead::{PAGE, Wanted, moment};
use super::letter::Page;
use crate::{
    args::{DismissDead, LOCAL_OWNER, RedriveDead},
    client::{ClientError, Operator, read},
    exit::{Done, Failure, Outcome},
    print,
    screen::clean,
    tasks::ask,
};
use chrono::TimeDelta;
use longhaul_runtime::{Clock, SystemClock};
use serde::{Deserialize, Serialize};

/// How many are redriven by one request.
const BATCH: u32 = 100;

/// What was redriven, and as which task.
#[derive(Debug, Serialize, Deserialize)]
struct Pair {
    from: String,
    to: String,
    /// Whether it had been redriven before.
    #[serde(default)]
    already: bool,
}

/// The answer for one.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    task_id: String,
    #[serde(default)]
    already: bool,
}

/// The answer for many.
#[derive(Debug, Deserialize)]
struct Many {
    redriven: Vec<Pair>,
    #[serde(default)]
    more: bool,
}

/// `longhaul dead redrive`.
pub async fn redrive(args: RedriveDead) -> Outcome {
    let operator = Operator::new(&args.deployment)?;
    if args.all {
        return redrive_all(&operator, &args).await;
    }
    if args.filter.selects() {
        return Err(Failure::usage(
            "--agent, --because, --from, --before and --cause go with --all; tasks are named by their ids and --owner",
        ));
    }
    let owner = args.filter.owner.as_deref().unwrap_or(LOCAL_OWNER);
    let json = args.deployment.json;
    each(&args.tasks, "redriven", async |task| {
        match operator.try_post(&["dead", owner, task, "redrive"]).await? {
            Ok(raw) => {
                let One { task_id, already } = read(&raw)?;
                show(&Pair { from: task.to_owned(), to: task_id, already }, json)?;
                Ok(None)
            }
            Err(refused) => refusal(refused),
        }
    })
    .await
}

/// `longhaul dead dismiss`.
pub async fn dismiss(args: DismissDead) -> Outcome {
    let operator = Operator::new(&args.deployment)?;
    each(&args.tasks, "dismissed", async |task| {
        match operator.try_post(&["dead", &args.owner, task, "dismiss"]).await? {
            Ok(_) if args.deployment.json => {
                print::line(&serde_json::json!({"dismissed": task}).to_string())?;
                Ok(None)
            }
            Ok(_) => {
                print::line(&format!("task {} is dismissed", clean(task)))?;
                Ok(None)
            }
            Err(refused) => refusal(refused),
        }
    })
    .await
}

/// What the server refuses about one task does not keep the others from being dealt with; everything else does.
fn refusal(error: ClientError) -> Result<Option<String>, Failure> {
    match error {
        ClientError::Denied { status: 400 | 404 | 409, message, .. } => Ok(Some(message)),
        error => Err(error.into()),
    }
}

/// Deals with each task; says on standard error which were refused.
async fn each(
    tasks: &[String],
    done: &str,
    mut deal: impl AsyncFnMut(&str) -> Result<Option<String>, Failure>,
) -> Outcome {
    let mut refused = 0;
    for task in tasks {
        if let Some(why) = deal(task).await? {
            print::complaint(&format!("task {}: {}", clean(task), clean(&why)));
            refused += 1;
        }
    }
    if refused == 0 {
        return Ok(Done::Ok);
    }
    Err(Failure::failed(format!(
        "{refused} of {} could not be {done}; `longhaul dead list` shows which there are, and whose (--owner)",
        tasks.len()
    )))
}

async fn redrive_all(operator: &Operator, args: &RedriveDead) -> Outcome {
    let mut wanted = Wanted::new(&args.filter, SystemClock.now());
    wanted.limit = Some(PAGE);
    let page: Page = read(&operator.get(&["dead"], &wanted.query()).await?)?;
    let Some(latest) = page.dead.first() else {
        if !args.deployment.json {
            print::line("no dead tasks")?;
        }
        return Ok(Done::Ok);
    };
    // By the server's clock: what dies from now on is left alone.
    wanted.before = Some(moment(latest.at + TimeDelta::milliseconds(1)));
    if !args.yes {
        let question = question(page.dead.len(), page.next.is_some(), args.limit);
        confirm(&question, ask::possible()).await?;
    }
    let mut left = args.limit.unwrap_or(u32::MAX);
    while left > 0 {
        wanted.limit = Some(left.min(BATCH));
        let many: Many = read(&operator.post_json(&["dead", "redrive"], &wanted).await?)?;
        for pair in &many.redriven {
            show(pair, args.deployment.json)?;
        }
        left = left.saturating_sub(u32::try_from(many.redriven.len()).unwrap_or(u32::MAX));
        if !many.more {
            break;
        }
        if many.redriven.is_empty() {
            return Err(Failure::failed(
                "somebody else is redriving them too; look again with `longhaul dead list`",
            ));
        }
    }
    Ok(Done::Ok)
}

async fn confirm(question: &str, possible: bool) -> Result<(), Failure> {
    if !possible {
        return Err(Failure::usage("nobody can be asked here; say --yes to redrive them"));
    }
    if ask::agrees(question).await? {
        return Ok(());
    }
    Err(Failure::failed("nothing was redriven"))
}

fn question(found: usize, more: bool, limit: Option<u32>) -> String {
    match limit.map(|limit| limit as usize) {
        Some(limit) if limit < found => format!("Redrive {limit} dead tasks?"),
        _ if more => format!("Redrive more than {found} dead tasks?"),
        _ if found == 1 => "Redrive 1 dead task?".to_owned(),
        _ => format!("Redrive {found} dead tasks?"),
    }
}

fn show(pair: &Pair, json: bool) -> Result<(), Failure> {
    if json {
        let text = serde_json::to_string(pair);
        return print::line(&text.unwrap_or_default());
    }
    print::line(&sentence(pair))
}

fn sentence(pair: &Pair) -> String {
    let before = if pair.already { "  (before)" } else { "" };
    format!("{} → {}{before}", clean(&pair.from), clean(&pair.to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_question_says_how_many() {
        assert_eq!(question(1, false, None), "Redrive 1 dead task?");
        assert_eq!(question(7, false, Some(9)), "Redrive 7 dead tasks?");
        assert_eq!(question(7, false, Some(2)), "Redrive 2 dead tasks?");
        assert_eq!(question(500, true, None), "Redrive more than 500 dead tasks?");
    }

    #[tokio::test]
    async fn nobody_is_redriven_by_filter_without_consent() {
        let refused = confirm("Redrive 1 dead task?", false).await.unwrap_err();
        assert!(refused.code() == 2 && refused.to_string().contains("--yes"), "{refused}");
    }

    #[test]
    fn what_was_redriven_before_is_said() {
        let pair = |already| Pair { from: "a".to_owned(), to: "b".to_owned(), already };
        assert_eq!(sentence(&pair(false)), "a → b");
        assert_eq!(sentence(&pair(true)), "a → b  (before)");
    }

    #[tokio::test]
    async fn a_refused_task_does_not_keep_the_others_from_being_dealt_with() {
        let tasks = ["a", "b", "c"].map(str::to_owned);
        let mut asked = Vec::new();
        let outcome = each(&tasks, "redriven", async |task| {
            asked.push(task.to_owned());
            Ok((task == "b").then(|| "not dead".to_owned()))
        });
        let failure = outcome.await.unwrap_err();
        assert!(failure.to_string().starts_with("1 of 3 could not be redriven"), "{failure}");
        assert_eq!(asked, tasks);
    }

    #[tokio::test]
    async fn a_server_that_does_not_answer_ends_it() {
        let tasks = ["a", "b"].map(str::to_owned);
        let mut asked = 0;
        let outcome = each(&tasks, "redriven", async |_| {
            asked += 1;
            refusal(ClientError::http("http://a", 503))
        });
        assert!(outcome.await.is_err());
        assert_eq!(asked, 1);
    }
}
