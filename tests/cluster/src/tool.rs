//! Programs that tests call beside the control plane: helm, kubeconform, and jq.
//!
//! It owns the list of them. It must never look on `PATH`: a test would depend on which version happens to be installed.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::build::{Build, Recipe};
use crate::find::target_dir;

/// A program with a Go module of its own in `tests/tools`, since the versions of Kubernetes' libraries that they need differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Tool {
    /// Installs charts.
    Helm,
    /// Installs them as it did before the fourth version.
    Helm3,
    /// Compares manifests with schemas.
    Kubeconform,
    /// Filters JSON as jq does.
    Gojq,
}

impl Tool {
    /// Where the program is: built from source, once, and kept in `target/tools`.
    ///
    /// # Errors
    /// It is not there and cannot be built; the text says why.
    pub async fn path(self) -> Result<PathBuf> {
        let recipe = self.recipe();
        let module = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tools").join(recipe.program);
        let cache = target_dir().join("tools").join(recipe.program);
        Ok(Build::of(recipe, &module, &cache)?.get(OsStr::new("go")).await?.join(recipe.program))
    }

    fn recipe(self) -> Recipe {
        let (program, names, version_of): (_, &[&str], _) = match self {
            Self::Helm => ("helm", &["helm"], "helm.sh/helm/v4"),
            Self::Helm3 => ("helm3", &["helm3"], "helm.sh/helm/v3"),
            Self::Kubeconform => ("kubeconform", &["kubeconform"], "github.com/yannh/kubeconform"),
            Self::Gojq => ("gojq", &["gojq"], "github.com/itchyny/gojq"),
        };
        let flags = |_: &str| "-s -w".to_owned();
        Recipe { what: program, package: "tool", program, names, version_of, flags, otherwise: "" }
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_tool_has_a_module_that_names_it() -> Result<()> {
        for tool in Tool::value_variants() {
            let recipe = tool.recipe();
            let module = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("tools").join(recipe.program);
            let go_mod = std::fs::read_to_string(module.join("go.mod"))?;
            let package = format!("tool {}/cmd/", recipe.version_of);
            assert!(go_mod.lines().any(|line| line.starts_with(&package)), "{go_mod}");
            assert!(Build::of(recipe, &module, Path::new("target")).is_ok());
        }
        Ok(())
    }
}
