//! The banner of `longhaul dev`: its addresses and agents, and commands ready to paste.

use crate::{args::DEFAULT_URL, tasks::shell_quoted};
use longhaul_domain::AgentName;
use longhaul_runtime::Secret;
use longhaul_worker::FailedStart;
use std::path::Path;

/// The facts that the banner shows.
pub struct Banner<'a> {
    /// Address of the server, without a trailing slash.
    pub url: &'a str,
    /// Folder of the data.
    pub data: &'a Path,
    /// All agents.
    pub agents: &'a [AgentName],
    /// Agents that did not start.
    pub failed: &'a [FailedStart],
    /// The default agent.
    pub default_agent: Option<&'a AgentName>,
    /// Access, with the first key if it is new.
    pub access: Access<'a>,
}

/// Access to the API.
pub enum Access<'a> {
    /// No key is required.
    Open,
    /// A key is required; this one is new.
    FirstKey(&'a Secret),
    /// A key is required.
    Keys,
}

impl Banner<'_> {
    /// Formats the banner.
    pub fn text(&self) -> String {
        let agents: Vec<String> = self.agents.iter().map(|agent| self.agent(agent)).collect();
        let path = self.path();
        format!(
            "longhaul dev is ready; its data is in {}. Stop it with Ctrl-C.\n{}
  card    {}{path}/.well-known/agent-card.json
  agents  {}
{}  try     {}
  or      {}\n",
            self.data.display(),
            self.key_line(),
            self.url,
            agents.join(", "),
            self.failures(),
            self.send(),
            self.curl(),
        )
    }

    fn agent(&self, agent: &AgentName) -> String {
        if self.default_agent == Some(agent) {
            format!("{agent} (default)")
        } else {
            agent.to_string()
        }
    }

    fn failures(&self) -> String {
        let line = |failed: &FailedStart| {
            format!(
                "  FAILED  {}: {}; it is tried again, and its tasks wait\n",
                failed.agent, failed.cause
            )
        };
        self.failed.iter().map(line).collect()
    }

    fn key_line(&self) -> String {
        match self.access {
            Access::FirstKey(key) => format!("\n  key     {} (shown this once)", key.expose()),
            Access::Open | Access::Keys => String::new(),
        }
    }

    /// The agent that the commands must name.
    fn addressed(&self) -> Option<&AgentName> {
        if self.default_agent.is_some() { None } else { self.agents.first() }
    }

    fn path(&self) -> String {
        self.addressed().map(|agent| format!("/agents/{agent}")).unwrap_or_default()
    }

    fn send(&self) -> String {
        let mut line = String::new();
        match self.access {
            Access::FirstKey(key) => line.extend(["LONGHAUL_API_KEY=", key.expose(), " "]),
            Access::Open | Access::Keys => {}
        }
        line.push_str("longhaul tasks send 'hello'");
        if self.url != DEFAULT_URL {
            line.extend([" --url ", &shell_quoted(self.url)]);
        }
        if let Some(agent) = self.addressed() {
            line.extend([" --agent ", agent.as_str()]);
        }
        line
    }

    fn curl(&self) -> String {
        let key = match self.access {
            Access::Open => String::new(),
            Access::FirstKey(key) => format!(" -H 'Authorization: Bearer {}'", key.expose()),
            Access::Keys => " -H \"Authorization: Bearer $LONGHAUL_API_KEY\"".to_owned(),
        };
        // The clock makes each message id unique, so that a command pasted twice sends two tasks.
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":"'$(date +%s%N)'","role":"ROLE_USER","parts":[{"text":"hello"}]}}}"#;
        format!(
            "curl -s {}{}/ -H 'Content-Type: application/json' -H 'A2A-Version: 1.0'{key} -d '{body}'",
            self.url,
            self.path()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner<'a>(agents: &'a [AgentName], access: Access<'a>) -> Banner<'a> {
        let data = Path::new("./longhaul-data");
        Banner {
            url: DEFAULT_URL,
            data,
            agents,
            failed: &[],
            default_agent: agents.first(),
            access,
        }
    }

    #[test]
    fn the_banner_shows_addresses_and_commands() {
        let agents = ["echo", "demo"].map(|name| AgentName::new(name).unwrap());
        let text = banner(&agents, Access::Open).text();
        assert_eq!(
            text,
            r#"longhaul dev is ready; its data is in ./longhaul-data. Stop it with Ctrl-C.

  card    http://127.0.0.1:8080/.well-known/agent-card.json
  agents  echo (default), demo
  try     longhaul tasks send 'hello'
  or      curl -s http://127.0.0.1:8080/ -H 'Content-Type: application/json' -H 'A2A-Version: 1.0' -d '{"jsonrpc":"2.0","id":1,"method":"SendMessage","params":{"message":{"messageId":"'$(date +%s%N)'","role":"ROLE_USER","parts":[{"text":"hello"}]}}}'
"#
        );
    }

    #[test]
    fn an_agent_that_did_not_start_is_shown_with_its_cause() {
        let agents = ["echo", "shout"].map(|name| AgentName::new(name).unwrap());
        let cause = "there is no program \"pyton3\" in PATH".to_owned();
        let failed = [FailedStart { agent: agents[1].clone(), cause }];
        let text = Banner { failed: &failed, ..banner(&agents, Access::Open) }.text();
        let expected = "  agents  echo (default), shout
  FAILED  shout: there is no program \"pyton3\" in PATH; it is tried again, and its tasks wait
  try     longhaul";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn commands_use_the_first_key_and_the_address() {
        let agents = ["echo"].map(|name| AgentName::new(name).unwrap());
        let key = Secret::new("lh_a_b".to_owned());
        let banner = Banner {
            url: "http://127.0.0.1:9",
            default_agent: None,
            ..banner(&agents, Access::FirstKey(&key))
        };
        let text = banner.text();
        for part in [
            "key     lh_a_b (shown this once)",
            "LONGHAUL_API_KEY=lh_a_b longhaul tasks send 'hello' --url http://127.0.0.1:9 --agent echo",
            "curl -s http://127.0.0.1:9/agents/echo/ ",
            "-H 'Authorization: Bearer lh_a_b'",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }
}
