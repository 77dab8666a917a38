//! `longhaul dead list` and `longhaul dead show`.

use super::letter::{Letter, Page, Whole, as_table, log_table};
use crate::{
    args::{DeadFilter, ListDead, ShowDead},
    client::{Operator, read, unreadable},
    exit::{Done, Failure, Outcome},
    print,
    screen::Style,
    tasks::view::{View, print_json},
};
use chrono::SecondsFormat;
use longhaul_domain::Timestamp;
use longhaul_runtime::{Clock, SystemClock};
use longhaul_wire::v1;
use serde::Serialize;

/// The most that is asked for at once.
pub const PAGE: u32 = 500;

/// Which dead letters, as the server wants it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
}

/// A moment, as the server reads it.
pub fn moment(at: Timestamp) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

impl Wanted {
    /// What the flags say.
    pub fn new(filter: &DeadFilter, now: Timestamp) -> Self {
        Self {
            owner: filter.owner.clone(),
            agent: filter.agent.clone(),
            because: filter.because.map(longhaul_domain::FailureKind::name),
            from: filter.from.map(|from| moment(from.ago(now))),
            before: filter.before.map(|before| moment(before.ago(now))),
            cause: filter.cause.clone(),
            limit: None,
        }
    }

    /// The same in an address.
    pub fn query(&self) -> Vec<(&'static str, String)> {
        let because = self.because.map(str::to_owned);
        let limit = self.limit.map(|limit| limit.to_string());
        let members = [
            ("owner", &self.owner),
            ("agent", &self.agent),
            ("because", &because),
            ("from", &self.from),
            ("before", &self.before),
            ("cause", &self.cause),
            ("limit", &limit),
        ];
        members
            .into_iter()
            .filter_map(|(name, value)| value.clone().map(|value| (name, value)))
            .collect()
    }
}

/// `longhaul dead list`.
pub async fn list(args: ListDead) -> Outcome {
    let operator = Operator::new(&args.deployment)?;
    let mut wanted = Wanted::new(&args.filter, SystemClock.now());
    let mut letters: Vec<Letter> = Vec::new();
    let mut left = if args.all { u32::MAX } else { args.limit };
    let mut after = None;
    while left > 0 {
        wanted.limit = Some(left.min(PAGE));
        let mut query = wanted.query();
        query.extend(args.handled.then(|| ("handled", "true".to_owned())));
        query.extend(after.take().map(|after| ("after", after)));
        let raw = operator.get(&["dead"], &query).await?;
        let page: Page = read(&raw)?;
        if args.deployment.json {
            print_json(&raw)?;
        }
        let count = u32::try_from(page.dead.len()).unwrap_or(u32::MAX);
        left = left.saturating_sub(count);
        letters.extend(page.dead);
        match page.next {
            Some(next) if count > 0 => after = Some(next),
            _ => break,
        }
    }
    if !args.deployment.json {
        print::write_out(&as_table(&letters, args.handled, Style::of_stdout()))?;
    }
    Ok(Done::Ok)
}

/// `longhaul dead show`.
pub async fn show(args: ShowDead) -> Outcome {
    let operator = Operator::new(&args.deployment)?;
    let raw = operator.get(&["dead", &args.owner, &args.task], &[]).await?;
    if args.deployment.json {
        print_json(&raw)?;
        return Ok(Done::Ok);
    }
    let whole: Whole = read(&raw)?;
    let task = v1::received_task(&whole.task).map_err(|error| Failure::from(unreadable(&error)))?;
    let style = Style::of_stdout();
    print::write_out(&whole.letter.facts(style))?;
    print::line("")?;
    let mut view = View::new(false, None)?;
    view.task(&whole.task, task)?;
    view.finish()?;
    if !whole.log.is_empty() {
        print::write_out(&format!("\n{}", log_table(&whole.log, style)))?;
    }
    Ok(Done::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use longhaul_domain::FailureKind;

    #[test]
    fn the_flags_become_a_query() {
        let filter = DeadFilter {
            owner: Some("a&b".to_owned()),
            because: Some(FailureKind::Poison),
            before: Some("1h".parse().unwrap()),
            ..DeadFilter::default()
        };
        let now = DateTime::parse_from_rfc3339("2026-01-02T03:00:00Z").unwrap().to_utc();
        let wanted = Wanted::new(&filter, now);
        assert_eq!(
            wanted.query(),
            [
                ("owner", "a&b".to_owned()),
                ("because", "poison".to_owned()),
                ("before", "2026-01-02T02:00:00.000000Z".to_owned()),
            ]
        );
        assert_eq!(
            serde_json::to_value(&wanted).unwrap(),
            serde_json::json!({"owner": "a&b", "because": "poison", "before": "2026-01-02T02:00:00.000000Z"})
        );
    }
}
