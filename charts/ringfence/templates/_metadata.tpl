{{/*
Names are fixed: the operator's code, its certificates and the NetworkPolicies that it writes refer to them. So there is one
release per cluster, and a second one is refused by Helm for its cluster-wide objects.
*/}}

{{/* Labels of an object: dict root, app (none for what belongs to neither of the two Deployments), labels of its own. */}}
{{- define "ringfence.labels" -}}
app.kubernetes.io/part-of: ringfence
{{- with .app }}
app.kubernetes.io/name: {{ . }}
{{- end }}
app.kubernetes.io/instance: {{ quote .root.Release.Name }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 }}
{{- with merge dict (.labels | default dict) .root.Values.extraLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* What stands under metadata: dict root, name, and where they apply namespace, app, annotations, labels. */}}
{{- define "ringfence.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ quote . }}
{{- end }}
labels:
  {{- include "ringfence.labels" . | nindent 2 }}
{{- with merge dict (.annotations | default dict) .root.Values.extraAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Metadata of a CustomResourceDefinition: dict root, name. */}}
{{- define "ringfence.crdMetadata" -}}
{{- $kept := .root.Values.crds.keep | ternary (dict "helm.sh/resource-policy" "keep") dict -}}
{{- include "ringfence.metadata" (dict "root" .root "name" .name "annotations" $kept) }}
{{- end }}

{{/* The pods of a component, for selectors: nothing else may ever select them. */}}
{{- define "ringfence.operatorPods" -}}
app.kubernetes.io/name: ringfence-operator
{{- end }}
{{- define "ringfence.gatewayPods" -}}
app.kubernetes.io/name: ringfence-gateway
{{- end }}

{{/* The operator's user, as rights are given to. */}}
{{- define "ringfence.operatorSubjects" -}}
- {kind: ServiceAccount, name: ringfence-operator, namespace: {{ quote .Release.Namespace }}}
{{- end }}
