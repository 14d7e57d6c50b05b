//! What the chart renders, given to its readers: schemas of several versions of Kubernetes, the Go types of each API, the
//! API server's own code, Pod Security, kube-score, and the binary. Each reader is first shown something wrong, which it has to find.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use xtask::go_tools::{KUBE_SCORE, MANIFESTS};
use xtask::python;
use xtask::{Authority, process::scratch_folder};

use super::{binary, output, template};

/// Versions that the chart is for.
const KUBERNETES: [&str; 8] = ["1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37"];

/// What kube-score asks for and does not get.
const SCORE_EXCEPTIONS: &[&str] = &[
    // Being throttled is what makes messages late; the request sees to it that others get their share.
    "--ignore-container-cpu-limit",
    // Tags are of releases and do not move; and a digest can be given.
    "--ignore-test=container-image-pull-policy",
    // Topology spread constraints do that.
    "--ignore-test=deployment-has-host-podantiaffinity",
];

/// One change to a rendered file, and what has to be said about it.
struct Damage {
    reader: Reader,
    from: &'static str,
    to: &'static str,
    said: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reader {
    Schemas,
    Types,
    Score,
    Binary,
}

const DAMAGES: [Damage; 13] = [
    Damage {
        reader: Reader::Schemas,
        from: "minReadySeconds:",
        to: "minReadySecond:",
        said: "minReadySecond",
    },
    Damage { reader: Reader::Types, from: "minReadySeconds:", to: "minReadySecond:", said: "unknown field" },
    Damage { reader: Reader::Types, from: "path: /metrics", to: "pathh: /metrics", said: "unknown field" },
    Damage { reader: Reader::Types, from: "parentRefs:", to: "parents:", said: "unknown field" },
    Damage {
        reader: Reader::Types,
        from: "allowPrivilegeEscalation: false",
        to: "allowPrivilegeEscalation: true",
        said: "refused where Pod Security is restricted",
    },
    Damage { reader: Reader::Types, from: "team: chat", to: "team: chat!", said: "metadata.labels" },
    Damage {
        reader: Reader::Types,
        from: "targetPort: admin",
        to: "targetPort: adm",
        said: "no pod with the labels",
    },
    Damage {
        reader: Reader::Types,
        from: "port: admin\n      path",
        to: "port: adm\n      path",
        said: "0 Services",
    },
    Damage {
        reader: Reader::Types,
        from: "- name: roomcast\n          port: 80",
        to: "- name: roomcast\n          port: 81",
        said: "has no port 81",
    },
    Damage {
        reader: Reader::Score,
        from: "readOnlyRootFilesystem: true",
        to: "readOnlyRootFilesystem: false",
        said: "writable root filesystem",
    },
    Damage {
        reader: Reader::Types,
        from: "- name: http\n              containerPort",
        to: "- name: a-name-of-many-characters\n              containerPort",
        said: "must be no more than 15 characters",
    },
    Damage {
        reader: Reader::Types,
        from: "memory: 1Gi",
        to: "memory: 1Mi",
        said: "less than or equal to memory limit",
    },
    Damage { reader: Reader::Binary, from: "[limits]", to: "[limit]", said: "limits" },
];

/// Checks what is rendered with each of the files of values.
pub(super) fn check(values: &[PathBuf]) -> Result<()> {
    let readers = Readers::new()?;
    let mut objects = 0;
    for file in values {
        let name = file.file_stem().context("a file without a name")?.to_string_lossy().into_owned();
        let path = file.to_string_lossy();
        let rendered = output(template(&["--values", &path])?)?;
        for reader in [Reader::Schemas, Reader::Types, Reader::Score, Reader::Binary] {
            readers.give(reader, &rendered).with_context(|| format!("{name}, {reader:?}"))?;
        }
        if name.starts_with("production") {
            readers.find_damages(&rendered)?;
        }
        objects += documents(&rendered).count();
    }
    eprintln!("  {objects} objects of {} renders, for Kubernetes {}", values.len(), KUBERNETES.join(", "));
    Ok(())
}

struct Readers {
    folder: xtask::process::ScratchFolder,
    /// Stands for `/etc/roomcast`.
    secrets: Authority,
    python: python::Packages,
    binary: PathBuf,
}

impl Readers {
    fn new() -> Result<Self> {
        let secrets = Authority::new()?;
        let issued = secrets.issue("tls", &["rt.example"], 2099)?;
        for folder in ["tls", "admin-tls", "redis-tls"] {
            fs::create_dir(secrets.folder().join(folder))?;
            fs::copy(&issued.certificate, secrets.folder().join(folder).join("tls.crt"))?;
            fs::copy(&issued.key, secrets.folder().join(folder).join("tls.key"))?;
        }
        for folder in ["keys", "redis", "redis-ca"] {
            fs::create_dir(secrets.folder().join(folder))?;
        }
        fs::copy(secrets.file(), secrets.folder().join("redis-ca/ca.crt"))?;
        fs::write(secrets.folder().join("redis/password"), "a password")?;
        fs::write(secrets.folder().join("keys/2026-1"), [b'k'; 64])?;
        let folder = scratch_folder("rendered")?;
        Ok(Self { folder, secrets, python: python::tools()?, binary: binary()? })
    }

