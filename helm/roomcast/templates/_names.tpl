{{- define "roomcast.name" -}}
{{ .Values.nameOverride | default .Chart.Name | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* At most 42 characters, so that what is put behind it ("-dashboard-…") still fits. */}}
{{- define "roomcast.fullname" -}}
{{- $name := .Values.nameOverride | default .Chart.Name -}}
{{- $both := contains $name .Release.Name | empty | ternary (printf "%s-%s" .Release.Name $name) .Release.Name -}}
{{ .Values.fullnameOverride | default $both | trunc 42 | trimSuffix "-" }}
{{- end }}

{{- define "roomcast.serviceAccountName" -}}
{{- $made := .Values.serviceAccount.create | ternary (include "roomcast.fullname" .) "default" -}}
{{ .Values.serviceAccount.name | default $made }}
{{- end }}

{{/* What is the same for the whole life of a release. Takes the context and the component. */}}
{{- define "roomcast.selector" -}}
app.kubernetes.io/name: {{ include "roomcast.name" .context }}
app.kubernetes.io/instance: {{ .context.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "roomcast.labels" -}}
{{ include "roomcast.selector" . }}
app.kubernetes.io/version: {{ .context.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .context.Release.Service }}
app.kubernetes.io/part-of: roomcast
helm.sh/chart: {{ printf "%s-%s" .context.Chart.Name .context.Chart.Version | replace "+" "_" }}
{{- with .context.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of pods: not the chart's version, with which every pod would be replaced. Takes the context, the component, labels. */}}
{{- define "roomcast.podLabels" -}}
{{- $own := dict "app.kubernetes.io/version" .context.Chart.AppVersion "app.kubernetes.io/part-of" "roomcast" -}}
{{ merge (include "roomcast.selector" . | fromYaml) $own .context.Values.commonLabels (.labels | default dict) | toYaml }}
{{- end }}

{{/* metadata of an object. Takes the context, the component and, if need be, name or suffix, labels, annotations. */}}
{{- define "roomcast.metadata" -}}
{{- $labels := merge (include "roomcast.labels" . | fromYaml) (.labels | default dict) -}}
{{- $annotations := merge (dict) (.annotations | default dict) .context.Values.commonAnnotations -}}
name: {{ .name | default (printf "%s%s" (include "roomcast.fullname" .context) (.suffix | default "")) }}
namespace: {{ .context.Release.Namespace }}
labels:
  {{- toYaml $labels | nindent 2 }}
{{- with $annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* repository@digest, or repository:tag. Takes an image of values.yaml and the tag where it has none. */}}
{{- define "roomcast.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .tag }}
{{- end -}}
{{- end }}

{{/* The chart's own Secret. */}}
{{- define "roomcast.secretName" -}}
{{ include "roomcast.fullname" . }}-secrets
{{- end }}
