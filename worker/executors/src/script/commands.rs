//! Plans as text: `!progress 3; chunks 5 100 10; fail 2`. Commands are separated by semicolons or line breaks.

use super::plan::{Chunks, Ending, Hang, Kind, Plan, PlanError, default_size};
use std::str::FromStr;

/// Every command.
pub(super) const NAMES: &[&str] = &[
    "wait",
    "progress",
    "chunks",
    "artifact",
    "large",
    "listen",
    "panic",
    "flaky",
    "retryable",
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

/// Reads commands; what ends the plan may stand anywhere, and the last one counts.
pub(super) fn parse(text: &str) -> Result<Plan, PlanError> {
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
        "chunks" => {
            plan.chunks = Some(Chunks {
                count: args.number(0, None)?,
                size: args.number(1, Some(default_size()))?,
                delay_ms: args.number(2, Some(0))?,
            });
        }
        "artifact" => plan.artifacts.push(kind(args)?),
        "large" => plan.large_bytes = args.number(0, None)?,
        "listen" => plan.listen = args.number(0, Some(1))?,
        "panic" => plan.panic_attempts = args.number(0, Some(i32::MAX))?,
        "flaky" => plan.fail_attempts = args.number(0, Some(1))?,
        "retryable" => plan.retryable = Some(true),
        "hang" => {
            plan.hang = Some(match args.rest {
                "" => Hang::UntilCancel,
                "forever" => Hang::Forever,
                _ => return Err(args.wrong("takes nothing or `forever`")),
            });
        }
        "ignore-cancel" => plan.ignore_cancel = true,
        "ask-until" => {
            plan.end = Ending::InputRequired;
            plan.until = Some(args.filled()?);
        }
        _ => {
            plan.end = ending(args.name).ok_or_else(|| PlanError::Unknown(args.name.to_owned()))?;
            plan.say = Some(args.rest).filter(|text| !text.is_empty()).map(str::to_owned);
        }
    }
    Ok(())
}

fn ending(name: &str) -> Option<Ending> {
    Some(match name {
        "complete" => Ending::Completed,
        "fail" => Ending::Failed,
        "reject" => Ending::Rejected,
        "cancel" => Ending::Canceled,
        "ask" => Ending::InputRequired,
        "auth" => Ending::AuthRequired,
        "direct" => Ending::Message,
        _ => return None,
    })
}

fn kind(args: &Arguments<'_>) -> Result<Kind, PlanError> {
    match args.rest {
        "" | "text" => Ok(Kind::Text),
        "raw" => Ok(Kind::Raw),
        "url" => Ok(Kind::Url),
        "data" => Ok(Kind::Data),
        "mixed" => Ok(Kind::Mixed),
        _ => Err(args.wrong("takes text, raw, url, data or mixed")),
    }
}

struct Arguments<'a> {
    name: &'a str,
    rest: &'a str,
}

impl Arguments<'_> {
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
        assert_eq!(plan.chunks, Some(Chunks { count: 4, size: 100, delay_ms: 0 }));
        assert_eq!(plan.artifacts, [Kind::Raw, Kind::Text]);
        assert_eq!((plan.end, plan.say.as_deref()), (Ending::InputRequired, Some("which one?")));
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for (text, named) in [
            ("dance", "dance"),
            ("wait", "needs a number"),
            ("chunks -1", "\"-1\""),
            ("hang on", "forever"),
            ("large 99999999999", "64 MiB"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(named), "{text}: {error}");
        }
    }

    #[test]
    fn every_listed_command_exists() {
        for name in NAMES {
            let refused = parse(&format!("{name} 1"));
            assert!(!matches!(refused, Err(PlanError::Unknown(_))), "{name}");
        }
    }
}
