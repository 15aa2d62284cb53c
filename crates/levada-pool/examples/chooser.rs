//! Chooses at the console which identity the pool shows to servers:
//! `cargo run -p levada-pool --example chooser -- /run/levada/pool.sock`.

use std::error::Error;
use std::io::{self, BufRead as _, Write as _};
use std::time::Duration;

use levada_pool::wire::{Identity, LidentryFlags};
use levada_pool::{Choice, Chooser, IdentityQuestion, blocking};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("which pool? Name its socket")?;
    // Asked about servers that the policy does not name, and told what it has.
    let flags = LidentryFlags::SKIP_DOMAIN_SAME.with(LidentryFlags::WANT_DBENTRY);
    let chooser = Chooser::new(Duration::from_secs(120)).flags(flags);
    let why = blocking::Client::connect(path)?.serve_identities(chooser, choose);
    Err(why.into())
}

/// Asks who to be. The answer is remembered; an empty one refuses.
fn choose(question: &IdentityQuestion) -> Option<Choice> {
    // Any application may name anybody: what it says is not to steer the terminal.
    let text = |id: &Identity| String::from_utf8_lossy(id.as_bytes()).escape_debug().to_string();
    println!("\nWho are we to be to {}?", text(&question.remote_id));
    for (name, selector) in &question.disclosed {
        println!("  {} (for {})", text(name), text(selector));
    }
    if question.on_the_fly {
        println!("  or a name that the pool can sign for");
    }
    print!("{}> ", text(&question.local_id));
    io::stdout().flush().ok()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).ok()?;
    let local_id = match line.trim() {
        "" => return None,
        name => Identity::new(name).ok()?,
    };
    let flags = LidentryFlags::DBINSERT.with(LidentryFlags::ONTHEFLY);
    Some(Choice { flags, ..Choice::once(local_id) })
}
