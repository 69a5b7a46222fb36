//! The files that a control plane needs before it starts: keys, certificates, tokens, audit policy, kubeconfigs.
//!
//! It owns their names and what is in them. It must never write a key or a token that others on this machine can read, and no
//! certificate authority outlives its folder.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::Result;
use crate::error::Doing;
use crate::kubeconfig;

/// Constants that nobody can take for credentials of anything real. The controllers have a user of their own, so that the audit log
/// tells their requests from the tests'.
const ADMIN_TOKEN: &str = "tradewind-test-admin-not-a-secret";
const CONTROLLERS_TOKEN: &str = "tradewind-test-controllers-not-a-secret";

/// Who made a request, what, when and with which answer; not the bodies. One line a request, after it was answered.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
  - level: Metadata
";

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Material {
    dir: PathBuf,
}

impl Material {
    /// Names the files of a folder; nothing is read or written.
    pub(crate) fn in_dir(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Writes the files, new ones each time.
    pub(crate) fn write(&self, secure_port: u16) -> Result<()> {
        let ca = authority()?;
        let (certificate, key) = serving(&ca)?;
        write(&self.ca(), &ca.pem())?;
        write(&self.certificate(), &certificate)?;
        write_private(&self.key(), &key)?;
        let signer = KeyPair::generate()?;
        write_private(&self.service_account_key(), &signer.serialize_pem())?;
        write(&self.service_account_public_key(), &signer.public_key_pem())?;
        write_private(&self.tokens(), &tokens())?;
        write(&self.audit_policy(), AUDIT_POLICY)?;
        let server = format!("https://127.0.0.1:{secure_port}");
        let kubeconfig =
            |token| kubeconfig::of_token(&kubeconfig::cluster(&server, &ca.pem()), "tradewind-test", token);
        write_private(&self.kubeconfig(), &kubeconfig(ADMIN_TOKEN))?;
        write_private(&self.controllers_kubeconfig(), &kubeconfig(CONTROLLERS_TOKEN))
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.dir.join("kubeconfig")
    }

    pub(crate) fn audit_log(&self) -> PathBuf {
        self.dir.join("audit.log")
    }

    pub(crate) fn etcd(&self) -> PathBuf {
        self.dir.join("etcd")
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.pki("ca.crt")
    }

    pub(crate) fn certificate(&self) -> PathBuf {
        self.pki("apiserver.crt")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.pki("apiserver.key")
    }

    pub(crate) fn service_account_key(&self) -> PathBuf {
        self.pki("service-account.key")
    }

    /// Its own file because the API server reads the public half only from older forms of a private key.
    pub(crate) fn service_account_public_key(&self) -> PathBuf {
        self.pki("service-account.pub")
    }

    pub(crate) fn tokens(&self) -> PathBuf {
        self.pki("tokens.csv")
    }

    pub(crate) fn audit_policy(&self) -> PathBuf {
        self.pki("audit-policy.yaml")
    }

    pub(crate) fn controllers_kubeconfig(&self) -> PathBuf {
        self.pki("controllers.kubeconfig")
    }

    fn pki(&self, name: &str) -> PathBuf {
        self.dir.join("pki").join(name)
    }
}

/// Both users may do everything; what tests of RBAC need are service accounts.
fn tokens() -> String {
    format!(
        "{ADMIN_TOKEN},tradewind-test-admin,1,system:masters\n\
         {CONTROLLERS_TOKEN},system:kube-controller-manager,2,system:masters\n"
    )
}

fn authority() -> Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "tradewind-test-ca");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}

fn serving(ca: &CertifiedIssuer<'_, KeyPair>) -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned))?;
    params.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok((params.signed_by(&key, ca)?.pem(), key.serialize_pem()))
}

fn write(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).doing("writing", path)
}

/// Writes a file that only its owner can read, from its first byte on.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(0o600).open(path);
    let mut file = file.doing("creating", path)?;
    // The mode above is for a new file only.
    file.set_permissions(Permissions::from_mode(0o600)).doing("protecting", path)?;
    file.write_all(text.as_bytes()).doing("writing", path)
}
