//! A guest's file system: one folder, packed as the kernel unpacks it.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Program;
use super::boot::{ENDED, ended};
use super::kernel::{in_file, make};
use crate::peers::find;
use crate::steps::run;

/// What has to be there before anything runs.
const FOLDERS: [&str; 8] = ["bin", "dev", "etc", "modules", "proc", "programs", "sys", "tmp"];

/// What TCP may keep of a connection, in bytes: little, so that little fills it (tcp(7)).
const BUFFERS: &str = "4096 65536 262144";

/// The file system of one guest.
pub(super) struct Image {
    root: PathBuf,
}

impl Image {
    /// An empty one that has a shell and can load modules.
    pub(super) fn new(root: &Path) -> Result<Self, String> {
        if root.exists() {
            fs::remove_dir_all(root).map_err(|error| in_file(root, &error))?;
        }
        for folder in FOLDERS {
            make(&root.join(folder))?;
        }
        let image = Self { root: root.to_path_buf() };
        for (program, place) in [("busybox", "/bin/busybox"), ("kmod", "/bin/insmod")] {
            let path = find(program).ok_or_else(|| format!("{program} is not there"))?;
            image.program(&path, Path::new(place))?;
        }
        symlink("busybox", image.place(Path::new("/bin/sh")))
            .map_err(|error| in_file(root, &error))?;
        Ok(image)
    }

    /// Adds modules, to be loaded in this order.
    pub(super) fn modules(&mut self, modules: &[PathBuf]) -> Result<(), String> {
        let mut order = String::new();
        for module in modules {
            let name = Path::new("/modules").join(module.file_name().unwrap_or_default());
            self.copy(module, &name)?;
            let _ = writeln!(order, "{}", name.display());
        }
        self.write("/modules/order", &order)
    }

    /// Adds a program under this name, with the libraries that it names.
    pub(super) fn program(&self, program: &Path, place: &Path) -> Result<(), String> {
        self.copy(program, place)?;
        // What tells of lines is most of a test, and the guest's memory holds all of this.
        let _ = Command::new("strip").arg("--strip-debug").arg(self.place(place)).status();
        let told = Command::new("ldd").arg(program).output();
        let told = told.map_err(|error| format!("ldd: {error}"))?;
        // It fails for a program that stands alone.
        for library in String::from_utf8_lossy(&told.stdout).lines().filter_map(library) {
            if !self.place(library).exists() {
                self.copy(library, library)?;
            }
        }
        Ok(())
    }

    /// Writes what the kernel begins.
    pub(super) fn init(&self, programs: &[Program], environment: &[&str]) -> Result<(), String> {
        let environment = environment.join(" ");
        let mut script = format!(
            "#!/bin/sh\n\
             export PATH=/bin:/usr/bin {environment}\n\
             busybox mount -t proc proc /proc\n\
             busybox mount -t sysfs sys /sys\n\
             busybox mount -t devtmpfs dev /dev\n\
             busybox ln -s /proc/self/fd /dev/fd\n\
             busybox ifconfig lo 127.0.0.1 up\n\
             echo \"{BUFFERS}\" >/proc/sys/net/ipv4/tcp_wmem\n\
             echo \"{BUFFERS}\" >/proc/sys/net/ipv4/tcp_rmem\n\
             while read module; do insmod $module 2>/dev/null; done </modules/order\n\
             cd /tmp\n",
        );
        for (number, program) in programs.iter().enumerate() {
            let words = program.words.iter().map(|word| quoted(word));
            let words = words.collect::<Vec<_>>().join(" ");
            let _ = writeln!(script, "echo \"> {} {words}\"", program.path.display());
            let _ = writeln!(script, "/programs/{number} {words} </dev/null 2>&1; status=$?");
            // What it has printed may not have ended its line.
            let _ = writeln!(script, "echo; echo \"{} $status\"", ended(number));
        }
        let _ = writeln!(script, "echo {ENDED}\nbusybox poweroff -f");
        self.write("/init", &script)?;
        let place = self.place(Path::new("/init"));
        let may_run = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&place, may_run).map_err(|error| in_file(&place, &error))
    }

    /// Packs it all into one file.
    pub(super) fn pack(&self) -> Result<PathBuf, String> {
        let packed = self.root.with_extension("cpio");
        let file = File::create(&packed).map_err(|error| in_file(&packed, &error))?;
        let pack = "find . | cpio --quiet -o -H newc -R 0:0";
        let mut command = Command::new("sh");
        run(command.args(["-c", pack]).current_dir(&self.root).stdout(Stdio::from(file)))?;
        Ok(packed)
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), String> {
        let place = self.place(to);
        if let Some(folder) = place.parent() {
            make(folder)?;
        }
        fs::copy(from, &place).map(drop).map_err(|error| in_file(from, &error))
    }

    fn write(&self, name: &str, text: &str) -> Result<(), String> {
        let place = self.place(Path::new(name));
        fs::write(&place, text).map_err(|error| in_file(&place, &error))
    }

    /// Where in this system something of the guest lies.
    fn place(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }
}

/// The file that a line of `ldd` names: behind an arrow, or for the loader itself in front.
fn library(line: &str) -> Option<&Path> {
    let named = line.split_once("=>").map_or(line, |(_, behind)| behind);
    let path = named.trim().split(" (").next()?;
    path.starts_with('/').then(|| Path::new(path))
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_are_read_from_what_ldd_prints() {
        assert_eq!(library("\tlinux-vdso.so.1 (0x00007ffc)"), None);
        let libc = "\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f)";
        assert_eq!(library(libc), Some(Path::new("/lib/x86_64-linux-gnu/libc.so.6")));
        let loader = "\t/lib64/ld-linux-x86-64.so.2 (0x00007f)";
        assert_eq!(library(loader), Some(Path::new("/lib64/ld-linux-x86-64.so.2")));
        assert_eq!(library("\tstatically linked"), None);
    }

    #[test]
    fn words_reach_the_program_as_they_are() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's"), "'it'\\''s'");
    }
}
