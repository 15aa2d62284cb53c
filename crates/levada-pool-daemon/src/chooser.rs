//! LIDENTRY: which identity a TLS client shows is chosen by whoever is registered for that, within what
//! the policy lets the application use.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use levada_pool_wire::body::Lidentry;
use levada_pool_wire::{Identity, LidentryFlags, Message, Role};

use crate::choices::{Candidate, Choice, Choices, ENTRIES, Lists};
use crate::notice::Notice;
use crate::policy::{Asker, Denied, Local, Policy, selectors};
use crate::pool::Shared;
use crate::service::{NoAnswer, Turn};

/// Why nobody is shown, and there is no session.
#[derive(Debug)]
pub(crate) enum NoChoice {
    NoAnswer(NoAnswer),
    Denied(Denied),
}

impl From<NoAnswer> for NoChoice {
    fn from(why: NoAnswer) -> Self {
        Self::NoAnswer(why)
    }
}

impl From<Denied> for NoChoice {
    fn from(why: Denied) -> Self {
        Self::Denied(why)
    }
}

impl fmt::Display for NoChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(why) => write!(f, "no identity was chosen: {why}"),
            Self::Denied(why) => why.fmt(f),
        }
    }
}

/// What may be shown to a remote identity without being asked for: under the first selector that has
/// something, in order.
#[derive(Debug)]
struct Disclosed {
    selector: String,
    candidates: Vec<Candidate>,
}

/// Who asks for what.
pub(crate) struct Wanted<'a> {
    pub(crate) asker: Asker<'a>,
    /// Who the application says that we are; empty if it says nothing.
    pub(crate) local: &'a str,
    /// Who the peer has to be.
    pub(crate) remote: &'a str,
}

/// The identity that a TLS client shows: as it is chosen, or else as application and policy say. `None`
/// shows none.
///
/// Source: TLS Pool protocol V2, LIDENTRY.
///
/// # Errors
///
/// [`NoChoice`]. Where somebody is registered, nobody is shown whom they did not choose.
pub(crate) async fn choose(
    pool: &Shared,
    policy: &Policy,
    wanted: &Wanted<'_>,
) -> Result<Option<Arc<Local>>, NoChoice> {
    let disclosed = disclosed(policy, &pool.choices, wanted);
    let known = disclosed.as_ref().map(|disclosed| disclosed.selector.as_str());
    if let Some(terms) = pool.chooser.terms()
        && !skips(terms.flags, wanted.remote, known)
    {
        match pool.chooser.turn().await {
            Ok(turn) => return ask(pool, policy, wanted, disclosed.as_ref(), turn).await.map(Some),
            // It has gone without being asked.
            Err(NoAnswer::Nobody) => {}
            Err(why) => return Err(why.into()),
        }
    }
    if !wanted.local.is_empty() {
        return Ok(Some(policy.named(wanted.asker, wanted.local, Role::Client)?.clone()));
    }
    match disclosed.as_ref().and_then(|disclosed| disclosed.candidates.first()) {
        Some(candidate) => Ok(Some(found(policy, wanted.asker, candidate).await?)),
        None => Ok(None),
    }
}

