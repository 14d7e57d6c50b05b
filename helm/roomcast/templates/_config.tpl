{{/* A time such as "20s" in whole seconds, rounded up. */}}
{{- define "roomcast.seconds" -}}
{{- $time := . | toString | trim -}}
{{- if not (regexMatch "^[0-9]+ *(ms|s|m|h)$" $time) -}}
{{- fail (printf "%q is not a time: a number with ms, s, m or h, such as 20s" $time) -}}
{{- end -}}
{{- $number := regexFind "^[0-9]+" $time | int64 -}}
{{- if hasSuffix "ms" $time -}}{{ div (add $number 999) 1000 }}
{{- else if hasSuffix "s" $time -}}{{ $number }}
{{- else if hasSuffix "m" $time -}}{{ mul $number 60 }}
{{- else -}}{{ mul $number 3600 }}
{{- end -}}
{{- end }}

{{/* The time over which a pod's clients are asked to leave, in seconds. */}}
{{- define "roomcast.drainSeconds" -}}
{{ include "roomcast.seconds" (dig "drain" "window" "20s" .Values.config) }}
{{- end }}

{{- define "roomcast.gracePeriodSeconds" -}}
{{- $least := add .Values.preStopSleepSeconds (include "roomcast.drainSeconds" . | int64) -}}
{{ .Values.terminationGracePeriodSeconds | default (add $least 15) | int64 }}
{{- end }}

{{- define "roomcast.hasRedis" -}}
{{- if or .Values.redis.url .Values.redis.existingSecretUrlKey .Values.redis.trial.enabled -}}true{{- end -}}
{{- end }}

{{/* The URL, where the configuration says it and no Secret does. */}}
{{- define "roomcast.redisUrl" -}}
{{- if .Values.redis.trial.enabled -}}
redis://{{ include "roomcast.fullname" . }}-redis:6379
{{- else -}}
{{ .Values.redis.url }}
{{- end -}}
{{- end }}

{{/* The Secret that has Redis' password; empty where there is none. */}}
{{- define "roomcast.redisPasswordSecret" -}}
{{- if and .Values.redis.existingSecret (not .Values.redis.existingSecretUrlKey) -}}
{{ .Values.redis.existingSecret }}
{{- else if or .Values.redis.password .Values.redis.trial.enabled -}}
{{ include "roomcast.secretName" . }}
{{- end -}}
{{- end }}

{{- define "roomcast.redisPasswordKey" -}}
{{- .Values.redis.existingSecret | empty | ternary "redis-password" .Values.redis.existingSecretPasswordKey -}}
{{- end }}

{{/* Whether tokens are signed with the secret in auth.existingSecret, or with the one that the chart makes. */}}
{{- define "roomcast.usesJwtSecret" -}}
{{- $auth := .Values.config.auth | default dict -}}
{{- if not (or $auth.keys $auth.jwks_url $auth.mode) -}}true{{- end -}}
{{- end }}

{{/* What the chart itself says in roomcast.toml, besides .Values.config. */}}
{{- define "roomcast.ownConfig" -}}
{{- $redis := .Values.redis -}}
server:
  listen: {{ include "roomcast.listen" (dict "host" .Values.listenAddress "port" .Values.containerPorts.http) }}
admin:
  listen: {{ include "roomcast.listen" (dict "host" .Values.listenAddress "port" .Values.containerPorts.admin) }}
  {{- if .Values.admin.tlsSecret }}
  tls:
    certificates: ["/etc/roomcast/admin-tls/tls.crt:/etc/roomcast/admin-tls/tls.key"]
  {{- end }}
{{- if .Values.tlsSecret }}
tls:
  certificates: ["/etc/roomcast/tls/tls.crt:/etc/roomcast/tls/tls.key"]
{{- end }}
drain:
  window: {{ dig "drain" "window" "20s" .Values.config | quote }}
broker:
  {{- if not $redis.existingSecretUrlKey }}
  url: {{ include "roomcast.redisUrl" . | quote }}
  {{- end }}
  {{- if include "roomcast.redisPasswordSecret" . }}
  password_file: /etc/roomcast/redis/password
  {{- end }}
  {{- if or $redis.caSecret $redis.clientCertificateSecret }}
  tls:
    {{- if $redis.caSecret }}
    ca: /etc/roomcast/redis-ca/ca.crt
    {{- end }}
    {{- if $redis.clientCertificateSecret }}
    certificate: /etc/roomcast/redis-tls/tls.crt
    key: /etc/roomcast/redis-tls/tls.key
    {{- end }}
  {{- end }}
{{- if include "roomcast.usesJwtSecret" . }}
auth:
  keys: ["HS256:env:JWT_SECRET"]
{{- end }}
{{- end }}

{{- define "roomcast.listen" -}}
{{ contains ":" .host | empty | ternary (printf "%s:%d" .host (int .port)) (printf "[%s]:%d" .host (int .port)) | quote }}
{{- end }}

{{/* One value. Helm reads all numbers as floating-point ones, which toToml would write as such. */}}
{{- define "roomcast.tomlValue" -}}
{{- if kindIs "slice" . -}}
[{{ range $i, $item := . }}{{ if $i }}, {{ end }}{{ include "roomcast.tomlValue" $item }}{{ end }}]
{{- else if or (kindIs "float64" .) (kindIs "int" .) (kindIs "int64" .) -}}
{{ int64 . }}
{{- else -}}
{{ toJson . }}
{{- end -}}
{{- end }}

{{/* A table with its name, its values first, then the tables in it. */}}
{{- define "roomcast.tomlTable" -}}
{{- $name := .name -}}
{{- $table := .table }}

[{{ $name }}]
{{- range $key, $value := $table }}
{{- if not (or (kindIs "map" $value) (kindIs "invalid" $value)) }}
{{ $key }} = {{ include "roomcast.tomlValue" $value }}
{{- end }}
{{- end }}
{{- range $key, $value := $table }}
{{- if kindIs "map" $value }}
{{- $quoted := regexMatch "^[A-Za-z0-9_-]+$" $key | ternary $key (toJson $key) }}
{{- include "roomcast.tomlTable" (dict "name" (printf "%s.%s" $name $quoted) "table" $value) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The whole of roomcast.toml. */}}
{{- define "roomcast.toml" -}}
{{- $config := mergeOverwrite (deepCopy .Values.config) (include "roomcast.ownConfig" . | fromYaml) -}}
# Made by the chart from .Values.config; `roomcast config default` explains each setting.
{{- range $name, $table := $config }}
{{- if $table }}
{{- include "roomcast.tomlTable" (dict "name" $name "table" $table) }}
{{- end }}
{{- end }}
{{- end }}

{{/* The port of a URL, or the default one. */}}
{{- define "roomcast.portOf" -}}
{{- $host := regexReplaceAll "^.*@" (urlParse .url).host "" -}}
{{ regexFind ":[0-9]+$" $host | trimPrefix ":" | default (toString .default) }}
{{- end }}
