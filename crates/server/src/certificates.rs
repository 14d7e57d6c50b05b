//! Certificates that are renewed while the node runs: the files are looked at now and then, and read
//! again when they are others. Kubernetes replaces them by turning a symbolic link.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use roomcast_transport::{Tls, TlsError, TlsFiles};
use tracing::{error, info, warn};

/// How often the files are looked at: a few calls of `stat(2)`.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The TLS of a listener and the files it is made from.
pub(crate) struct Renewal {
    listener: &'static str,
    files: ArcSwap<TlsFiles>,
    tls: Arc<Tls>,
}

/// What tells one version of a file from the next: device and inode, length, time of change in ns.
type Version = Option<(u64, u64, u64, i64, i64)>;

impl Renewal {
    /// Loads what a listener needs and watches the files from then on; `None` for one without TLS.
    pub(crate) fn start(
        listener: &'static str,
        files: Option<&TlsFiles>,
    ) -> Result<Option<Arc<Self>>, TlsError> {
        let Some(files) = files else { return Ok(None) };
        let seen = versions(files);
        let tls = Arc::new(Tls::load(files)?);
        warn_of_end(listener, &tls);
        let renewal = Arc::new(Self { listener, files: ArcSwap::from_pointee(files.clone()), tls });
        tokio::spawn(Arc::clone(&renewal).watch(seen));
        Ok(Some(renewal))
    }

    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// Looks at the files for as long as the node lives.
    async fn watch(self: Arc<Self>, mut seen: Vec<Version>) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let files = self.files.load_full();
            let now = versions(&files);
            if now != seen {
                // Also after a failure: the same broken files are reported once.
                seen = now;
                self.read(&files);
            }
        }
    }

    /// Reads these files, and watches them from now on.
    pub(crate) fn replace(&self, files: TlsFiles) {
        self.read(&files);
        self.files.store(Arc::new(files));
    }

    fn read(&self, files: &TlsFiles) {
        let listener = self.listener;
        match self.tls.reload(files) {
            Ok(()) => {
                info!(listener, "certificates loaded anew; connections that stand keep theirs");
                warn_of_end(listener, &self.tls);
            }
            Err(error) => error!(listener, %error, "new certificates cannot be used; the old ones stay"),
        }
    }
}

fn warn_of_end(listener: &'static str, tls: &Tls) {
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
    if tls.expiry_s() <= now_s {
        warn!(listener, "a certificate has expired: clients will refuse it; put a new one into its place");
    }
}

fn versions(files: &TlsFiles) -> Vec<Version> {
    files.paths().map(version).collect()
}

fn version(path: &Path) -> Version {
    let file = fs::metadata(path).ok()?;
    Some((file.dev(), file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_turned_link_is_a_new_version() {
        let folder = std::env::temp_dir().join(format!("roomcast-versions-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let [one, two, link] = ["one", "two", "link"].map(|name| folder.join(name));
        fs::write(&one, "same").unwrap();
        fs::write(&two, "same").unwrap();
        symlink(&one, &link).unwrap();
        let before = version(&link);
        assert_eq!(version(&link), before);
        fs::remove_file(&link).unwrap();
        assert_eq!(version(&link), None);
        symlink(&two, &link).unwrap();
        assert_ne!(version(&link), before);
        fs::remove_dir_all(&folder).unwrap();
    }
}
