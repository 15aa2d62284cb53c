//! Manual pages and completions, from the one definition of the command line.

use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args;
use crate::exit::{Exit, Stop, fail};
use crate::help;

/// What is printed or written.
#[derive(Clone, Debug)]
pub(crate) enum Printed {
    /// The page of the command, or all pages into this folder.
    Man(Option<PathBuf>),
    /// Completions.
    Completions(Shell),
}

/// Prints or writes it.
///
/// # Errors
///
/// When it cannot be written.
pub(crate) fn run(what: &Printed) -> Result<Exit, Stop> {
    let done = match what {
        Printed::Man(None) => page(root(), "levada", help::EXAMPLES).and_then(|page| print(&page)),
        Printed::Man(Some(folder)) => {
            let written = pages().and_then(|pages| {
                fs::create_dir_all(folder)?;
                pages.iter().try_for_each(|(name, page)| fs::write(folder.join(name), page))
            });
            written.map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", folder.display()))
            })
        }
        Printed::Completions(shell) => print(&completions(*shell)),
    };
    done.map_err(|error| fail(format!("cannot write: {error}")))?;
    Ok(Exit::Clean)
}

fn print(bytes: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(bytes) {
        // Whoever closed our standard output has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn completions(shell: Shell) -> Vec<u8> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut args::command(), "levada", &mut text);
    text
}

fn root() -> Command {
    args::command()
}

/// Every page by the name of its file.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut pages = vec![("levada.1".to_owned(), page(root(), "levada", help::EXAMPLES)?)];
    for verb in root().get_subcommands() {
        let name = format!("levada-{}", verb.get_name());
        let examples = help::examples(verb.get_name());
        pages.push((format!("{name}.1"), page(verb.clone(), &name, examples)?));
    }
    Ok(pages)
}

fn page(command: Command, name: &str, examples: &str) -> io::Result<Vec<u8>> {
    let usage = name.replace('-', " ");
    // A template has places for `clap` alone, and the page has its own.
    let command = command
        .display_name(name.to_owned())
        .bin_name(usage)
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true);
    let man = Man::new(command.clone()).title(name.to_uppercase()).section("1").manual("Levada");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    text.extend(verbatim(examples).bytes());
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_version_section(&mut text)?;
    Ok(text)
}

/// The text as a section of its own, line by line as it is. Its first line is the heading.
fn verbatim(text: &str) -> String {
    let (_, lines) = text.split_once('\n').unwrap_or(("", text));
    let mut section = String::from(".SH EXAMPLES\n.nf\n");
    for line in lines.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
        // A line that begins with a dot would be a request.
        section.push_str("\\&");
        section.push_str(&line);
        section.push('\n');
    }
    section.push_str(".fi\n");
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every flag of every verb, as `(verb, flag)`.
    fn flags() -> Vec<(String, String)> {
        let command = root();
        let flags = command.get_subcommands().flat_map(|verb| {
            let longs = verb.get_arguments().filter_map(|arg| arg.get_long());
            longs.map(|long| (verb.get_name().to_owned(), long.to_owned())).collect::<Vec<_>>()
        });
        flags.collect()
    }

    #[test]
    fn the_manual_names_every_flag() {
        let pages = pages().unwrap();
        for (verb, flag) in flags() {
            let name = format!("levada-{verb}.1");
            let (_, page) = pages.iter().find(|(file, _)| *file == name).unwrap();
            let page = String::from_utf8_lossy(page);
            assert!(
                page.contains(&format!("\\-\\-{}", flag.replace('-', "\\-"))),
                "{name}: {flag}"
            );
        }
        for verb in ["serve", "connect", "inspect", "dev-ca", "check", "man", "completions"] {
            assert!(pages.iter().any(|(name, _)| *name == format!("levada-{verb}.1")), "{verb}");
        }
    }

    #[test]
    fn completions_name_every_flag() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let text = String::from_utf8(completions(shell)).unwrap();
            for (_, flag) in flags() {
                let named = match shell {
                    Shell::Fish => text.contains(&format!("-l {flag}")),
                    _ => text.contains(&format!("--{flag}")),
                };
                assert!(named, "{shell}: {flag}");
            }
        }
    }

    #[test]
    fn examples_are_shown_as_they_are() {
        let section = verbatim("Examples:\n  a 'b' \\\n.c\n");
        assert_eq!(section, ".SH EXAMPLES\n.nf\n\\&  a \\(aqb\\(aq \\e\n\\&.c\n.fi\n");
    }
}
