//! The library for C and C++, and compilers that hold to every word of the language.

use std::path::{Path, PathBuf};

use levada_testkit::docs::workspace_root;

use super::{Command, Folder};

/// A compiler, and the language that it takes a source for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Language {
    compiler: &'static str,
    words: &'static [&'static str],
}

pub(crate) const C: Language = Language { compiler: "gcc", words: &["-std=c11"] };
pub(crate) const CPP: Language = Language { compiler: "g++", words: &["-std=c++17", "-xc++"] };

/// A program with the library for C in it.
pub(crate) struct CProgram<'a> {
    /// Its source in `bindings/c`, without `.c`.
    pub(crate) source: &'a str,
    pub(crate) language: Language,
    /// What else the compiler is told, and what else is linked.
    pub(crate) words: &'a [&'a str],
    pub(crate) libraries: &'a [&'a str],
}

impl CProgram<'_> {
    /// Compiles it; what the compiler has to say is a failure.
    #[track_caller]
    pub(crate) fn compile(&self, folder: &Folder) -> String {
        let bindings = workspace_root().join("bindings/c");
        let source = bindings.join(self.source).with_extension("c");
        let stem = source.file_stem().and_then(|stem| stem.to_str()).expect("it has a name");
        let name = format!("{stem}-{}-{}", self.language.compiler, self.words.len());
        let program = folder.path().join(name).to_str().unwrap().to_owned();
        let include = format!("-I{}", bindings.join("include").display());
        let compiled = Command::new(self.language.compiler)
            .args(self.language.words)
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-g", &include, "-o", &program])
            .args(self.words)
            .args([&source])
            // What the source is taken for is not what the library is.
            .args(["-xnone", library().to_str().unwrap()])
            .args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"])
            .args(self.libraries)
            .run(b"");
        assert_eq!(compiled.code(), 0, "{}", compiled.stderr);
        program
    }
}

/// The static library: it was built with the tests, and lies beside them.
fn library() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let folder = tests.parent().map(Path::to_path_buf).unwrap();
    folder.join("liblevada_pool_c.a")
}