/// Asks who is to be shown, after all that could be, if that is wanted.
async fn ask(
    pool: &Shared,
    policy: &Policy,
    wanted: &Wanted<'_>,
    disclosed: Option<&Disclosed>,
    mut turn: Turn,
) -> Result<Arc<Local>, NoChoice> {
    let terms = turn.terms();
    let registered = terms.flags.and(LidentryFlags::REGFLAGS);
    let forms = selectors(wanted.remote);
    let most = u16::try_from(forms.len() - 1).unwrap_or(u16::MAX).min(terms.max_levels);
    let identity = |text: &str| Identity::new(text).map_err(|_| NoAnswer::Unusable);
    let question = |flags, local_id, remote_id| {
        let due = SystemTime::now() + terms.time;
        let due = due.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let timeout_s = u32::try_from(due).unwrap_or(u32::MAX);
        let body = Lidentry { flags, max_levels: most, timeout_s, local_id, remote_id };
        Message::LidentryCallback(body)
    };
    let candidates = disclosed.map_or(&[][..], |disclosed| &disclosed.candidates);
    if let Some(disclosed) = disclosed
        && terms.flags.contains(LidentryFlags::WANT_DBENTRY)
    {
        for candidate in candidates.iter().take(ENTRIES) {
            let flags = registered.with(LidentryFlags::DBENTRY);
            let entry = question(flags, identity(&candidate.name)?, identity(&disclosed.selector)?);
            // It has been heard: what it says does not count.
            (_, turn) = turn.ask(entry).await?;
        }
    }
    let first = candidates.first().map_or("", |candidate| &candidate.name);
    let suggestion = if wanted.local.is_empty() { first } else { wanted.local };
    let makes = policy.local_ca().is_some_and(|ca| ca.is_for(wanted.asker, Role::Client));
    let flags = if makes { registered.with(LidentryFlags::ONTHEFLY) } else { registered };
    let inquiry = question(flags, identity(suggestion)?, identity(wanted.remote)?);
    let (answer, turn) = turn.ask(inquiry).await?;
    let (Message::LidentryCallback(said) | Message::LidentryRegister(said)) = answer else {
        return Err(NoAnswer::Unusable.into());
    };
    let text = |identity: &Identity| identity.as_str().map(str::to_ascii_lowercase);
    let (Some(name), Some(shown_to)) = (text(&said.local_id), text(&said.remote_id)) else {
        return Err(NoAnswer::Unusable.into());
    };
    // A dot at the end says nothing.
    let name = name.trim_end_matches('.').to_owned();
    if name.is_empty() {
        return Err(NoAnswer::Declined.into());
    }
    let selector = if shown_to.is_empty() {
        forms.first()
    } else {
        forms.iter().take(usize::from(most) + 1).find(|form| **form == shown_to)
    };
    let selector = selector.ok_or(NoAnswer::Unusable)?;
    let on_the_fly = said.flags.contains(LidentryFlags::ONTHEFLY);
    let candidate = Candidate { name, on_the_fly };
    let local = found(policy, wanted.asker, &candidate).await?;
    if let Some(choice) = Choice::told(said.flags, selector, &candidate, candidates)
        && let Some(written) = pool.choices.remember(choice).await
    {
        let (local_id, selector) = (candidate.name, selector.clone());
        pool.tell(&Notice::Remembered { local_id, selector, written });
    }
    drop(turn);
    Ok(local)
}

async fn found(
    policy: &Policy,
    asker: Asker<'_>,
    candidate: &Candidate,
) -> Result<Arc<Local>, Denied> {
    match policy.named(asker, &candidate.name, Role::Client) {
        Err(Denied::NoSuchIdentity(_)) if candidate.on_the_fly => {
            policy.make(asker, &candidate.name, Role::Client).await
        }
        named => named.cloned(),
    }
}

fn disclosed(
    policy: &Policy,
    choices: &Choices,
    &Wanted { asker, remote, .. }: &Wanted<'_>,
) -> Option<Disclosed> {
    selectors(remote).into_iter().find_map(|selector| {
        let Lists { front, back } = choices.lists(&selector);
        let own = policy.shown_to(asker, &selector).map(|local| local.name().to_owned());
        let own = own.map(|name| Candidate { name, on_the_fly: false });
        let mut candidates: Vec<Candidate> = Vec::new();
        for candidate in front.into_iter().chain(own).chain(back) {
            let makes = || policy.local_ca().is_some_and(|ca| ca.is_for(asker, Role::Client));
            let is_there = match policy.named(asker, &candidate.name, Role::Client) {
                Ok(_) => true,
                Err(Denied::NoSuchIdentity(_)) => candidate.on_the_fly && makes(),
                Err(_) => false,
            };
            if is_there && candidates.iter().all(|other| other.name != candidate.name) {
                candidates.push(candidate);
            }
        }
        (!candidates.is_empty()).then_some(Disclosed { selector, candidates })
    })
}

