//! Plans as text: `!progress 3; chunks 5 100 10; fail 2`. Commands are separated by semicolons or
//! line breaks.

use crate::{
    error::PlanError,
    plan::{
        ChunkPlan, ContentKind, CursorPlan, HangMode, Plan, PlanEnding, StepPlan, default_size,
    },
};
use std::str::FromStr;

/// The names of all commands.
pub(crate) const COMMANDS: &[&str] = &[
    "wait",
    "progress",
    "heartbeat",
    "chunks",
    "artifact",
    "large",
    "step",
    "fail-in",
    "checkpoint",
    "effects",
    "listen",
    "exit",
    "panic",
    "flaky",
    "retryable",
    "retry-after",
    "hang",
    "ignore-cancel",
    "complete",
    "fail",
    "reject",
    "cancel",
    "ask",
    "ask-until",
    "auth",
    "direct",
];

/// Parses commands. The command that ends the plan may stand anywhere; the last one counts.
pub(crate) fn parse(text: &str) -> Result<Plan, PlanError> {
    let mut plan = Plan::default();
    for command in text.split([';', '\n']).map(str::trim).filter(|command| !command.is_empty()) {
        let (name, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
        apply(&mut plan, &Arguments { name, rest: rest.trim() })?;
    }
    plan.bounded()
}

fn apply(plan: &mut Plan, args: &Arguments<'_>) -> Result<(), PlanError> {
    match args.name {
        "wait" => plan.delay_ms = args.number(0, None)?,
        "progress" => {
            plan.progress = args.number(0, Some(1))?;
            plan.progress_delay_ms = args.number(1, Some(0))?;
        }
        "heartbeat" => {
            plan.heartbeats = args.number(0, Some(1))?;
            plan.heartbeat_delay_ms = args.number(1, Some(0))?;
        }
        "chunks" => {
            plan.chunks = Some(ChunkPlan {
                count: args.number(0, None)?,
                size: args.number(1, Some(default_size()))?,
                delay_ms: args.number(2, Some(0))?,
                ..ChunkPlan::default()
            });
        }
        "artifact" => plan.artifacts.push(kind(args)?),
        "large" => plan.large_bytes = args.number(0, None)?,
        "listen" => plan.listen = args.number(0, Some(1))?,
        "step" | "fail-in" | "checkpoint" | "effects" => durable(plan, args)?,
        "exit" => plan.exits = args.number(0, Some(i32::MAX))?,
        "panic" => plan.panic_attempts = args.number(0, Some(i32::MAX))?,
        "flaky" => plan.fail_attempts = args.number(0, Some(1))?,
        "retryable" => plan.retryable = Some(true),
        "retry-after" => {
            plan.retryable = Some(true);
            plan.retry_after_ms = Some(args.number(0, None)?);
        }
        "hang" => {
            plan.hang = Some(match args.rest {
                "" => HangMode::UntilCancel,
                "forever" => HangMode::Forever,
                _ => return Err(args.wrong("takes nothing or `forever`")),
            });
        }
        "ignore-cancel" => plan.ignore_cancel = true,
        "ask-until" => {
            plan.end = PlanEnding::InputRequired;
            plan.until = Some(args.filled()?);
        }
        _ => {
            plan.end = ending(args.name).ok_or_else(|| args.unknown())?;
            plan.say = Some(args.rest).filter(|text| !text.is_empty()).map(str::to_owned);
        }
    }
    Ok(())
}

/// Applies a command about durable work.
fn durable(plan: &mut Plan, args: &Arguments<'_>) -> Result<(), PlanError> {
    let name = args.word()?;
    match args.name {
        "step" => {
            let words = args.rest.splitn(3, char::is_whitespace);
            let say = words.map(str::trim).nth(2).filter(|text| !text.is_empty());
            plan.steps.push(StepPlan {
                name,
                delay_ms: args.number(1, Some(0))?,
                say: say.map(str::to_owned),
                fail_attempts: 0,
            });
        }
        "fail-in" => {
            let step = plan.steps.iter_mut().rfind(|step| step.name == name);
            let step = step.ok_or_else(|| args.wrong("names no step that stands before it"))?;
            step.fail_attempts = args.number(1, Some(1))?;
        }
        "effects" => plan.effects = Some(name),
        _ => {
            plan.checkpoint = Some(CursorPlan {
                name,
                count: args.number(1, Some(1))?,
                delay_ms: args.number(2, Some(0))?,
            });
        }
    }
    Ok(())
}

fn ending(name: &str) -> Option<PlanEnding> {
    Some(match name {
        "complete" => PlanEnding::Completed,
        "fail" => PlanEnding::Failed,
        "reject" => PlanEnding::Rejected,
        "cancel" => PlanEnding::Canceled,
        "ask" => PlanEnding::InputRequired,
        "auth" => PlanEnding::AuthRequired,
        "direct" => PlanEnding::Message,
        _ => return None,
    })
}

fn kind(args: &Arguments<'_>) -> Result<ContentKind, PlanError> {
    match args.rest {
        "" | "text" => Ok(ContentKind::Text),
        "raw" => Ok(ContentKind::Raw),
        "url" => Ok(ContentKind::Url),
        "data" => Ok(ContentKind::Data),
        "mixed" => Ok(ContentKind::Mixed),
        _ => Err(args.wrong("takes text, raw, url, data or mixed")),
    }
}

struct Arguments<'a> {
    name: &'a str,
    rest: &'a str,
}

