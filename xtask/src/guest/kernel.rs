//! Debian's kernels: fetched, never installed, from the mirror that this system has.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::steps::{run, shown};

/// A kernel of Debian's for machines that are emulated.
pub(super) struct Kernel {
    pub(super) suite: &'static str,
    /// Whether a connection under kernel TLS can go on with new keys.
    pub(super) rekeys: bool,
}

pub(super) const KERNELS: &[Kernel] = &[
    Kernel { suite: "bookworm", rekeys: false },
    Kernel { suite: "trixie-backports", rekeys: true },
];

/// The package that depends on the newest of a suite.
const NEWEST: &str = "linux-image-cloud-amd64";

/// What TLS in the kernel needs, by name: each kernel has some of them built in, and some not at all. The
/// ciphers find the generic parts by name only, so that no dependency tells of them.
const MODULES: &[&str] = &[
    "cryptd",
    "crypto_simd",
    "gf128mul",
    "ghash-generic",
    "gcm",
    "ccm",
    "libpoly1305",
    "poly1305-generic",
    "poly1305-x86_64",
    "libchacha",
    "chacha",
    "chacha-generic",
    "chacha-x86_64",
    "libchacha20poly1305",
    "chacha20poly1305",
    "aesni-intel",
    "ghash-clmulni-intel",
    "tls",
];

/// A kernel that is there.
pub(super) struct Fetched {
    /// As `uname -r` tells it.
    pub(super) release: String,
    pub(super) image: PathBuf,
    /// In the order in which they have to be loaded.
    pub(super) modules: Vec<PathBuf>,
}

impl Kernel {
    /// Fetches and unpacks what is not there yet.
    pub(super) fn fetch(&self, folder: &Path) -> Result<Fetched, String> {
        let root = folder.join("root");
        if !root.exists() {
            self.unpack(folder, &root)
                .map_err(|why| format!("the kernel of {} cannot be fetched: {why}", self.suite))?;
        }
        let modules = root.join("lib/modules");
        let release = only(&modules)?;
        // Some packages have it in /boot, some beside the modules.
        let places = [
            root.join("boot").join(format!("vmlinuz-{release}")),
            modules.join(&release).join("vmlinuz"),
        ];
        let image = places.into_iter().find(|place| place.is_file());
        let image = image.ok_or_else(|| format!("no kernel lies below {}", root.display()))?;
        Ok(Fetched { modules: in_order(&root, &release)?, image, release })
    }

    fn unpack(&self, folder: &Path, root: &Path) -> Result<(), String> {
        let apt = Apt::new(folder, self.suite)?;
        run(&mut apt.command("apt-get", &["update"]))?;
        let packages = apt.kernel()?;
        let debs = folder.join("debs");
        make(&debs)?;
        let mut download = apt.command("apt-get", &["download"]);
        run(download.args(&packages).current_dir(&debs))?;
        let aside = folder.join("root.new");
        make(&aside)?;
        // Packages of before and after the merge of /usr lie in the same tree then.
        let usr = aside.join("usr/lib");
        make(&usr)?;
        std::os::unix::fs::symlink("usr/lib", aside.join("lib"))
            .map_err(|error| in_file(&aside, &error))?;
        for deb in files(&debs)? {
            // Its own way of unpacking would put a folder in place of the link.
            let unpack =
                "dpkg-deb --fsys-tarfile \"$1\" | tar -x --keep-directory-symlink -C \"$2\"";
            run(Command::new("sh").args(["-c", unpack, "sh"]).arg(deb).arg(&aside))?;
        }
        // Ten times as much as what is taken out of them.
        for spent in [debs, apt.folder] {
            fs::remove_dir_all(&spent).map_err(|error| in_file(&spent, &error))?;
        }
        fs::rename(&aside, root).map_err(|error| in_file(root, &error))
    }
}

