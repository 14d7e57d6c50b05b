//! What the chart must not install, and whether it says why.

use anyhow::{Result, bail};

use super::template;

/// Values as `--set` or `--set-json` take them, and what the refusal says.
const REFUSALS: &[(&[&str], &str)] = &[
    // By the templates.
    (&["--set", "replicaCount=2"], "2 nodes need Redis"),
    (&["--set", "autoscaling.enabled=true"], "10 nodes need Redis"),
    (&["--set", "terminationGracePeriodSeconds=34"], "terminationGracePeriodSeconds 34 is too short"),
    (&["--set", "terminationGracePeriodSeconds=40,config.drain.window=1m"], "need 75"),
    (&["--set", "redis.trial.enabled=true,redis.url=redis://redis"], "leave redis.url"),
    (&["--set", "redis.existingSecretUrlKey=url"], "set that, too"),
    (
        &["--set", "redis.existingSecretUrlKey=url,redis.existingSecret=s,redis.url=redis://h"],
        "set one of them",
    ),
    (&["--set", "redis.url=redis://user:secret@redis:6379"], "redis.url has a password"),
    (&["--set", "config.auth.mode=open,auth.existingSecret=s"], "leave it empty"),
    (&["--set", "config.auth.jwks_url=https://i,auth.existingSecret=s"], "auth.existingSecret is not used"),
    (&["--set", "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true"], "enable one of them"),
    (
        &["--set-json", r#"redis={"url":"redis://h"}"#, "--set-json", NO_TARGETS],
        "autoscaling needs something to look at",
    ),
    (&["--set", "redis.url=redis://h,autoscaling.enabled=true,autoscaling.minReplicas=11"], "is above"),
    (&["--set", "containerPorts.http=9090"], "must differ"),
    (&["--set", "httpRoute.enabled=true"], "httpRoute needs a Gateway"),
    // By the schema.
    (&["--set", "replicas=1"], "replicas"),
    (&["--set", "config.limits.conections=1"], "conections"),
    (&["--set", "config.broker.url=redis://h"], "url"),
    (&["--set", "config.server.listen=0.0.0.0:1"], "listen"),
    (&["--set", "config.admin.key=k"], "admin"),
    (&["--set", "config.drain.window=soon"], "window"),
    (&["--set", "config.namespaces.chat.histroy=1"], "histroy"),
    (&["--set", "image.digest=latest"], "digest"),
    (&["--set", "redis.url=http://redis"], "url"),
    (&["--set", "containerPorts.http=80"], "http"),
    (&["--set", "service.type=ExternalName"], "type"),
    (&["--set-json", r#"sysctls=[{"name":"net.core.somaxconn","value":"65535"}]"#], "sysctls"),
    (&["--set-json", r#"podSecurityContext.sysctls=[{"name":"kernel.shmmax","value":"1"}]"#], "sysctls"),
    (&["--set-json", r#"service.annotations={"a":1}"#], "annotations"),
    // By Chart.yaml: an older API server would drop the sleep before the end, or refuse it.
    (&["--kube-version", "1.29.14"], "kubeVersion"),
];

const NO_TARGETS: &str = r#"autoscaling={"enabled":true,"targetConnectionsPerPod":0,"targetCPUUtilizationPercentage":0,"targetMemoryUtilizationPercentage":0}"#;

/// That each is refused, with a sentence that says what is wrong.
pub(super) fn check() -> Result<()> {
    for (values, reason) in REFUSALS {
        let output = template(values)?.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            bail!("{values:?} must be refused, and is rendered");
        }
        if !said.lines().any(|line| !line.contains("symbolic link") && line.contains(reason)) {
            bail!("{values:?} must be refused with {reason:?}, not with\n{said}");
        }
    }
    eprintln!("  {} refused", REFUSALS.len());
    Ok(())
}
