//! `longhaul dead list` and `longhaul dead show`.

use crate::{
    args::{DeadFilterArgs, ListDeadArgs, ShowDeadArgs},
    client::{operator_client, unreadable},
    exit::{CommandError, CommandResult, Completion},
    print,
    screen::{Style, clean},
    table::{local_time, table, truncated},
    tasks::output::{TaskOutput, print_json},
};
use chrono::SecondsFormat;
use longhaul_client::{
    native_json::LogEntryView,
    operator_json::{DeadLetterQuery, DeadLetterView},
};
use longhaul_domain::{FailureKind, Timestamp};
use longhaul_runtime::{Clock, SystemClock};
use longhaul_wire::v1;

/// Most letters of one request.
pub const MAX_PAGE_LETTERS: u32 = 500;
/// Longest cause or owner in a table, in characters.
const MAX_CAUSE_CHARS: usize = 70;
/// Longest log entry in a table, in characters.
const MAX_BODY_CHARS: usize = 110;

/// `longhaul dead list`.
pub async fn list(args: ListDeadArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    let mut query = query_from_args(&args.filter, SystemClock.now());
    query.handled = args.handled.then_some(true);
    let mut letters: Vec<DeadLetterView> = Vec::new();
    let mut left = if args.all { u32::MAX } else { args.limit };
    while left > 0 {
        query.limit = Some(left.min(MAX_PAGE_LETTERS));
        let page = operator.dead_letters(&query).await?;
        if args.deployment.json {
            print_json(&page.raw)?;
        }
        let count = u32::try_from(page.value.dead.len()).unwrap_or(u32::MAX);
        left = left.saturating_sub(count);
        letters.extend(page.value.dead);
        match page.value.next {
            // An empty page ends the list even if it has a cursor, so that the loop ends.
            Some(next) if count > 0 => query.after = Some(next),
            _ => break,
        }
    }
    if !args.deployment.json {
        print::write_out(&letter_table(&letters, args.handled, Style::of_stdout()))?;
    }
    Ok(Completion::Ok)
}

/// `longhaul dead show`.
pub async fn show(args: ShowDeadArgs) -> CommandResult {
    let operator = operator_client(&args.deployment)?;
    let detail = operator.dead_letter(&args.owner, &args.task).await?;
    if args.deployment.json {
        print_json(&detail.raw)?;
        return Ok(Completion::Ok);
    }
    let detail = detail.value;
    let task =
        v1::received_task(&detail.task).map_err(|error| CommandError::from(unreadable(&error)))?;
    let style = Style::of_stdout();
    print::write_out(&describe(&detail.letter, style))?;
    print::line("")?;
    // The letter carries its task, so that operators need no key of the owner.
    let mut output = TaskOutput::new(false, None)?;
    output.task(&detail.task, task)?;
    output.finish()?;
    if !detail.log.is_empty() {
        print::write_out(&format!("\n{}", log_table(&detail.log, style)))?;
    }
    Ok(Completion::Ok)
}

/// Converts flags to a query; times relative to `now` become absolute.
pub fn query_from_args(filter: &DeadFilterArgs, now: Timestamp) -> DeadLetterQuery {
    DeadLetterQuery {
        owner: filter.owner.clone(),
        agent: filter.agent.clone(),
        because: filter.because.map(FailureKind::name).map(str::to_owned),
        from: filter.from.map(|from| rfc3339(from.ago(now))),
        before: filter.before.map(|before| rfc3339(before.ago(now))),
        cause: filter.cause.clone(),
        ..DeadLetterQuery::default()
    }
}

