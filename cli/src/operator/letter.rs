//! Dead letters, as the server writes them.

use super::look::{head, short, time};
use crate::{
    print,
    screen::{Style, clean},
};
use longhaul_domain::{Json, Timestamp};
use serde::Deserialize;

/// How much of a cause a table shows.
const CAUSE: usize = 70;
/// How much of a log entry is shown.
const BODY: usize = 110;

/// A dead letter.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    pub task_id: String,
    pub owner: String,
    pub agent: String,
    pub context_id: String,
    pub at: Timestamp,
    pub because: String,
    pub cause: String,
    pub attempts: i64,
    #[serde(default)]
    pub redriven_as: Option<String>,
    #[serde(default)]
    pub dismissed: Option<bool>,
}

/// Some of the letters, the latest first.
#[derive(Debug, Deserialize)]
pub struct Page {
    pub dead: Vec<Letter>,
    #[serde(default)]
    pub next: Option<String>,
}

/// One of them with everything around it.
#[derive(Debug, Deserialize)]
pub struct Whole {
    pub letter: Letter,
    pub task: Box<serde_json::value::RawValue>,
    #[serde(default)]
    pub log: Vec<LogLine>,
}

/// An entry of the task's log.
#[derive(Debug, Deserialize)]
pub struct LogLine {
    pub seq: i64,
    pub at: Timestamp,
    #[serde(default)]
    pub attempt: i64,
    pub kind: String,
    pub body: Json,
}

impl Letter {
    /// What became of it.
    fn handled(&self) -> String {
        match &self.redriven_as {
            Some(task) => format!("redriven as {}", clean(task)),
            None if self.dismissed == Some(true) => "dismissed".to_owned(),
            None => "-".to_owned(),
        }
    }

    /// Everything that is known of it, a line each.
    pub fn facts(&self, style: Style) -> String {
        let attempts = match self.attempts {
            1 => "1 attempt".to_owned(),
            attempts => format!("{attempts} attempts"),
        };
        let mut text = format!(
            "task    {}  context {}\nowner   {}\nagent   {}\nfailed  {}  {}, after {attempts}\ncause   {}\n",
            clean(&self.task_id),
            clean(&self.context_id),
            clean(&self.owner),
            clean(&self.agent),
            time(Some(self.at), style),
            clean(&self.because),
            clean(&self.cause).replace('\n', "\n        "),
        );
        if self.redriven_as.is_some() || self.dismissed == Some(true) {
            text.extend(["now     ", &self.handled(), "\n"]);
        }
        text
    }
}

/// Letters as a table; what became of them is shown when any were dealt with.
pub fn as_table(letters: &[Letter], handled: bool, style: Style) -> String {
    if letters.is_empty() {
        return "no dead tasks\n".to_owned();
    }
    let mut names = head(&["TASK", "OWNER", "AGENT", "FAILED", "BECAUSE", "ATTEMPTS", "CAUSE"]);
    if handled {
        names.insert(6, "NOW".to_owned());
    }
    let row = |letter: &Letter| {
        let mut row = vec![
            clean(&letter.task_id),
            short(&letter.owner, CAUSE),
            clean(&letter.agent),
            time(Some(letter.at), style),
            clean(&letter.because),
            letter.attempts.to_string(),
        ];
        if handled {
            row.push(letter.handled());
        }
        row.push(short(&letter.cause, CAUSE));
        row
    };
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(letters.iter().map(row)).collect();
    print::table(&rows)
}

/// The log as a table.
pub fn log_table(log: &[LogLine], style: Style) -> String {
    let row = |line: &LogLine| {
        vec![
            line.seq.to_string(),
            time(Some(line.at), style),
            line.attempt.to_string(),
            clean(&line.kind),
            short(line.body.as_str(), BODY),
        ]
    };
    let names = head(&["SEQ", "AT", "ATTEMPT", "KIND", "BODY"]);
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(log.iter().map(row)).collect();
    print::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{Offset, Utc};
    use serde_json::json;

    const STYLE: fn() -> Style = || Style { terminal: false, offset: Utc.fix() };

    fn letter(more: &serde_json::Value) -> Letter {
        let mut letter = json!({"taskId": "t1", "owner": "acme", "agent": "echo", "contextId": "c1",
            "at": "2026-01-02T03:04:05.678Z", "because": "attempts-used-up", "cause": "no\nanswer", "attempts": 3});
        letter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(letter).unwrap()
    }

    #[test]
    fn dead_tasks_are_a_table() {
        assert_eq!(
            as_table(&[letter(&json!({}))], false, STYLE()),
            "TASK  OWNER  AGENT  FAILED               BECAUSE           ATTEMPTS  CAUSE\n\
             t1    acme   echo   2026-01-02 03:04:05  attempts-used-up  3         no answer\n"
        );
        let handled = [letter(&json!({"redrivenAs": "t2"})), letter(&json!({"dismissed": true}))];
        let table = as_table(&handled, true, STYLE());
        assert!(table.contains("redriven as t2") && table.contains("dismissed"), "{table}");
        assert_eq!(as_table(&[], false, STYLE()), "no dead tasks\n");
    }

    #[test]
    fn one_says_why_in_full() {
        assert_eq!(
            letter(&json!({"redrivenAs": "t2"})).facts(STYLE()),
            "task    t1  context c1\nowner   acme\nagent   echo\nfailed  2026-01-02 03:04:05  attempts-used-up, after 3 attempts\n\
             cause   no\n        answer\nnow     redriven as t2\n"
        );
    }

    #[test]
    fn the_log_is_a_table() {
        let line = json!({"seq": 1, "at": "2026-01-02T03:04:05Z", "attempt": 1, "kind": "status", "body": {"state": "x"}});
        let line: LogLine = serde_json::from_value(line).unwrap();
        let table = log_table(&[line], STYLE());
        assert!(
            table.contains("1    2026-01-02 03:04:05  1        status  {\"state\":\"x\"}"),
            "{table}"
        );
    }
}