    fn give(&self, reader: Reader, rendered: &str) -> Result<()> {
        match reader {
            Reader::Schemas => self.schemas(rendered),
            Reader::Types => self.types(rendered),
            Reader::Score => self.score(rendered),
            Reader::Binary => self.configuration(rendered),
        }
    }

    /// Kubernetes' own kinds, against the schemas of each version, which know no other fields.
    fn schemas(&self, rendered: &str) -> Result<()> {
        let built_in: Vec<_> = documents(rendered).filter(|document| !is_custom(document)).collect();
        let file = self.file("built-in.yaml", &built_in.join("\n---\n"))?;
        for version in KUBERNETES {
            let mut validate = self.python.program("kubernetes-validate");
            validate.args(["--strict", "--kubernetes-version", version]).arg(&file);
            let said = output(validate)?;
            let passed = said.matches(" passed for resource ").count();
            if passed != built_in.len() {
                bail!("of {} objects {passed} were validated for {version}:\n{said}", built_in.len());
            }
        }
        Ok(())
    }

    /// All kinds, by their Go types and as the API server creates them; pods under Pod Security.
    fn types(&self, rendered: &str) -> Result<()> {
        let mut manifests = MANIFESTS.command()?;
        manifests.arg(self.file("all.yaml", rendered)?);
        output(manifests).map(drop)
    }

    /// What runs for long; pods of `helm test` have no Service, no budget and no policy.
    fn score(&self, rendered: &str) -> Result<()> {
        let judged: Vec<_> =
            documents(rendered).filter(|document| !document.contains("helm.sh/hook")).collect();
        let mut score = KUBE_SCORE.command()?;
        score.args(["score", "--output-format=ci", "--exit-one-on-warning", "--kubernetes-version=v1.37"]);
        score.args(SCORE_EXCEPTIONS);
        // A node without Redis, and Redis for trials: there is one, which ends before the next begins.
        if rendered.contains("type: Recreate") {
            score.args(["--ignore-test=deployment-strategy", "--ignore-test=deployment-replicas"]);
        }
        score.arg(self.file("judged.yaml", &judged.join("\n---\n"))?);
        output(score).map(drop)
    }

    /// The ConfigMap, by `roomcast config check`, with files where the Secrets would be.
    fn configuration(&self, rendered: &str) -> Result<()> {
        let toml = configuration_in(rendered).context("there is no roomcast.toml")?;
        let toml = toml.replace("/etc/roomcast", &self.secrets.folder().to_string_lossy());
        let mut check = Command::new(&self.binary);
        check.args(["config", "check", "--config"]).arg(self.file("roomcast.toml", &toml)?);
        check.env("JWT_SECRET", "k".repeat(48)).env("ROOMCAST_ADMIN__KEY", "k".repeat(48));
        output(check).map(drop)
    }

    fn find_damages(&self, rendered: &str) -> Result<()> {
        for Damage { reader, from, to, said } in DAMAGES {
            if !rendered.contains(from) {
                bail!("nothing is rendered with {from:?}, which {reader:?} should find missing");
            }
            let Err(error) = self.give(reader, &rendered.replace(from, to)) else {
                bail!("{reader:?} does not notice {to:?}");
            };
            if !format!("{error:#}").contains(said) {
                bail!("{reader:?} says nothing of {said:?} about {to:?}, but\n{error:#}");
            }
        }
        Ok(())
    }

    fn file(&self, name: &str, content: &str) -> Result<PathBuf> {
        let path: &Path = &self.folder;
        let path = path.join(name);
        fs::write(&path, content)?;
        Ok(path)
    }
}

/// The objects of a render.
fn documents(rendered: &str) -> impl Iterator<Item = &str> {
    rendered.split("---\n").filter(|document| document.lines().any(|line| line.starts_with("kind: ")))
}

fn is_custom(document: &str) -> bool {
    document.lines().any(|line| {
        line.starts_with("apiVersion: monitoring.coreos.com/")
            || line.starts_with("apiVersion: gateway.networking.")
    })
}

/// The block of text in the ConfigMap, without its indent.
fn configuration_in(rendered: &str) -> Option<String> {
    let (_, block) = rendered.split_once("\n  roomcast.toml: |\n")?;
    let lines = block.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    Some(lines.map(|line| format!("{}\n", line.trim_start())).collect())
}
