//! `longhaul agents`.

use super::output::print_json;
use crate::{
    args::{ListAgentsArgs, ServerArgs},
    client::a2a_client,
    exit::{CommandResult, Completion},
    print,
    screen::clean,
    table::{table, truncated},
};
use longhaul_client::native_json::AgentView;

/// Longest description in a table, in characters.
const MAX_DESCRIPTION_CHARS: usize = 80;

/// Runs the command.
pub async fn run(args: ListAgentsArgs) -> CommandResult {
    let server = ServerArgs { url: args.url, api_key: args.api_key, agent: None };
    let list = a2a_client(&server)?.agents().await?;
    if args.json {
        print_json(&list.raw)?;
    } else {
        print::write_out(&agent_table(&list.value.agents))?;
    }
    Ok(Completion::Ok)
}

fn agent_table(agents: &[AgentView]) -> String {
    if agents.is_empty() {
        return "no agent is registered yet; start a worker that runs one\n".to_owned();
    }
    let row = |agent: &AgentView| {
        let default = if agent.default { "yes" } else { "-" };
        vec![
            clean(&agent.name),
            truncated(&agent.version, MAX_DESCRIPTION_CHARS),
            default.to_owned(),
            truncated(&agent.description, MAX_DESCRIPTION_CHARS),
        ]
    };
    table(&["AGENT", "VERSION", "DEFAULT", "DESCRIPTION"], agents.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_a_table() {
        let agent = AgentView {
            name: "echo".to_owned(),
            version: "1.0.0".to_owned(),
            description: "Answers".to_owned(),
            default: true,
            input_modes: Vec::new(),
            output_modes: Vec::new(),
        };
        assert_eq!(
            agent_table(&[agent]),
            "AGENT  VERSION  DEFAULT  DESCRIPTION\necho   1.0.0    yes      Answers\n"
        );
    }
}
