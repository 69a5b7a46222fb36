//! Where the control plane's programs come from.
//!
//! It owns the order: an existing cluster that was asked for explicitly, `KUBEBUILDER_ASSETS`, the cached build, `go build`.
//! It must never fall through from something that was asked for: a variable that is set and wrong is an error, or a test would run
//! against another cluster than its author believes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::build::{Build, Recipe};
use crate::{Error, Result};

/// The programs of a control plane, by the names of their files.
pub const PROGRAMS: [&str; 4] = ["etcd", "kube-apiserver", "kube-controller-manager", "kubectl"];

/// Those of [`PROGRAMS`] that run for as long as the control plane does.
pub(crate) const SERVERS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];

/// The last of the ways: all of [`PROGRAMS`] as one program.
const RECIPE: Recipe = Recipe {
    what: "the control plane",
    package: ".",
    program: "controlplane",
    names: &PROGRAMS,
    version_of: "k8s.io/kubernetes",
    flags: linker_flags,
    otherwise: "; without a build it works with KUBEBUILDER_ASSETS set to a folder with etcd, kube-apiserver, \
                kube-controller-manager and kubectl, or with TRADEWIND_KUBECONFIG set to the kubeconfig of a cluster whose content \
                may be changed at will",
};

/// Tells the program its version, which Go cannot: without it kubectl and helm fail to parse what the API server says it is.
fn linker_flags(kubernetes: &str) -> String {
    let mut numbers = kubernetes.trim_start_matches('v').split('.');
    let (major, minor) = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    let facts = [
        ("gitVersion", kubernetes),
        ("gitMajor", major),
        ("gitMinor", minor),
        ("gitCommit", ""),
        ("gitTreeState", "archive"),
    ];
    let packages = ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"];
    let told = packages.iter().flat_map(|package| facts.map(|(name, value)| format!("-X {package}.{name}={value}")));
    ["-s", "-w"].map(str::to_owned).into_iter().chain(told).collect::<Vec<_>>().join(" ")
}

/// A folder that holds all of [`PROGRAMS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    dir: PathBuf,
}

impl Programs {
    /// The folder, if nothing is missing from it; otherwise what is.
    ///
    /// # Errors
    /// The names of the missing programs.
    pub fn in_dir(dir: &Path) -> Result<Self, Vec<&'static str>> {
        let missing: Vec<_> = PROGRAMS.into_iter().filter(|name| !dir.join(name).is_file()).collect();
        if missing.is_empty() { Ok(Self { dir: dir.to_owned() }) } else { Err(missing) }
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where one of [`PROGRAMS`] is.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

/// What the search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A cluster that runs already: nothing is to be started.
    Existing {
        /// Its kubeconfig.
        kubeconfig: PathBuf,
        /// A kubectl to speak to it with.
        kubectl: PathBuf,
    },
    /// Programs to start one with.
    Programs(Programs),
}

/// Where to look. [`Search::from_env`] is what everything but tests of the search itself wants.
#[derive(Clone, Debug)]
pub struct Search {
    /// A kubeconfig that was asked for explicitly.
    pub kubeconfig: Option<PathBuf>,
    /// A folder of programs that was asked for explicitly.
    pub assets: Option<PathBuf>,
    /// The Go module to build from.
    pub module: PathBuf,
    /// Where builds are kept, one folder each.
    pub cache: PathBuf,
    /// The Go command.
    pub go: OsString,
}

impl Search {
    /// `TRADEWIND_KUBECONFIG`, `KUBEBUILDER_ASSETS`, and the Go module of this repository.
    ///
    /// `KUBECONFIG` is not looked at: a developer's shell often has it set to a cluster that no test may touch.
    #[must_use]
    pub fn from_env() -> Self {
        Self {
            kubeconfig: variable("TRADEWIND_KUBECONFIG").map(PathBuf::from),
            assets: variable("KUBEBUILDER_ASSETS").map(PathBuf::from),
            module: Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("controlplane"),
            cache: target_dir().join("controlplane"),
            go: "go".into(),
        }
    }

    /// Looks in order, and builds the programs if there are none.
    ///
    /// # Errors
    /// What was asked for is not there, or nothing is there and it cannot be built; the text says which and what to do.
    pub async fn find(&self) -> Result<Found> {
        if let Some(kubeconfig) = &self.kubeconfig {
            if !kubeconfig.is_file() {
                return Err(Error::NoKubeconfig(kubeconfig.clone()));
            }
            return Ok(Found::Existing { kubeconfig: kubeconfig.clone(), kubectl: self.any_kubectl() });
        }
        if let Some(dir) = &self.assets {
            return Programs::in_dir(dir)
                .map(Found::Programs)
                .map_err(|missing| Error::IncompleteAssets { dir: dir.clone(), missing });
        }
        let dir = self.build()?.get(&self.go).await?;
        Ok(Found::Programs(Programs { dir }))
    }

    /// A kubectl for a cluster that was not started here: one that is at hand, or the one on `PATH`; never worth a build.
    fn any_kubectl(&self) -> PathBuf {
        let assets = self.assets.as_ref().map(|dir| dir.join("kubectl")).filter(|path| path.is_file());
        let cached = || Some(self.build().ok()?.cached()?.join("kubectl"));
        assets.or_else(cached).unwrap_or_else(|| "kubectl".into())
    }

    fn build(&self) -> Result<Build> {
        Build::of(RECIPE, &self.module, &self.cache)
    }
}

