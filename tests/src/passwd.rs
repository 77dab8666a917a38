//! The user that runs Postgres: it refuses to run as root, so a test run as root uses another user.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// A user that exists on this machine and is not root.
#[derive(Debug, Clone, Copy)]
pub struct User {
    uid: u32,
    gid: u32,
}

impl User {
    /// The user for servers that refuse root; `None` when this process is not root, so that servers
    /// run as its user.
    pub fn for_servers() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            return None;
        }
        let known = fs::read_to_string("/etc/passwd").expect("a Unix machine has /etc/passwd");
        let found = ["postgres", "nobody"].into_iter().find_map(|name| find(&known, name));
        Some(found.expect("running as root needs a user postgres or nobody, because Postgres refuses to run as root"))
    }

    /// Makes `command` run as this user.
    pub fn apply_to(self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }

    /// Makes this user the owner of `path`.
    pub fn own(self, path: &Path) {
        chown(path, Some(self.uid), Some(self.gid)).unwrap_or_else(|error| {
            panic!("cannot give {} to the server's user: {error}", path.display())
        });
    }
}

fn find(passwd: &str, name: &str) -> Option<User> {
    let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2);
    let uid = fields.next()?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(User { uid, gid })
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "root:x:0:0:root:/:/bin/sh\npostgresql:x:7:8::/:\npostgres:x:101:104:,,,:/var/lib:/bin/bash\n";
        let user = find(passwd, "postgres").expect("postgres is listed");
        assert_eq!((user.uid, user.gid), (101, 104));
        assert!(find(passwd, "nobody").is_none());
    }
}
