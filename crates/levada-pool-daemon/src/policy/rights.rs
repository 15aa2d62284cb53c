//! Who may use what, for which service and in which role.

use levada_pool_wire::Role;

use super::Asker;
use super::file::Roles;

/// Who may use an identity, for what. By default everybody, for everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rights {
    pub(super) roles: Roles,
    pub(super) services: Option<Vec<String>>,
    pub(super) users: Option<Vec<u32>>,
    pub(super) groups: Option<Vec<u32>>,
}

impl Rights {
    pub(crate) const fn has(&self, role: Role) -> bool {
        match role {
            Role::Client => self.roles.client,
            Role::Server => self.roles.server,
        }
    }

    pub(crate) fn allow(&self, Asker { credentials, service }: Asker<'_>, role: Role) -> bool {
        let by_service =
            self.services.as_ref().is_none_or(|services| services.iter().any(|own| own == service));
        let everybody = self.users.is_none() && self.groups.is_none();
        let by_user = self.users.iter().flatten().any(|&uid| uid == credentials.uid);
        let is_member = |gid| gid == credentials.gid || credentials.groups.contains(&gid);
        let by_group = self.groups.iter().flatten().any(|&gid| is_member(gid));
        self.has(role) && by_service && (everybody || by_user || by_group)
    }
}