impl Arguments<'_> {
    fn unknown(&self) -> PlanError {
        PlanError::UnknownCommand { name: self.name.to_owned(), known: COMMANDS.join(", ") }
    }

    fn wrong(&self, problem: &str) -> PlanError {
        PlanError::Arguments { command: self.name.to_owned(), problem: problem.to_owned() }
    }

    fn filled(&self) -> Result<String, PlanError> {
        if self.rest.is_empty() {
            Err(self.wrong("needs a text"))
        } else {
            Ok(self.rest.to_owned())
        }
    }

    fn word(&self) -> Result<String, PlanError> {
        let word = self.rest.split_whitespace().next();
        word.map(str::to_owned).ok_or_else(|| self.wrong("needs a name"))
    }

    fn number<T: FromStr>(&self, index: usize, default: Option<T>) -> Result<T, PlanError> {
        match self.rest.split_whitespace().nth(index) {
            Some(word) => {
                word.parse().map_err(|_| self.wrong(&format!("{word:?} is not a fitting number")))
            }
            None => default.ok_or_else(|| self.wrong("needs a number")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_add_up_to_a_plan() {
        let plan =
            parse("progress 3 5; chunks 4 100\n artifact raw;artifact;ask which one?").unwrap();
        assert_eq!((plan.progress, plan.progress_delay_ms), (3, 5));
        assert_eq!(plan.chunks, Some(ChunkPlan { count: 4, size: 100, ..ChunkPlan::default() }));
        assert_eq!(plan.artifacts, [ContentKind::Raw, ContentKind::Text]);
        assert_eq!(
            (plan.end, plan.say.as_deref()),
            (PlanEnding::InputRequired, Some("which one?"))
        );
    }

    #[test]
    fn steps_keep_their_order() {
        let plan = parse("step a 5 hello  there; step b; fail-in a 2; checkpoint c 10 3; effects f; retry-after 7").unwrap();
        let step = |name: &str, delay_ms, say: Option<&str>, fail_attempts| StepPlan {
            name: name.to_owned(),
            delay_ms,
            say: say.map(str::to_owned),
            fail_attempts,
        };
        assert_eq!(plan.steps, [step("a", 5, Some("hello  there"), 2), step("b", 0, None, 0)]);
        assert_eq!(
            plan.checkpoint,
            Some(CursorPlan { name: "c".to_owned(), count: 10, delay_ms: 3 })
        );
        assert_eq!((plan.effects.as_deref(), plan.retry_after_ms), (Some("f"), Some(7)));
    }

    #[test]
    fn parse_errors_name_the_command() {
        for (text, named) in [
            ("dance", "dance"),
            ("wait", "needs a number"),
            ("chunks -1", "\"-1\""),
            ("hang on", "forever"),
            ("step", "needs a name"),
            ("step a soon", "\"soon\""),
            ("fail-in a", "no step"),
            ("large 99999999999", "64 MiB"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn every_listed_command_exists() {
        for name in COMMANDS {
            let refused = parse(&format!("{name} 1"));
            assert!(!matches!(refused, Err(PlanError::UnknownCommand { .. })), "{name}");
        }
    }
}
