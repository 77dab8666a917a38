//! Reads a Dockerfile as far as the rules need it.

use std::collections::BTreeMap;

/// One `FROM … AS name` with its instructions.
#[derive(Debug)]
pub struct Stage {
    pub name: String,
    pub from: String,
    /// Keyword and the rest of the line.
    pub instructions: Vec<(String, String)>,
}

/// All stages, in order.
#[derive(Debug)]
pub struct Dockerfile {
    pub stages: Vec<Stage>,
    /// The builder frontend named by `# syntax=`, which is pulled from a registry.
    pub frontend: Option<String>,
}

impl Dockerfile {
    pub fn parse(text: &str) -> Self {
        let joined: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
        let mut stages: Vec<Stage> = Vec::new();
        for line in joined.join("\n").replace("\\\n", " ").lines() {
            let Some((word, rest)) = line.trim().split_once(' ') else { continue };
            let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
            if word == "FROM" {
                let (from, name) = rest.split_once(" AS ").unwrap_or((&rest, ""));
                let (from, name) = (from.to_owned(), name.to_owned());
                stages.push(Stage { name, from, instructions: Vec::new() });
            } else if let Some(stage) = stages.last_mut() {
                stage.instructions.push((word.to_owned(), rest));
            }
        }
        let frontend = text.lines().find_map(|line| line.strip_prefix("# syntax="));
        Self { stages, frontend: frontend.map(str::to_owned) }
    }

    /// The stage of this name.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Arguments of `keyword` in this stage and the stages that it builds on, first to last.
    pub fn all(&self, stage: &str, keyword: &str) -> Vec<&str> {
        let Some(stage) = self.stage(stage) else { return Vec::new() };
        let mut found = self.all(&stage.from, keyword);
        let own = stage.instructions.iter().filter(|(word, _)| word == keyword);
        found.extend(own.map(|(_, rest)| rest.as_str()));
        found
    }

    /// The environment of a container of this stage.
    pub fn env(&self, stage: &str) -> BTreeMap<String, String> {
        let pairs = self.all(stage, "ENV").into_iter().flat_map(str::split_whitespace);
        pairs
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Sources and target of every `COPY` from the build context, in any stage.
    pub fn copies(&self) -> Vec<(Vec<&str>, &str)> {
        let all = self.stages.iter().flat_map(|stage| &stage.instructions);
        all.filter(|(word, rest)| word == "COPY" && !rest.contains("--from="))
            .filter_map(|(_, rest)| {
                let mut words: Vec<&str> =
                    rest.split(' ').filter(|word| !word.starts_with("--")).collect();
                let target = words.pop()?;
                Some((words, target))
            })
            .collect()
    }
}

/// The words of `["a", "b"]`; `None` for any other form.
pub fn exec_form(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

#[test]
fn a_stage_has_what_it_is_built_from() {
    let file = Dockerfile::parse(
        "# syntax=x/y:1\nFROM debian:1 AS base\nENV A=1 \\\n    B=2\nUSER 5\nCOPY --chmod=755 x y /z/\nFROM base AS more\nENV A=3\n",
    );
    assert_eq!(
        file.env("more"),
        BTreeMap::from([("A".into(), "3".into()), ("B".into(), "2".into())])
    );
    assert_eq!(file.frontend.as_deref(), Some("x/y:1"));
    assert_eq!(file.all("more", "USER"), ["5"]);
    assert_eq!(file.copies(), [(vec!["x", "y"], "/z/")]);
}
