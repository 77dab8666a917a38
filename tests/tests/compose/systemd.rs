//! Reads systemd units as far as the rules need them.

use std::collections::BTreeMap;

/// The lines of one unit.
#[derive(Debug)]
pub struct Unit {
    /// Name of the file.
    pub name: String,
    lines: Vec<(String, String)>,
}

impl Unit {
    pub fn parse(name: &str, text: &str) -> Self {
        let pairs = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = pairs.filter_map(|line| line.split_once('='));
        let lines = pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Self { name: name.to_owned(), lines }
    }

    /// The last value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.lines.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Variables that `Environment=` sets.
    pub fn env(&self) -> BTreeMap<String, String> {
        let set = self.lines.iter().filter(|(key, _)| key == "Environment");
        set.filter_map(|(_, pair)| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The arguments of the binary.
    pub fn arguments(&self) -> Vec<String> {
        let line = self.get("ExecStart").unwrap_or_default();
        line.split_whitespace().skip(1).map(str::to_owned).collect()
    }
}
