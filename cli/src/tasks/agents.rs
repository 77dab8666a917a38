//! `longhaul agents`: whom a server has tasks for.

use super::view::print_json;
use crate::{
    args::ListAgents,
    client::{Site, read},
    exit::{Done, Outcome},
    operator::look::{head, short},
    print,
    screen::clean,
};
use serde::Deserialize;

/// How much of a description a line shows.
const MAX_DESCRIPTION_CHARS: usize = 80;

#[derive(Deserialize)]
struct ListedAgents {
    agents: Vec<ListedAgent>,
}

#[derive(Deserialize)]
struct ListedAgent {
    name: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    description: String,
    #[serde(default)]
    default: bool,
}

/// Runs the command.
pub async fn run(args: ListAgents) -> Outcome {
    let site = Site::new(&args.url, args.api_key.as_ref())?;
    let raw = site.agents().await?;
    if args.json {
        print_json(&raw)?;
    } else {
        print::write_out(&table(&read::<ListedAgents>(&raw)?.agents))?;
    }
    Ok(Done::Ok)
}

fn table(agents: &[ListedAgent]) -> String {
    if agents.is_empty() {
        return "no agent is registered yet; start a worker that runs one\n".to_owned();
    }
    let row = |agent: &ListedAgent| {
        let default = if agent.default { "yes" } else { "-" };
        vec![
            clean(&agent.name),
            short(&agent.version, MAX_DESCRIPTION_CHARS),
            default.to_owned(),
            short(&agent.description, MAX_DESCRIPTION_CHARS),
        ]
    };
    let names = head(&["AGENT", "VERSION", "DEFAULT", "DESCRIPTION"]);
    let rows: Vec<Vec<String>> = std::iter::once(names).chain(agents.iter().map(row)).collect();
    print::table(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_a_table() {
        let agent = ListedAgent {
            name: "echo".to_owned(),
            version: "1.0.0".to_owned(),
            description: "Answers".to_owned(),
            default: true,
        };
        assert_eq!(
            table(&[agent]),
            "AGENT  VERSION  DEFAULT  DESCRIPTION\necho   1.0.0    yes      Answers\n"
        );
    }
}
