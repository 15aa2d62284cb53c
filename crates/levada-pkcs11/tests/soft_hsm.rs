//! Keys on SoftHSM's tokens, with OpenSSL to verify what they sign.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::session::UserType;
use levada_pkcs11::{CALLS, KeyError, StoredPin, TokenKey};
use levada_testkit::soft_hsm::{PIN, SoftHsm};
use levada_tls::{Identity, IdentityError, Passphrase, SignatureScheme, Signer as _};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};

/// The folder of the test, in the process that has it.
const FOLDER: &str = "LEVADA_SOFT_HSM";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A token `site` for this test, with the key `key` (id 01) of this kind, in a process of its own: where
/// its tokens are the module reads from the environment, once.
fn with_token(test: &str, kind: &str, body: impl FnOnce(&World)) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        let hsm = SoftHsm::new(folder.as_ref());
        let public = Public(hsm.public_key(), algorithm(kind));
        return body(&World { hsm, folder: folder.into(), public });
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let name = format!("levada-pkcs11-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir(&folder).unwrap();
    let hsm = SoftHsm::new(&folder);
    hsm.token("site");
    if kind == "ED25519" {
        let key = folder.join("key.pem");
        let path = key.to_str().unwrap();
        openssl(&["genpkey", "-algorithm", "ED25519", "-out", path]);
        hsm.import("site", &key, "key", "01");
        let public = folder.join("public.der");
        let public = public.to_str().unwrap();
        openssl(&["pkey", "-in", path, "-pubout", "-outform", "der", "-out", public]);
    } else {
        hsm.generate("site", kind, "key", "01");
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, &folder)
        .env("SOFTHSM2_CONF", hsm.config())
        .env("PKCS11SPY", SoftHsm::module())
        .env("PKCS11SPY_OUTPUT", folder.join("spy.log"))
        .output()
        .unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let wrong = String::from_utf8_lossy(&output.stderr);
    let good = output.status.success() && told.contains("1 passed");
    assert!(good, "{}: {told}\n{wrong}", output.status);
}

struct World {
    hsm: SoftHsm,
    folder: PathBuf,
    public: Public,
}

/// The public key of the token's first, as it stands in a certificate.
struct Public(Vec<u8>, &'static rcgen::SignatureAlgorithm);

impl PublicKeyData for Public {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.1
    }
}

fn algorithm(kind: &str) -> &'static rcgen::SignatureAlgorithm {
    match kind {
        "EC:prime256v1" => &rcgen::PKCS_ECDSA_P256_SHA256,
        "EC:secp384r1" => &rcgen::PKCS_ECDSA_P384_SHA384,
        "RSA:2048" => &rcgen::PKCS_RSA_SHA256,
        _ => &rcgen::PKCS_ED25519,
    }
}

impl World {
    /// The key by `attributes`, with the right PIN.
    fn key(&self, attributes: &str) -> TokenKey {
        key_with(attributes, &self.file("pin", &format!("{PIN}\n")))
    }

    /// How often the spy has seen this function called.
    fn calls(&self, function: &str) -> usize {
        let log = std::fs::read_to_string(self.folder.join("spy.log")).unwrap();
        log.lines().filter(|line| line.ends_with(&format!(": {function}"))).count()
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// A certificate for the key on the token.
    fn certificate(&self) -> String {
        let issuer_key = KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::new(CertificateParams::new(Vec::new()).unwrap(), issuer_key);
        let params = CertificateParams::new(vec!["host.example".to_owned()]).unwrap();
        params.signed_by(&self.public, &issuer).unwrap().pem()
    }

    /// Whether OpenSSL takes the signature for that of the key.
    fn verifies(&self, signature: &[u8], options: &[&str]) -> bool {
        let file = |name: &str, bytes: &[u8]| {
            std::fs::write(self.folder.join(name), bytes).unwrap();
            self.folder.join(name).to_str().unwrap().to_owned()
        };
        let (message, signature) = (file("message", MESSAGE), file("signature", signature));
        let key = self.folder.join("public.der").to_str().unwrap().to_owned();
        let key = ["pkeyutl", "-verify", "-pubin", "-inkey", &key, "-keyform", "DER"];
        let files = ["-in", &message, "-sigfile", &signature, "-rawin"];
        let words = [&key[..], &files, options].concat();
        Command::new("openssl").args(words).output().unwrap().status.success()
    }
}

/// The key by `attributes`, with the PIN in this file.
fn key_with(attributes: &str, pin: &Path) -> TokenKey {
    let uri = format!("pkcs11:{attributes}?module-path={}", SoftHsm::module());
    TokenKey::new(uri.parse().unwrap(), Some(StoredPin::in_file(pin)))
}

/// The same by way of a spy.
fn spied(attributes: &str, pin: Option<StoredPin>) -> TokenKey {
    let uri = format!("pkcs11:{attributes}?module-path={}", SoftHsm::spy().display());
    TokenKey::new(uri.parse().unwrap(), pin)
}

fn openssl(words: &[&str]) {
    let done = Command::new("openssl").args(words).output().unwrap();
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
}

const MESSAGE: &[u8] = b"what both sides have said so far";

fn sign(key: &TokenKey, scheme: SignatureScheme) -> Result<Vec<u8>, KeyError> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let signed = runtime.block_on(key.sign(scheme, MESSAGE.to_vec()));
    signed.map_err(|error| *error.downcast::<KeyError>().unwrap())
}

