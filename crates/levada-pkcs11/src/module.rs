//! Modules: the libraries that speak with tokens, each loaded once in a process.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::error::{KeyError, in_words};
use crate::token::{Token, TokenFacts, lock};

/// Calls at once into one module: sessions with its tokens, and threads that it can keep where it
/// hangs. More wait for their turn, or for their deadline.
pub const CALLS: usize = 16;

/// Calls that are done or wait: more fail at once.
const LINE: usize = 2 * CALLS;

/// A module is not begun anew more often than that.
const REST: Duration = Duration::from_secs(1);

/// A module that is loaded. It stays so until the process ends: what the library keeps is the whole
/// process's, and other keys may stand on it.
pub(crate) struct Module {
    path: PathBuf,
    pkcs11: Pkcs11,
    /// Read by who calls into the module, written by who begins it anew; when that was last.
    begun: RwLock<Option<Instant>>,
    /// Counts what makes slots and handles from before void.
    epoch: AtomicU64,
    pub(crate) line: Semaphore,
    pub(crate) calls: Semaphore,
    tokens: Mutex<HashMap<TokenFacts, Arc<Token>>>,
}

static LOADED: Mutex<Vec<Arc<Module>>> = Mutex::new(Vec::new());

impl Module {
    /// The module at `path`, loaded and begun.
    pub(crate) fn load(path: &Path) -> Result<Arc<Self>, KeyError> {
        // One library by two names would be begun twice, which it refuses.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut loaded = lock(&LOADED);
        if let Some(module) = loaded.iter().find(|module| module.path == path) {
            return Ok(module.clone());
        }
        let pkcs11 = Pkcs11::new(&path).map_err(|error| match error {
            Error::LibraryLoading(why) => {
                KeyError::ModuleMissing { module: path.clone(), why: why.to_string() }
            }
            other => KeyError::ModuleFailed { module: path.clone(), why: in_words(&other) },
        })?;
        let module = Self {
            pkcs11,
            begun: RwLock::new(None),
            epoch: AtomicU64::new(0),
            line: Semaphore::new(LINE),
            calls: Semaphore::new(CALLS),
            tokens: Mutex::default(),
            path,
        };
        module.begin()?;
        let module = Arc::new(module);
        loaded.push(module.clone());
        Ok(module)
    }

    fn begin(&self) -> Result<(), KeyError> {
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match self.pkcs11.initialize(arguments) {
            // Somebody else in this process uses it, too.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(()),
            Err(error) => {
                Err(KeyError::ModuleFailed { module: self.path.clone(), why: in_words(&error) })
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The module, to be called for as long as the guard is held.
    pub(crate) fn running(&self) -> (&Pkcs11, RwLockReadGuard<'_, Option<Instant>>) {
        (&self.pkcs11, self.begun.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Slots and handles are good for as long as this number stays.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    pub(crate) fn token(&self, facts: &TokenFacts) -> Arc<Token> {
        lock(&self.tokens).entry(facts.clone()).or_default().clone()
    }

    /// Closes what is open with `token`: it may have been away.
    pub(crate) fn forget(&self, token: Option<&Token>) {
        self.epoch.fetch_add(1, Ordering::Relaxed);
        if let Some(token) = token {
            token.close();
        }
    }

    /// Begins the module anew, since many see what has come back only then; whether it was. It is not
    /// where a call is on its way, or where a person would have to be asked for a PIN again.
    pub(crate) fn restart(&self) -> bool {
        let Ok(mut begun) = self.begun.try_write() else { return false };
        let tokens = lock(&self.tokens);
        if begun.is_some_and(|begun| begun.elapsed() < REST)
            || tokens.values().any(|token| token.is_held_by_a_person())
        {
            return false;
        }
        tokens.values().for_each(|token| token.close());
        self.epoch.fetch_add(1, Ordering::Relaxed);
        // What is wrong with it shows when it is begun.
        let _ = self.pkcs11.clone().finalize();
        *begun = Some(Instant::now());
        self.begin().is_ok()
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("path", &self.path).finish_non_exhaustive()
    }
}