/// Cargo's target folder, where everything that can be made again belongs.
pub(crate) fn target_dir() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap_or(Path::new("."));
    variable("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// A variable that is set to nothing counts as not set, as everywhere in Kubernetes' tools.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, Result};
    use tempfile::TempDir;

    use super::*;

    /// A folder in which nothing is found, and where no Go is.
    fn nothing() -> Result<(TempDir, Search)> {
        let dir = tempfile::tempdir()?;
        let module = dir.path().join("module");
        std::fs::create_dir(&module)?;
        std::fs::write(module.join("go.mod"), "require (\n\tk8s.io/kubernetes v1.36.3\n)\n")?;
        std::fs::write(module.join("go.sum"), "")?;
        std::fs::write(module.join("main.go"), "package main\n")?;
        let cache = dir.path().join("cache");
        let search = Search { kubeconfig: None, assets: None, module, cache, go: "no-such-go".into() };
        Ok((dir, search))
    }

    fn programs(dir: &Path, names: &[&str]) -> Result<()> {
        std::fs::create_dir_all(dir)?;
        Ok(names.iter().try_for_each(|name| std::fs::write(dir.join(name), ""))?)
    }

    /// A stand-in for the Go command, of `tests/fake-go`.
    fn fake_go(name: &str) -> OsString {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fake-go").join(name).into()
    }

    async fn refusal(search: &Search) -> Result<String> {
        Ok(search.find().await.err().context("the search was to fail")?.to_string())
    }

    #[tokio::test]
    async fn a_kubeconfig_that_was_asked_for_comes_first() -> Result<()> {
        let (dir, mut search) = nothing()?;
        let assets = dir.path().join("assets");
        programs(&assets, &PROGRAMS)?;
        let kubeconfig = dir.path().join("kubeconfig");
        std::fs::write(&kubeconfig, "")?;
        search.kubeconfig = Some(kubeconfig.clone());
        search.assets = Some(assets.clone());
        assert_eq!(search.find().await?, Found::Existing { kubeconfig, kubectl: assets.join("kubectl") });
        Ok(())
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_not_there_is_an_error_and_no_reason_to_look_further() -> Result<()> {
        let (dir, mut search) = nothing()?;
        let assets = dir.path().join("assets");
        programs(&assets, &PROGRAMS)?;
        search.kubeconfig = Some("/no/such/kubeconfig".into());
        search.assets = Some(assets);
        let text = refusal(&search).await?;
        assert_eq!(text, "TRADEWIND_KUBECONFIG is set to /no/such/kubeconfig, but there is no such file");
        Ok(())
    }

    #[tokio::test]
    async fn assets_come_before_a_cached_build() -> Result<()> {
        let (dir, mut search) = nothing()?;
        programs(&search.build()?.folder(), &PROGRAMS)?;
        let assets = dir.path().join("assets");
        programs(&assets, &PROGRAMS)?;
        search.assets = Some(assets.clone());
        assert_eq!(search.find().await?, Found::Programs(Programs { dir: assets }));
        Ok(())
    }

    #[tokio::test]
    async fn assets_without_a_controller_manager_are_refused_by_name() -> Result<()> {
        let (dir, mut search) = nothing()?;
        programs(dir.path(), &["etcd", "kube-apiserver", "kubectl"])?;
        search.assets = Some(dir.path().to_owned());
        let text = refusal(&search).await?;
        assert!(text.contains("lacks kube-controller-manager;"), "{text}");
        assert!(text.contains("setup-envtest does not ship kube-controller-manager"), "{text}");
        Ok(())
    }

    #[tokio::test]
    async fn a_cached_build_needs_no_go() -> Result<()> {
        let (_dir, search) = nothing()?;
        let folder = search.build()?.folder();
        programs(&folder, &PROGRAMS)?;
        assert_eq!(search.find().await?, Found::Programs(Programs { dir: folder }));
        Ok(())
    }

    #[tokio::test]
    async fn a_changed_module_is_built_anew() -> Result<()> {
        let (_dir, mut search) = nothing()?;
        search.go = fake_go("working");
        let Found::Programs(old) = search.find().await? else { anyhow::bail!("not built") };
        std::fs::write(search.module.join("main.go"), "package main // changed\n")?;
        let Found::Programs(new) = search.find().await? else { anyhow::bail!("not built") };
        assert_ne!(old, new);
        assert!(Programs::in_dir(old.dir()).is_ok() && Programs::in_dir(new.dir()).is_ok());
        Ok(())
    }

    #[tokio::test]
    async fn without_go_the_error_names_the_other_ways() -> Result<()> {
        let (_dir, search) = nothing()?;
        let text = refusal(&search).await?;
        for part in ["`no-such-go` cannot be run", "go.mod", "KUBEBUILDER_ASSETS", "TRADEWIND_KUBECONFIG"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_go_that_is_too_old_is_quoted() -> Result<()> {
        let (_dir, mut search) = nothing()?;
        search.go = fake_go("too-old");
        let text = refusal(&search).await?;
        for part in ["requires go >= 1.26.0 (running go 1.22.0", "KUBEBUILDER_ASSETS", "TRADEWIND_KUBECONFIG"] {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
        Ok(())
    }

    #[tokio::test]
    async fn a_failed_build_is_quoted_and_leaves_nothing_to_be_found() -> Result<()> {
        let (_dir, mut search) = nothing()?;
        search.go = fake_go("failing");
        let text = refusal(&search).await?;
        assert!(text.contains("main.go:1:1: this does not compile"), "{text}");
        assert_eq!(search.build()?.cached(), None);
        Ok(())
    }
}