const P256: SignatureScheme = SignatureScheme::ECDSA_SECP256R1_SHA256;

/// OpenSSL verifies each signature, and a certificate's key is known by it.
#[track_caller]
fn signs(world: &World, schemes: &[(SignatureScheme, &[&str])]) {
    let key = world.key("token=site;object=key");
    for (scheme, options) in schemes {
        let signature = sign(&key, *scheme).unwrap_or_else(|error| panic!("{scheme}: {error}"));
        assert!(world.verifies(&signature, options), "{scheme}");
        let mut other = signature;
        *other.last_mut().unwrap() ^= 1;
        assert!(!world.verifies(&other, options), "{scheme}");
    }
    let identity = Identity::with_signer(world.certificate().as_bytes(), key).unwrap();
    identity.try_signer().unwrap();
}

#[test]
fn an_ecdsa_key_signs() {
    with_token("an_ecdsa_key_signs", "EC:prime256v1", |world| {
        // Some r and s begin with zeros, and half of them with a one.
        for _ in 0..20 {
            signs(world, &[(P256, &["-digest", "sha256"])]);
        }
    });
}

#[test]
fn an_ecdsa_key_of_384_bits_signs() {
    with_token("an_ecdsa_key_of_384_bits_signs", "EC:secp384r1", |world| {
        signs(world, &[(SignatureScheme::ECDSA_SECP384R1_SHA384, &["-digest", "sha384"])]);
    });
}

#[test]
fn an_rsa_key_signs() {
    with_token("an_rsa_key_signs", "RSA:2048", |world| {
        let pss = |digest| {
            [
                "-digest",
                digest,
                "-pkeyopt",
                "rsa_padding_mode:pss",
                "-pkeyopt",
                "rsa_pss_saltlen:digest",
            ]
        };
        signs(
            world,
            &[
                (SignatureScheme::RSA_PSS_RSAE_SHA256, &pss("sha256")),
                (SignatureScheme::RSA_PSS_RSAE_SHA384, &pss("sha384")),
                (SignatureScheme::RSA_PSS_RSAE_SHA512, &pss("sha512")),
                (SignatureScheme::RSA_PKCS1_SHA256, &["-digest", "sha256"]),
                (SignatureScheme::RSA_PKCS1_SHA384, &["-digest", "sha384"]),
                (SignatureScheme::RSA_PKCS1_SHA512, &["-digest", "sha512"]),
            ],
        );
    });
}

#[test]
fn an_ed25519_key_signs() {
    with_token("an_ed25519_key_signs", "ED25519", |world| {
        signs(world, &[(SignatureScheme::ED25519, &[])]);
    });
}

