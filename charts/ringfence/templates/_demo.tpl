{{/* Not empty where there is a Redis for trying it out: settings.redisUrl names no other. */}}
{{- define "ringfence.demoRedis" -}}
{{- if and .Values.demo.enabled (not .Values.settings.redisUrl) -}}
true
{{- end -}}
{{- end }}

{{/* The password of a back end: one that is given, or that its Secret has already, or a new one. dict root, name. */}}
{{- define "ringfence.demoPassword" -}}
{{- $demo := .root.Values.demo -}}
{{- $there := lookup "v1" "Secret" $demo.namespace .name | default dict -}}
{{- (index $demo .name).password | default (dig "data" "password" "" $there | b64dec) | default (randAlphaNum 32) -}}
{{- end }}

{{/* Metadata of an object of a back end: dict root, name. */}}
{{- define "ringfence.demoMetadata" -}}
{{- include "ringfence.metadata" (dict "root" .root "name" .name "namespace" .root.Values.demo.namespace "app" .name) }}
{{- end }}

{{/* A Deployment's spec up to its containers: dict root, name, files, which are those of its Secret. */}}
{{- define "ringfence.demoSpec" -}}
replicas: 1
revisionHistoryLimit: 3
selector: {matchLabels: {app.kubernetes.io/name: {{ .name }}}}
strategy: {type: Recreate}
template:
  metadata:
    {{- /* They are read at the start only, so another password needs another pod. */}}
    {{- $read := dict "checksum/files" (sha256sum .files) }}
    {{- include "ringfence.podMetadata" (dict "app" .name "values" (dict "podAnnotations" $read)) | nindent 4 }}
  spec:
    automountServiceAccountToken: false
    enableServiceLinks: false
    securityContext:
      {{- include "ringfence.podSecurity" .root | nindent 6 }}
    volumes:
      - {name: files, secret: {secretName: {{ .name }}, defaultMode: 0444}}
      - {name: data, emptyDir: {sizeLimit: 1Gi}}
{{- end }}

{{/* What each container has: dict root, name. */}}
{{- define "ringfence.demoContainer" -}}
{{- $demo := .root.Values.demo -}}
{{- $own := index $demo .name -}}
name: {{ .name }}
image: {{ include "ringfence.image" (dict "root" .root "image" $own.image) }}
imagePullPolicy: {{ $demo.imagePullPolicy }}
resources:
  {{- toYaml $own.resources | nindent 2 }}
securityContext:
  {{- include "ringfence.containerSecurity" .root | nindent 2 }}
{{- end }}
