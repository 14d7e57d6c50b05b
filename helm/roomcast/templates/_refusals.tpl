{{/* What must not be installed, each with what to do. Included by the Deployment. */}}
{{- define "roomcast.refusals" -}}
{{- $scaled := .Values.autoscaling.enabled | ternary .Values.autoscaling.maxReplicas .Values.replicaCount | int -}}
{{- if and (gt $scaled 1) (not (include "roomcast.hasRedis" .)) -}}
{{- fail (printf "%d nodes need Redis to know of each other: set redis.url (or redis.existingSecretUrlKey, or redis.trial.enabled for a trial), or one replica without autoscaling" $scaled) -}}
{{- end -}}
{{- $least := add .Values.preStopSleepSeconds (include "roomcast.drainSeconds" . | int64) 10 -}}
{{- if lt (include "roomcast.gracePeriodSeconds" . | int64) (int64 $least) -}}
{{- fail (printf "terminationGracePeriodSeconds %d is too short, clients would be cut off: preStopSleepSeconds and config.drain.window need %d; set 0 to have it computed" (int .Values.terminationGracePeriodSeconds) $least) -}}
{{- end -}}
{{- if and .Values.redis.trial.enabled (or .Values.redis.url .Values.redis.existingSecret .Values.redis.existingSecretUrlKey) -}}
{{- fail "redis.trial.enabled makes a Redis of its own: leave redis.url, redis.existingSecret and redis.existingSecretUrlKey empty, or set it to false" -}}
{{- end -}}
{{- if and .Values.redis.existingSecretUrlKey (not .Values.redis.existingSecret) -}}
{{- fail "redis.existingSecretUrlKey names an entry of redis.existingSecret: set that, too" -}}
{{- end -}}
{{- if and .Values.redis.existingSecretUrlKey .Values.redis.url -}}
{{- fail "redis.url and redis.existingSecretUrlKey both say where Redis is: set one of them" -}}
{{- end -}}
{{- if regexMatch "^rediss?://[^/@]*:[^/@]+@" .Values.redis.url -}}
{{- fail "redis.url has a password, which would stand in a ConfigMap: put it into a Secret, and name that in redis.existingSecret" -}}
{{- end -}}
{{- $auth := .Values.config.auth | default dict -}}
{{- if and $auth.mode (or $auth.keys $auth.jwks_url .Values.auth.existingSecret) -}}
{{- fail "config.auth.mode = open lets everybody in: with config.auth.keys, config.auth.jwks_url or auth.existingSecret leave it empty" -}}
{{- end -}}
{{- if and .Values.auth.existingSecret (or $auth.keys $auth.jwks_url) -}}
{{- fail "auth.existingSecret is not used where config.auth.keys or config.auth.jwks_url are set: add \"HS256:env:NAME\" to config.auth.keys and the variable to extraEnv, or leave it empty" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor would each scrape every node: enable one of them" -}}
{{- end -}}
{{- $targets := .Values.autoscaling -}}
{{- if and $targets.enabled (not (or $targets.targetConnectionsPerPod $targets.targetCPUUtilizationPercentage $targets.targetMemoryUtilizationPercentage)) -}}
{{- fail "autoscaling needs something to look at: set one of its targets" -}}
{{- end -}}
{{- if and $targets.enabled (gt (int $targets.minReplicas) (int $targets.maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is above autoscaling.maxReplicas" -}}
{{- end -}}
{{- if eq (int .Values.containerPorts.http) (int .Values.containerPorts.admin) -}}
{{- fail "containerPorts.http and containerPorts.admin must differ: the admin listener is not for the public" -}}
{{- end -}}
{{- if and .Values.httpRoute.enabled (not .Values.httpRoute.parentRefs) -}}
{{- fail "httpRoute needs a Gateway: set httpRoute.parentRefs" -}}
{{- end -}}
{{- end }}