#[test]
fn what_is_wrong_is_told_and_how_to_mend_it() {
    with_token("what_is_wrong_is_told_and_how_to_mend_it", "EC:prime256v1", |world| {
        let told = |key: &TokenKey| key.prepare().unwrap_err().to_string();
        let absent = TokenKey::new("pkcs11:?module-path=/nowhere/hsm.so".parse().unwrap(), None);
        let error = absent.prepare().unwrap_err();
        assert!(matches!(error, KeyError::ModuleMissing { .. }), "{error}");
        assert!(error.to_string().contains("/nowhere/hsm.so"));
        let no_module = world.file("no_module.so", "text");
        let uri = format!("pkcs11:?module-path={}", no_module.display());
        let broken = TokenKey::new(uri.parse().unwrap(), None);
        assert!(matches!(broken.prepare().unwrap_err(), KeyError::ModuleMissing { .. }));

        let error = told(&world.key("token=other"));
        assert!(error.ends_with("has no token token=other: it has \"site\""), "{error}");
        let error = told(&world.key("token=site;object=other"));
        assert!(error.contains("has no private key object=other"), "{error}");
        let error = told(&world.key("token=site;id=%02"));
        assert!(error.contains("has no private key id=%02"), "{error}");
        world.hsm.generate("site", "EC:prime256v1", "second", "02");
        let error = told(&world.key("token=site"));
        assert!(error.contains("2 private keys that fit"), "{error}");

        let unread = key_with("token=site;object=key", Path::new("/nowhere/pin"));
        assert_eq!(unread.prepare(), Ok(()), "somebody has logged in already");
        // The certificate is that of the other key.
        let second = world.key("token=site;object=second");
        let identity = Identity::with_signer(world.certificate().as_bytes(), second).unwrap();
        assert_eq!(identity.try_signer().unwrap_err(), IdentityError::SignerMismatch);
        let error = sign(&world.key("object=key"), SignatureScheme::RSA_PSS_RSAE_SHA256);
        assert!(matches!(error, Err(KeyError::KeyOfOtherKind { .. })), "{error:?}");
    });
}

#[test]
fn a_token_that_cannot_sign_so_is_told() {
    with_token("a_token_that_cannot_sign_so_is_told", "RSA:2048", |world| {
        world.hsm.limit_mechanisms("CKM_SHA256_RSA_PKCS,CKM_SHA256_RSA_PKCS_PSS");
        let key = world.key("object=key");
        key.prepare().unwrap();
        // The token hashes where it cannot do without.
        let pss = SignatureScheme::RSA_PSS_RSAE_SHA256;
        let options = ["-digest", "sha256", "-pkeyopt", "rsa_padding_mode:pss"];
        assert!(world.verifies(&sign(&key, pss).unwrap(), &options));
        let other = SignatureScheme::RSA_PSS_RSAE_SHA384;
        assert!(key.supports(pss) && !key.supports(other));
        let error = sign(&key, other).unwrap_err();
        assert!(matches!(error, KeyError::NoMechanism { .. }), "{error}");
        assert!(error.to_string().contains("it has no CKM_RSA_PKCS_PSS"), "{error}");
    });
}

#[test]
fn a_wrong_pin_is_tried_once() {
    with_token("a_wrong_pin_is_tried_once", "EC:prime256v1", |world| {
        let pin = world.file("pin", "wrong");
        let key = spied("object=key", Some(StoredPin::in_file(&pin)));
        for _ in 0..5 {
            let error = key.prepare().unwrap_err();
            assert!(matches!(error, KeyError::PinRefused { .. }), "{error}");
            assert!(matches!(sign(&key, P256), Err(KeyError::PinRefused { .. })));
        }
        // Another identity of the same token has the same file.
        let other = spied("id=%01", Some(StoredPin::in_file(&pin)));
        assert!(matches!(other.prepare(), Err(KeyError::PinRefused { .. })));
        assert_eq!(world.calls("C_Login"), 1);
        // The file is mended, and nothing has to be begun anew.
        world.file("pin", PIN);
        assert!(world.verifies(&sign(&key, P256).unwrap(), &["-digest", "sha256"]));
        other.prepare().unwrap();
        assert_eq!(world.calls("C_Login"), 2, "one login is for all keys of the token");
        let log = format!("{:?} {:?}", key, StoredPin::of(Passphrase::new(PIN.into())));
        assert!(!log.contains(PIN));
    });
}

#[test]
fn sessions_are_used_again_and_there_are_few() {
    with_token("sessions_are_used_again_and_there_are_few", "EC:prime256v1", |world| {
        let key = spied("object=key", Some(StoredPin::of(Passphrase::new(PIN.into()))));
        for _ in 0..50 {
            sign(&key, P256).unwrap();
        }
        assert_eq!((world.calls("C_OpenSession"), world.calls("C_Login")), (1, 1));
        assert_eq!(world.calls("C_FindObjectsInit"), 1);
        std::thread::scope(|scope| {
            for _ in 0..2 * CALLS {
                scope.spawn(|| {
                    for _ in 0..5 {
                        sign(&key, P256).unwrap();
                    }
                });
            }
        });
        assert!(world.calls("C_OpenSession") <= CALLS, "{}", world.calls("C_OpenSession"));
        assert_eq!(world.calls("C_Login"), 1);
    });
}

