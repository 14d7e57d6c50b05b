{{/* How a node's metrics are read; the same for ServiceMonitor and PodMonitor. */}}
{{- define "roomcast.endpoint" -}}
port: admin
path: /metrics
interval: {{ .interval }}
{{- if .context.Values.admin.tlsSecret }}
scheme: https
# The certificate has the Service's name, and pods are asked by their address.
tlsConfig:
  serverName: {{ include "roomcast.fullname" .context }}-admin.{{ .context.Release.Namespace }}.svc
  ca:
    secret:
      name: {{ .context.Values.admin.tlsSecret }}
      key: ca.crt
{{- end }}
# The job is what alerts and dashboards call a cluster.
relabelings:
  - action: replace
    targetLabel: job
    replacement: {{ include "roomcast.fullname" .context }}
{{- end }}
