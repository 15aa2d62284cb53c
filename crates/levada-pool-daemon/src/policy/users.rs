//! Users and groups of this machine by name.

use std::io;
use std::path::Path;

/// The two tables of this machine, each `name` and number a line (passwd(5), group(5)). Names that
/// come from elsewhere, a directory service, are not in them: give the number then.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    users: String,
    groups: String,
}

impl Accounts {
    /// Reads the tables of this machine.
    pub(crate) fn read() -> io::Result<Self> {
        let read = |path: &str| std::fs::read(Path::new(path));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ok(Self { users: text(read("/etc/passwd")?), groups: text(read("/etc/group")?) })
    }

    pub(crate) fn uid(&self, user: &str) -> Option<u32> {
        number(&self.users, user)
    }

    pub(crate) fn gid(&self, group: &str) -> Option<u32> {
        number(&self.groups, group)
    }
}

/// The third field of the line whose first is `name`.
fn number(table: &str, name: &str) -> Option<u32> {
    table.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next()? == name).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_numbers() {
        let accounts = Accounts {
            users: "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/:/bin/false\nodd\n".to_owned(),
            groups: "root:x:0:\nmail:x:8:a,b\n".to_owned(),
        };
        assert_eq!((accounts.uid("www"), accounts.gid("mail")), (Some(33), Some(8)));
        assert_eq!(
            (accounts.uid("odd"), accounts.gid("www"), accounts.uid("")),
            (None, None, None)
        );
    }
}