#[test]
fn what_others_in_the_process_do_to_the_token_is_undone() {
    let test = "what_others_in_the_process_do_to_the_token_is_undone";
    with_token(test, "EC:prime256v1", |world| {
        let key = world.key("token=site;id=%01");
        let verifies = |why: &str| {
            let signature = sign(&key, P256).unwrap_or_else(|error| panic!("{why}: {error}"));
            assert!(world.verifies(&signature, &["-digest", "sha256"]), "{why}");
        };
        verifies("at first");
        // The same library, whose state is the process's.
        let module = Pkcs11::new(SoftHsm::module()).unwrap();
        let slots = module.get_slots_with_initialized_token().unwrap();
        let session = module.open_ro_session(slots[0]).unwrap();
        session.logout().unwrap();
        verifies("CKR_USER_NOT_LOGGED_IN");
        drop(session);
        let begin = || CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        module.clone().finalize().unwrap();
        module.initialize(begin()).unwrap();
        verifies("CKR_SESSION_HANDLE_INVALID");
        module.clone().finalize().unwrap();
        verifies("CKR_CRYPTOKI_NOT_INITIALIZED");
        assert!(module.initialize(begin()).is_err(), "it is, by us");
        // Whoever logs in before us does it for us.
        module.clone().finalize().unwrap();
        module.initialize(begin()).unwrap();
        let session = module.open_ro_session(slots[0]).unwrap();
        session.login(UserType::User, Some(&PIN.into())).unwrap();
        verifies("CKR_USER_ALREADY_LOGGED_IN");
    });
}

#[test]
fn a_token_that_was_away_signs_again() {
    with_token("a_token_that_was_away_signs_again", "EC:prime256v1", |world| {
        let key = world.key("token=site;object=key");
        sign(&key, P256).unwrap();
        world.hsm.set_away(true);
        let error = loop {
            // What the module has read of a token it may know for a while.
            match sign(&key, P256) {
                Ok(_) => std::thread::yield_now(),
                Err(error) => break error,
            }
        };
        let told = matches!(error, KeyError::TokenAbsent { .. } | KeyError::TokenFailed { .. });
        assert!(told, "{error}");
        world.hsm.set_away(false);
        let signature = loop {
            match sign(&key, P256) {
                Ok(signature) => break signature,
                Err(_) => std::thread::yield_now(),
            }
        };
        assert!(world.verifies(&signature, &["-digest", "sha256"]));
    });
}

#[test]
fn somebody_is_asked_for_a_pin_that_is_kept_nowhere() {
    let test = "somebody_is_asked_for_a_pin_that_is_kept_nowhere";
    with_token(test, "EC:prime256v1", |world| {
        let key = spied("object=key", None);
        let error = key.prepare().unwrap_err();
        let KeyError::PinMissing { token } = &error else { panic!("{error}") };
        assert_eq!((&*token.label, &*token.model), ("site", "SoftHSM v2"));
        assert!(matches!(sign(&key, P256), Err(KeyError::PinMissing { .. })));
        let refused = key.log_in(&Passphrase::new(b"wrong".to_vec())).unwrap_err();
        assert!(matches!(refused, KeyError::PinRefused { .. }), "{refused}");
        assert_eq!(world.calls("C_Login"), 1);
        assert!(key.wants_pin());
        key.log_in(&Passphrase::new(PIN.into())).unwrap();
        sign(&key, P256).unwrap();
        key.prepare().unwrap();
        assert_eq!(world.calls("C_Login"), 2);
        assert!(!key.wants_pin());
    });
}

#[test]
fn p11_kit_knows_the_modules_of_this_machine() {
    let test = "p11_kit_knows_the_modules_of_this_machine";
    with_token(test, "EC:prime256v1", |world| {
        let pin = Some(StoredPin::of(Passphrase::new(PIN.into())));
        let key = TokenKey::new("pkcs11:token=site;object=key".parse().unwrap(), pin);
        let signature = sign(&key, P256).unwrap();
        assert!(world.verifies(&signature, &["-digest", "sha256"]));
    });
}
