{{/* Volumes of a node, and where they are: name, path, and the source of the volume. */}}
{{- define "roomcast.volumes" -}}
- name: config
  configMap:
    name: {{ include "roomcast.fullname" . }}
{{- with include "roomcast.redisPasswordSecret" . }}
- name: redis-password
  secret:
    secretName: {{ . }}
    defaultMode: 0440
    items:
      - key: {{ include "roomcast.redisPasswordKey" $ }}
        path: password
{{- end }}
{{- range $name, $secret := include "roomcast.secretFolders" . | fromYaml }}
- name: {{ $name }}
  secret:
    secretName: {{ $secret }}
    defaultMode: 0440
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "roomcast.volumeMounts" -}}
- name: config
  mountPath: /etc/roomcast/config
  readOnly: true
{{- if include "roomcast.redisPasswordSecret" . }}
- name: redis-password
  mountPath: /etc/roomcast/redis
  readOnly: true
{{- end }}
{{- range $name, $secret := include "roomcast.secretFolders" . | fromYaml }}
- name: {{ $name }}
  mountPath: /etc/roomcast/{{ $name }}
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Folders below /etc/roomcast that are whole Secrets. */}}
{{- define "roomcast.secretFolders" -}}
{{- with .Values.auth.keyFilesSecret }}
keys: {{ . }}
{{- end }}
{{- with .Values.tlsSecret }}
tls: {{ . }}
{{- end }}
{{- with .Values.admin.tlsSecret }}
admin-tls: {{ . }}
{{- end }}
{{- with .Values.redis.caSecret }}
redis-ca: {{ . }}
{{- end }}
{{- with .Values.redis.clientCertificateSecret }}
redis-tls: {{ . }}
{{- end }}
{{- end }}

{{/* Secrets that are settings. */}}
{{- define "roomcast.env" -}}
- name: ROOMCAST_ADMIN__KEY
  valueFrom:
    secretKeyRef:
      name: {{ .Values.admin.existingSecret | default (include "roomcast.secretName" .) }}
      key: {{ .Values.admin.existingSecret | empty | ternary "admin-key" .Values.admin.existingSecretKey }}
{{- if include "roomcast.usesJwtSecret" . }}
- name: JWT_SECRET
  valueFrom:
    secretKeyRef:
      name: {{ .Values.auth.existingSecret | default (include "roomcast.secretName" .) }}
      key: {{ .Values.auth.existingSecret | empty | ternary "jwt-secret" .Values.auth.existingSecretKey }}
{{- end }}
{{- if .Values.redis.existingSecretUrlKey }}
- name: ROOMCAST_BROKER__URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.redis.existingSecret }}
      key: {{ .Values.redis.existingSecretUrlKey }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The image's security contexts, with the sysctls among the pod's. */}}
{{- define "roomcast.podSecurityContext" -}}
{{- $sysctls := .Values.sysctls | empty | ternary (dict) (dict "sysctls" .Values.sysctls) -}}
{{ toYaml (merge (dict) .Values.podSecurityContext $sysctls) }}
{{- end }}

{{- define "roomcast.topologySpread" -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- topologyKey: {{ . }}
  maxSkew: 1
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels:
      {{- include "roomcast.selector" (dict "context" $ "component" "gateway") | nindent 6 }}
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}

{{- define "roomcast.updateStrategy" -}}
{{- if .Values.updateStrategy -}}
{{ toYaml .Values.updateStrategy }}
{{- else if include "roomcast.hasRedis" . -}}
type: RollingUpdate
rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
{{- else -}}
type: Recreate
{{- end -}}
{{- end }}

{{- define "roomcast.probe" -}}
httpGet:
  path: {{ .path }}
  port: admin
  scheme: {{ .context.Values.admin.tlsSecret | empty | ternary "HTTP" "HTTPS" }}
{{ toYaml .timing }}
{{- end }}