/// Apt with a state of its own, for one suite. Of the system's it takes the mirror, the keys that sign and
/// how to get there, and changes nothing.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn new(folder: &Path, suite: &str) -> Result<Self, String> {
        let folder = folder.join("apt");
        for part in ["lists/partial", "archives/partial", "parts"] {
            make(&folder.join(part))?;
        }
        let apt = Self { folder };
        apt.write("status", "")?;
        let (mirror, keys) = mirror()?;
        let signed_by = keys.map_or_else(String::new, |keys| format!("[signed-by={keys}] "));
        apt.write("sources.list", &format!("deb {signed_by}{mirror} {suite} main\n"))?;
        let own = apt.folder.display();
        let config = format!(
            "Dir::Etc::sourcelist \"{own}/sources.list\";\n\
             Dir::Etc::sourceparts \"{own}/parts\";\n\
             Dir::State \"{own}\";\n\
             Dir::State::lists \"{own}/lists\";\n\
             Dir::State::status \"{own}/status\";\n\
             Dir::Cache \"{own}\";\n\
             Dir::Cache::archives \"{own}/archives\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";\n\
             # The user that it would become may not write here.\n\
             APT::Sandbox::User \"root\";\n"
        );
        apt.write("apt.conf", &config)?;
        Ok(apt)
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let file = self.folder.join(name);
        fs::write(&file, text).map_err(|error| in_file(&file, &error))
    }

    fn command(&self, program: &str, words: &[&str]) -> Command {
        let mut command = Command::new(program);
        // Read last, so that the rest of the system's settings stays: how to get there, above all.
        command.arg("--config-file").arg(self.folder.join("apt.conf")).args(words);
        command
    }

    /// The packages that hold the newest kernel and its modules.
    fn kernel(&self) -> Result<Vec<String>, String> {
        let words = ["depends", "--recurse", "--important", NEWEST];
        let told = output(&mut self.command("apt-cache", &words))?;
        let is_part = |name: &&str| {
            let parts = ["linux-image-", "linux-binary-", "linux-modules-"];
            parts.iter().any(|part| name.starts_with(part)) && *name != NEWEST
        };
        // The packages themselves stand at the begin of lines, what they depend on behind a space.
        let mut packages: Vec<String> = told.lines().filter(is_part).map(str::to_owned).collect();
        packages.dedup();
        if packages.is_empty() {
            Err(format!("{NEWEST} depends on no kernel"))
        } else {
            Ok(packages)
        }
    }
}

/// Where this system has Debian from: the first mirror that it names, and the file of the keys that sign it
/// where it names one.
fn mirror() -> Result<(String, Option<String>), String> {
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(REPO_URI)\t$(SOURCESENTRY)"]);
    ask.args(["Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main"]);
    let told = output(&mut ask)?;
    let first = told.lines().next().and_then(|line| line.split_once('\t'));
    let (mirror, entry) = first.ok_or("the system's lists have no Debian: run `apt-get update`")?;
    let file = entry.rsplit_once(':').map_or(entry, |(file, _)| file);
    let sources = fs::read_to_string(file).map_err(|error| in_file(Path::new(file), &error))?;
    Ok((mirror.to_owned(), signed_by(&sources).map(str::to_owned)))
}

/// The file of keys that a list of sources names first, in either of apt's formats.
fn signed_by(sources: &str) -> Option<&str> {
    const OPTION: &str = "signed-by";
    let at = sources.to_ascii_lowercase().find(OPTION)?;
    let value = sources[at + OPTION.len()..].trim_start_matches([':', '=', ' ']);
    let value = value.split([' ', ',', ']', '\n']).next()?;
    // Else it is a key itself, or a fingerprint among the keys that the system trusts anyway.
    value.starts_with('/').then_some(value)
}

/// The modules that there are, each behind what it depends on.
fn in_order(root: &Path, release: &str) -> Result<Vec<PathBuf>, String> {
    // It is all of these tools, which lie where not everybody looks for programs.
    let kmod = |name: &str| {
        let mut command = Command::new("kmod");
        command.arg0(name);
        command
    };
    output(kmod("depmod").arg("-b").arg(root).arg(release))?;
    let mut order = Vec::new();
    for module in MODULES {
        let mut ask = kmod("modprobe");
        ask.args(["--show-depends", "--ignore-install", "-d"])
            .arg(root)
            .args(["-S", release, module]);
        let Ok(told) = output(&mut ask) else { continue };
        let files = told.lines().filter_map(|line| line.strip_prefix("insmod ")).map(str::trim);
        for file in files.map(PathBuf::from) {
            if !order.contains(&file) {
                order.push(file);
            }
        }
    }
    if order.iter().any(|file| file.to_string_lossy().contains("/net/tls/")) {
        Ok(order)
    } else {
        Err(format!("the kernel {release} has no module for TLS"))
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("`{}`: {error}", shown(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let told = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{}`: {}: {}", shown(command), output.status, told.trim()))
    }
}

/// The name of the only entry of a folder.
fn only(folder: &Path) -> Result<String, String> {
    let found = files(folder)?;
    let [one] = &found[..] else {
        return Err(format!("{} should have one entry", folder.display()));
    };
    Ok(one.file_name().unwrap_or_default().to_string_lossy().into_owned())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| in_file(folder, &error))?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> =
        paths.collect::<Result<_, _>>().map_err(|error| in_file(folder, &error))?;
    paths.sort();
    Ok(paths)
}

pub(super) fn make(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| in_file(folder, &error))
}

pub(super) fn in_file(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_a_mirror_are_found_in_both_formats() {
        let keys = Some("/usr/share/keyrings/debian.gpg");
        let file = "Types: deb\nURIs: http://deb\nSigned-By: /usr/share/keyrings/debian.gpg\n";
        assert_eq!(signed_by(file), keys);
        let line =
            "deb [arch=amd64 signed-by=/usr/share/keyrings/debian.gpg] http://deb stable main";
        assert_eq!(signed_by(line), keys);
        assert_eq!(signed_by("deb http://deb stable main"), None);
        assert_eq!(signed_by("Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n"), None);
    }
}
