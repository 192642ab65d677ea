{{/* The value of an environment variable: lists are comma separated, and numbers in a file of values are floats. */}}
{{- define "ringfence.text" -}}
{{- if kindIs "slice" . -}}
{{ join "," . }}
{{- else if kindIs "float64" . -}}
{{ int64 . }}
{{- else -}}
{{ . }}
{{- end -}}
{{- end }}

{{/* The settings as environment variables: maximumCpu is RINGFENCE_OPERATOR_MAXIMUM_CPU. What is empty is not set. */}}
{{- define "ringfence.settings" -}}
{{- $settings := .Values.settings }}
{{- if include "ringfence.demoRedis" . }}
{{- $own := dict "redisUrl" (printf "redis://redis.%s.svc:6379" .Values.demo.namespace) "redisService" (printf "%s/redis" .Values.demo.namespace) }}
{{- $settings = merge $own $settings }}
{{- end }}
{{- range $name, $value := $settings }}
{{- $text := include "ringfence.text" $value }}
{{- if $text }}
- {name: RINGFENCE_OPERATOR_{{ snakecase $name | upper }}, value: {{ quote $text }}}
{{- end }}
{{- end }}
{{- with $settings.redisUrl }}
- {name: RINGFENCE_OPERATOR_REDIS_ADMINISTRATOR, value: /etc/ringfence/redis/{{ $.Values.secrets.redis.administratorKey }}}
{{- if hasPrefix "redis+sentinel:" . }}
- {name: RINGFENCE_OPERATOR_REDIS_SENTINEL_CREDENTIAL, value: /etc/ringfence/redis/{{ $.Values.secrets.redis.sentinelKey }}}
{{- end }}
{{- end }}
{{- with .Values.secrets.upstreamProxy }}
{{- if .name }}
- {name: RINGFENCE_OPERATOR_UPSTREAM_PROXY_CREDENTIAL, value: /etc/ringfence/upstream-proxy/{{ .key }}}
{{- end }}
{{- end }}
{{- with .Values.settings.collectorService }}
- {name: RINGFENCE_OPERATOR_COLLECTOR_TOKEN, value: /etc/ringfence/telemetry/{{ $.Values.secrets.telemetry.collectorTokenKey }}}
{{- end }}
{{- with .Values.settings.auditStreamService }}
- name: RINGFENCE_OPERATOR_AUDIT_STREAM_CREDENTIAL
  value: /etc/ringfence/telemetry/{{ $.Values.secrets.telemetry.auditStreamCredentialKey }}
{{- end }}
{{- range $name, $where := .Values.authorities }}
{{- if or $where.configMap $where.secret }}
- name: RINGFENCE_OPERATOR_{{ snakecase $name | upper }}_AUTHORITY
  value: /etc/ringfence/authorities/{{ snakecase $name | replace "_" "-" }}/{{ $where.key }}
{{- end }}
{{- end }}
{{- end }}

{{/* Volumes of the authorities, and where they are mounted. The pods wait for those that are named. */}}
{{- define "ringfence.authorityVolumes" -}}
{{- range $name, $where := .Values.authorities }}
{{- $volume := snakecase $name | replace "_" "-" | printf "authority-%s" }}
{{- if $where.configMap }}
- name: {{ $volume }}
  configMap: {name: {{ $where.configMap }}, defaultMode: 0444}
{{- else if $where.secret }}
- name: {{ $volume }}
  secret: {secretName: {{ $where.secret }}, defaultMode: 0444}
{{- end }}
{{- end }}
{{- end }}

{{- define "ringfence.authorityMounts" -}}
{{- range $name, $where := .Values.authorities }}
{{- if or $where.configMap $where.secret }}
{{- $folder := snakecase $name | replace "_" "-" }}
- {name: authority-{{ $folder }}, mountPath: /etc/ringfence/authorities/{{ $folder }}, readOnly: true}
{{- end }}
{{- end }}
{{- end }}