/// Formats a time with microseconds, as precise as the store keeps it.
pub fn rfc3339(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// Formats what an operator did about a letter.
fn handling(letter: &DeadLetterView) -> String {
    match &letter.redriven_as {
        Some(task) => format!("redriven as {}", clean(task)),
        None if letter.dismissed == Some(true) => "dismissed".to_owned(),
        None => "-".to_owned(),
    }
}

/// Describes a letter, a line for each property.
fn describe(letter: &DeadLetterView, style: Style) -> String {
    let attempts = match letter.attempts {
        1 => "1 attempt".to_owned(),
        attempts => format!("{attempts} attempts"),
    };
    let mut text = format!(
        "task    {}  context {}\nowner   {}\nagent   {}\nfailed  {}  {}, after {attempts}\ncause   {}\n",
        clean(&letter.task_id),
        clean(&letter.context_id),
        clean(&letter.owner),
        clean(&letter.agent),
        local_time(Some(letter.at), style),
        clean(&letter.because),
        clean(&letter.cause).replace('\n', "\n        "),
    );
    if letter.redriven_as.is_some() || letter.dismissed == Some(true) {
        text.extend(["now     ", &handling(letter), "\n"]);
    }
    text
}

/// Formats letters; `handled` adds the column of what was done about them.
fn letter_table(letters: &[DeadLetterView], handled: bool, style: Style) -> String {
    if letters.is_empty() {
        return "no dead tasks\n".to_owned();
    }
    let mut header = vec!["TASK", "OWNER", "AGENT", "FAILED", "BECAUSE", "ATTEMPTS"];
    header.extend(handled.then_some("NOW"));
    header.push("CAUSE");
    let row = |letter: &DeadLetterView| {
        let mut row = vec![
            clean(&letter.task_id),
            truncated(&letter.owner, MAX_CAUSE_CHARS),
            clean(&letter.agent),
            local_time(Some(letter.at), style),
            clean(&letter.because),
            letter.attempts.to_string(),
        ];
        row.extend(handled.then(|| handling(letter)));
        row.push(truncated(&letter.cause, MAX_CAUSE_CHARS));
        row
    };
    table(&header, letters.iter().map(row))
}

fn log_table(log: &[LogEntryView], style: Style) -> String {
    let row = |entry: &LogEntryView| {
        vec![
            entry.seq.to_string(),
            local_time(Some(entry.at), style),
            entry.attempt.to_string(),
            clean(&entry.kind),
            truncated(entry.body.get(), MAX_BODY_CHARS),
        ]
    };
    table(&["SEQ", "AT", "ATTEMPT", "KIND", "BODY"], log.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, Offset, Utc};
    use serde_json::json;

    const STYLE: fn() -> Style = || Style { terminal: false, offset: Utc.fix() };

    fn letter(more: &serde_json::Value) -> DeadLetterView {
        let mut letter = json!({"taskId": "t1", "owner": "acme", "agent": "echo", "contextId": "c1",
            "at": "2026-01-02T03:04:05.678Z", "because": "attempts-used-up", "cause": "no\nanswer", "attempts": 3});
        letter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(letter).unwrap()
    }

    #[test]
    fn dead_letters_are_a_table() {
        assert_eq!(
            letter_table(&[letter(&json!({}))], false, STYLE()),
            "TASK  OWNER  AGENT  FAILED               BECAUSE           ATTEMPTS  CAUSE\n\
             t1    acme   echo   2026-01-02 03:04:05  attempts-used-up  3         no answer\n"
        );
        let handled = [letter(&json!({"redrivenAs": "t2"})), letter(&json!({"dismissed": true}))];
        let table = letter_table(&handled, true, STYLE());
        assert!(table.contains("redriven as t2") && table.contains("dismissed"), "{table}");
        assert_eq!(letter_table(&[], false, STYLE()), "no dead tasks\n");
    }

    #[test]
    fn a_letter_is_described_in_full() {
        assert_eq!(
            describe(&letter(&json!({"redrivenAs": "t2"})), STYLE()),
            "task    t1  context c1\nowner   acme\nagent   echo\nfailed  2026-01-02 03:04:05  attempts-used-up, after 3 attempts\n\
             cause   no\n        answer\nnow     redriven as t2\n"
        );
    }

    #[test]
    fn the_log_is_a_table() {
        let entry = json!({"seq": 1, "at": "2026-01-02T03:04:05Z", "attempt": 1, "kind": "status", "body": {"state": "x"}});
        let entry: LogEntryView = serde_json::from_value(entry).unwrap();
        let table = log_table(&[entry], STYLE());
        assert!(
            table.contains("1    2026-01-02 03:04:05  1        status  {\"state\":\"x\"}"),
            "{table}"
        );
    }

    #[test]
    fn flags_become_a_query() {
        let filter = DeadFilterArgs {
            owner: Some("a&b".to_owned()),
            because: Some(FailureKind::Poison),
            before: Some("1h".parse().unwrap()),
            ..DeadFilterArgs::default()
        };
        let now = DateTime::parse_from_rfc3339("2026-01-02T03:00:00Z").unwrap().to_utc();
        let query = query_from_args(&filter, now);
        assert_eq!(
            serde_json::to_value(&query).unwrap(),
            json!({"owner": "a&b", "because": "poison", "before": "2026-01-02T02:00:00.000000Z"})
        );
    }
}
