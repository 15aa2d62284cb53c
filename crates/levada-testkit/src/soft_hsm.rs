//! Tokens made of files: SoftHSM, with the tools of OpenSC and GnuTLS beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The PIN of every token here.
pub const PIN: &str = "98765";

/// Some tokens in a folder. A process sees them by [`config`](Self::config) in the variable
/// `SOFTHSM2_CONF`, which the module reads once.
#[derive(Debug)]
pub struct SoftHsm {
    folder: PathBuf,
}

impl SoftHsm {
    /// A place for tokens in `folder`, which has to be there; tokens that are there already are found.
    ///
    /// # Panics
    ///
    /// Where it cannot be made.
    pub fn new(folder: &Path) -> Self {
        let hsm = Self { folder: folder.to_owned() };
        fs::create_dir_all(hsm.tokens()).expect("a folder for tokens");
        if !hsm.config().exists() {
            hsm.limit_mechanisms("ALL");
        }
        hsm
    }

    /// The module, by the path that Debian has on every architecture.
    pub fn module() -> &'static str {
        "/usr/lib/softhsm/libsofthsm2.so"
    }

    /// OpenSC's module that passes calls on to the one in `PKCS11SPY`, and writes them into the file in
    /// `PKCS11SPY_OUTPUT`.
    ///
    /// # Panics
    ///
    /// Where it is not installed.
    pub fn spy() -> PathBuf {
        let folders = fs::read_dir("/usr/lib").expect("there is /usr/lib").flatten();
        let mut paths = folders.map(|folder| folder.path().join("pkcs11-spy.so"));
        paths.find(|path| path.exists()).expect("Debian's package opensc-pkcs11 is installed")
    }

    /// The file for `SOFTHSM2_CONF`.
    pub fn config(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// The folder that the tokens are in.
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    /// Lets tokens have these mechanisms alone, as PKCS#11 names them, with commas between them.
    ///
    /// # Panics
    ///
    /// Where it cannot be written.
    pub fn limit_mechanisms(&self, mechanisms: &str) {
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n\
             slots.mechanisms = {mechanisms}\n",
            self.tokens().display()
        );
        fs::write(self.config(), text).expect("the folder can be written");
    }

    /// Makes a token.
    ///
    /// # Panics
    ///
    /// Where it cannot.
    pub fn token(&self, label: &str) {
        let words = ["--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "43210"];
        self.run("softhsm2-util", &words);
    }

    /// Has a token make a key pair whose private part nobody can take out of it, and writes the public
    /// one into the file [`public`](Self::public). `kind` is as `pkcs11-tool` takes it: `EC:prime256v1`,
    /// `RSA:2048`. The key's `id` is in hexadecimal.
    ///
    /// # Panics
    ///
    /// Where it cannot.
    pub fn generate(&self, token: &str, kind: &str, label: &str, id: &str) {
        let make = ["--login", "--pin", PIN, "--keypairgen", "--key-type", kind, "--usage-sign"];
        let place = ["--module", Self::module(), "--token-label", token];
        let key = ["--label", label, "--id", id];
        self.run("pkcs11-tool", &[&place[..], &make, &key].concat());
        let (pem, der) = (self.folder.join("public.pem"), self.public());
        let [pem, der] = [&pem, &der].map(|path| path.to_str().expect("the name is UTF-8"));
        let uri = format!("pkcs11:token={token};object={label};type=public");
        let read = ["--login", "--export-pubkey", &uri, "--outfile", pem];
        self.run("p11tool", &[&["--provider", Self::module()][..], &read].concat());
        let words = ["pkey", "-pubin", "-in", pem, "-pubout", "-outform", "der", "-out", der];
        self.run("openssl", &words);
    }

    /// The file with the public key that was made last, in DER (SubjectPublicKeyInfo).
    pub fn public(&self) -> PathBuf {
        self.folder.join("public.der")
    }

    /// That key alone, as it stands in a certificate (RFC 5280 section 4.1).
    ///
    /// # Panics
    ///
    /// Where there is none.
    pub fn public_key(&self) -> Vec<u8> {
        let file = fs::read(self.public()).expect("a key was made");
        let (info, _) = content(&file);
        let (_, key) = content(info);
        // The first byte of a BIT STRING tells how many bits of the last one do not count.
        content(key).0[1..].to_vec()
    }

    /// Gives a token the private key in this file, PKCS#8 in PEM.
    ///
    /// # Panics
    ///
    /// Where it cannot.
    pub fn import(&self, token: &str, file: &Path, label: &str, id: &str) {
        let file = file.to_str().expect("the file's name is UTF-8");
        let key = ["--label", label, "--id", id, "--pin", PIN];
        self.run("softhsm2-util", &[&["--import", file, "--token", token][..], &key].concat());
    }

    /// Takes all tokens away, or gives them back.
    ///
    /// # Panics
    ///
    /// Where they are not there, or there already.
    pub fn set_away(&self, away: bool) {
        let (here, there) = (self.tokens(), self.folder.join("away"));
        let [from, to] = if away { [here, there] } else { [there, here] };
        if away {
            fs::rename(&from, &to).expect("the tokens are there");
            fs::create_dir(from).expect("a folder without tokens");
        } else {
            fs::remove_dir_all(&to).expect("a folder without tokens");
            fs::rename(from, to).expect("the tokens are away");
        }
    }

    fn run(&self, program: &str, words: &[&str]) {
        let mut command = Command::new(program);
        command.args(words).env("SOFTHSM2_CONF", self.config()).env("GNUTLS_PIN", PIN);
        let done = command.output();
        let done = done.unwrap_or_else(|error| panic!("{program}: {error}"));
        let told = [done.stdout, done.stderr].concat();
        assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&told));
    }
}

/// What the first value of this DER holds, and what follows it.
fn content(der: &[u8]) -> (&[u8], &[u8]) {
    let (at, len) = match usize::from(der[1]) {
        short @ ..0x80 => (2, short),
        long => {
            let count = long - 0x80;
            let len = der[2..2 + count].iter().fold(0, |len, &byte| len << 8 | usize::from(byte));
            (2 + count, len)
        }
    };
    der[at..].split_at(len)
}
