{{- define "cereus.name" -}}
{{- .Values.fullnameOverride | default (printf "%s-operator" (.Release.Name | trunc 54 | trimSuffix "-")) -}}
{{- end }}

{{- define "cereus.serviceAccount" -}}
{{- .Values.serviceAccount.name | default (ternary (include "cereus.name" .) "default" .Values.serviceAccount.create) -}}
{{- end }}

{{- define "cereus.image" -}}
{{- $image := .Values.image -}}
{{- $image.repository -}}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ $image.tag | default .Chart.AppVersion }}{{ end -}}
{{- end }}

{{- define "cereus.selector" -}}
app.kubernetes.io/name: cereus-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* Labels and annotations of every object. */ -}}
{{- define "cereus.labels" -}}
{{ include "cereus.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: cereus
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name (.Chart.Version | replace "+" "_") }}
{{- with .Values.labels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- /* The metadata of an object: (list $ NAME NAMESPACE ANNOTATIONS); without a namespace it is one of the cluster. It ends
       with the labels, so that more can follow. */ -}}
{{- define "cereus.metadata" -}}
{{- $ := index . 0 -}}
name: {{ index . 1 }}
{{- with index . 2 }}
namespace: {{ . }}
{{- end }}
{{- with mustMergeOverwrite dict $.Values.annotations (index . 3) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
labels:
  {{- include "cereus.labels" $ | nindent 2 }}
{{- end }}

{{- /* The namespaces that may ask the operator for its metrics. */ -}}
{{- define "cereus.monitoringNamespaces" -}}
{{- append .Values.monitoringNamespaces .Release.Namespace | uniq | sortAlpha | toYaml -}}
{{- end }}
