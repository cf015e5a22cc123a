//! Packages of another Debian suite, unpacked into the target folder. Nothing is installed, and the machine's own lists of
//! packages stay as they are.

use crate::sh::{self, Cmd};
use anyhow::{Context, Result, bail};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A suite's packages in a folder of their own.
pub(crate) struct Unpacked {
    /// Below the target folder.
    pub(crate) folder: &'static str,
    pub(crate) suite: &'static str,
    /// Divided by blanks; what they depend on is not fetched unless it is named.
    pub(crate) packages: &'static str,
}

impl Unpacked {
    /// Where they are, or will be.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder().join("root")
    }

    /// Fetches and unpacks them, once.
    pub(crate) fn fetch(&self) -> Result<()> {
        let (folder, root) = (self.folder(), self.root());
        if root.exists() {
            return Ok(());
        }
        let (lists, debs) = (folder.join("lists"), folder.join("debs"));
        for made in [lists.join("partial"), folder.join("archives/partial"), debs.clone()] {
            fs::create_dir_all(&made).with_context(|| format!("cannot make {}", made.display()))?;
        }
        let sources = folder.join("suite.sources");
        let suite = self.suite;
        fs::write(
            &sources,
            format!(
                "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: {suite}\nComponents: main\n\
                 Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n"
            ),
        )?;
        let apt = |verb: &str| {
            let mut cmd = Cmd::new("apt-get", "-qq").dir(&debs);
            for (name, value) in [
                ("Dir::Etc::sourcelist", sources.display().to_string()),
                ("Dir::Etc::sourceparts", "/dev/null".to_owned()),
                ("Dir::State::lists", lists.display().to_string()),
                ("Dir::Cache::archives", folder.join("archives").display().to_string()),
                ("Dir::Cache::pkgcache", String::new()),
                ("Dir::Cache::srcpkgcache", String::new()),
                ("APT::Sandbox::User", String::new()),
            ] {
                cmd = cmd.arg("-o").arg(format!("{name}={value}"));
            }
            cmd.args(verb)
        };
        apt("update").read()?;
        apt("download").args(self.packages).read()?;
        // Into place at once, when it is complete.
        let unpacked = folder.join("unpacked");
        let _ = fs::remove_dir_all(&unpacked);
        for deb in fs::read_dir(&debs)? {
            Cmd::new("dpkg-deb", "-x").arg(deb?.path()).arg(&unpacked).read()?;
        }
        fs::rename(&unpacked, &root).with_context(|| format!("cannot move to {}", root.display()))
    }

    /// The compiler among them, as a program.
    pub(crate) fn compiler(&self) -> PathBuf {
        self.folder().join("rustc")
    }

    /// Fetches them, once, with the program that starts the compiler with its own libraries: they may be newer than this machine's.
    pub(crate) fn fetch_compiler(&self) -> Result<()> {
        self.fetch()?;
        let (root, program) = (self.root(), self.compiler());
        // Where libc is depends on the suite.
        let loader =
            ["usr/lib", "lib"].map(|lib| root.join(lib).join("x86_64-linux-gnu/ld-linux-x86-64.so.2"));
        let loader =
            loader.iter().find(|loader| loader.exists()).context("no loader of programs was fetched")?;
        let script = format!(
            "#!/bin/sh\n# The compiler, with its own libraries.\n\
             exec {loader} --library-path {root}/usr/lib/x86_64-linux-gnu:{root}/lib/x86_64-linux-gnu {root}/usr/bin/rustc \
             --sysroot {root}/usr \"$@\"\n",
            loader = loader.display(),
            root = root.display()
        );
        // Only if it changed: cargo looks at its time.
        if fs::read_to_string(&program).ok().as_ref() == Some(&script) {
            return Ok(());
        }
        // Of our own name: another command may do the same now.
        let made = program.with_extension(format!("made-{}", std::process::id()));
        fs::write(&made, script).with_context(|| format!("cannot write {}", made.display()))?;
        fs::set_permissions(&made, fs::Permissions::from_mode(0o755))?;
        fs::rename(&made, &program).with_context(|| format!("cannot move to {}", program.display()))
    }

    /// The version of one of them that was fetched, as its file's name has it.
    pub(crate) fn version(&self, package: &str) -> Result<String> {
        for deb in fs::read_dir(self.folder().join("debs"))? {
            let name = deb?.file_name();
            let mut parts = name.to_str().unwrap_or_default().split('_');
            if let (Some(named), Some(version)) = (parts.next(), parts.next())
                && named == package
            {
                return Ok(version.to_owned());
            }
        }
        bail!("no package {package} was fetched")
    }

    fn folder(&self) -> PathBuf {
        // Absolute: what is in it is run from other folders too.
        let folder: &Path = &sh::target_dir().join(self.folder);
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf())
    }
}