/// Whether who is registered with `flags` need not be asked, where the entry for `remote` that counts
/// stands under `selector`: while all the conditions hold that they name.
///
/// | flag | condition |
/// |---|---|
/// | `SKIP_DBENTRY` | there is an entry |
/// | `SKIP_USER` | it is for this user, and not for all |
/// | `SKIP_DOMAIN_SAME` | it is for this very domain |
/// | `SKIP_DOMAIN_ONEUP` | it is for this domain, or for all below its parent |
/// | `SKIP_DOMAIN_SUB` | it is for this domain, or for all below one that it lies in |
/// | `SKIP_NOTROOT` | it is not for all domains |
///
/// Source: TLS Pool protocol V2, LIDENTRY flags.
fn skips(flags: LidentryFlags, remote: &str, selector: Option<&str>) -> bool {
    let Some(selector) = selector.filter(|_| flags.contains(LidentryFlags::SKIP_DBENTRY)) else {
        return false;
    };
    let remote = remote.to_ascii_lowercase();
    let split = |text: &str| match text.rsplit_once('@') {
        Some((user, domain)) => (Some(user.to_owned()), domain.to_owned()),
        None => (None, text.to_owned()),
    };
    let ((user, domain), (for_user, for_domain)) = (split(&remote), split(selector));
    let domain = domain.trim_end_matches('.');
    // `.` ends every domain, and no name is left out by it.
    let up = if for_domain == domain {
        Some(0)
    } else {
        let end = for_domain.trim_end_matches('.');
        domain.strip_suffix(end).map(|below| below.split('.').count())
    };
    let domain_holds = match flags.and(LidentryFlags::SKIP_DOMAIN_SUB).bits() & 0x6 {
        0x2 => up == Some(0),
        0x4 => up.is_some_and(|up| up <= 1),
        _ => true,
    };
    let is_named = |flag: LidentryFlags| flags.contains(flag);
    domain_holds
        && (!is_named(LidentryFlags::SKIP_USER) || user == for_user)
        && (!is_named(LidentryFlags::SKIP_NOTROOT) || for_domain != ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a4_a_question_is_skipped_while_all_conditions_hold() {
        const REMOTE: &str = "u@a.b.c";
        let forms = selectors(REMOTE);
        let skipped = |flags: LidentryFlags| {
            let skips = |form: &&String| skips(flags, REMOTE, Some(form));
            forms.iter().filter(skips).map(String::as_str).collect::<Vec<_>>()
        };
        assert_eq!(skipped(LidentryFlags::NONE), Vec::<&str>::new());
        assert_eq!(skipped(LidentryFlags::SKIP_DBENTRY), forms);
        let for_user = ["u@a.b.c", "u@.b.c", "u@.c", "u@."];
        assert_eq!(skipped(LidentryFlags::SKIP_USER), for_user);
        assert_eq!(skipped(LidentryFlags::SKIP_DOMAIN_SAME), ["u@a.b.c", "@a.b.c"]);
        let up = ["u@a.b.c", "@a.b.c", "u@.b.c", "@.b.c"];
        assert_eq!(skipped(LidentryFlags::SKIP_DOMAIN_ONEUP), up);
        assert_eq!(skipped(LidentryFlags::SKIP_DOMAIN_SUB), forms);
        assert_eq!(skipped(LidentryFlags::SKIP_NOTROOT), forms[..6]);
        let all = LidentryFlags::SKIP_USER
            .with(LidentryFlags::SKIP_DOMAIN_SUB)
            .with(LidentryFlags::SKIP_NOTROOT);
        assert_eq!(skipped(all), ["u@a.b.c", "u@.b.c", "u@.c"]);
        assert!(!skips(all, REMOTE, None), "without an entry there is a question");
        assert!(skips(LidentryFlags::SKIP_USER, "A.b", Some(".b")), "nobody is nobody");
        assert!(skips(LidentryFlags::SKIP_DOMAIN_ONEUP, "b.", Some(".")));
    }
}
