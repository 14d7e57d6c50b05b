//! A certificate authority of our own, for tests with TLS.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use crate::process::{ScratchFolder, scratch_folder};

/// An authority and the folder of what it has issued; both end with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: ScratchFolder,
}

/// The PEM files of a certificate.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Issued {
    /// As `tls.certificates` wants it.
    pub fn setting(&self) -> String {
        format!("{}:{}", self.certificate.display(), self.key.display())
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl Authority {
    /// Makes one; its own certificate is in [`file`](Self::file).
    pub fn new() -> Result<Self> {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, "an authority for tests");
        let issuer = CertifiedIssuer::self_signed(parameters, KeyPair::generate()?)?;
        let folder = scratch_folder("authority")?;
        std::fs::write(folder.join("ca.pem"), issuer.pem())?;
        Ok(Self { issuer, folder })
    }

    /// The certificate that others have to trust.
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// Where everything is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Issues a certificate for names and addresses until the first day of a year, as `NAME.pem` and
    /// `NAME.key`. One that is there already is replaced.
    pub fn issue(&self, name: &str, subjects: &[&str], until: i32) -> Result<Issued> {
        let subjects: Vec<String> = subjects.iter().map(ToString::to_string).collect();
        let mut parameters = CertificateParams::new(subjects)?;
        parameters.not_after = date_time_ymd(until, 1, 1);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let issued = Issued {
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        };
        std::fs::write(&issued.certificate, certificate.pem())?;
        std::fs::write(&issued.key, key.serialize_pem())?;
        Ok(issued)
    }
}
