{{/* What the schema cannot say: values that do not go together. */}}
{{- define "ringfence.validate" -}}
{{- range $name, $where := .Values.authorities }}
{{- if and $where.configMap $where.secret }}
{{- fail (printf "authorities.%s: name a configMap or a secret, not both" $name) }}
{{- end }}
{{- end }}
{{- if and (not .Values.settings.leaderElect) (gt (int .Values.operator.replicas) 1) }}
{{- fail "settings.leaderElect: false is for one replica, since each would write: set operator.replicas to 1" }}
{{- end }}
{{- $ports := list 18000 18443 (int .Values.settings.httpPort) (int .Values.operator.control.httpPort) }}
{{- if ne (len $ports) (len (uniq $ports)) }}
{{- fail "settings.httpPort, operator.control.httpPort: they are in one pod, with 18000 and 18443: choose two others" }}
{{- end }}
{{- if and .Values.metrics.podMonitor.enabled .Values.metrics.serviceMonitor.enabled }}
{{- fail "metrics.serviceMonitor.enabled: with podMonitor.enabled, everything would be scraped twice: choose one" }}
{{- end }}
{{- if has .Release.Namespace .Values.rbac.namespaces }}
{{- fail (printf "rbac.namespaces: no agent may live in %s, where the operator is: leave it out" .Release.Namespace) }}
{{- end }}
{{- if and .Values.demo.enabled (eq .Values.demo.namespace .Release.Namespace) }}
{{- fail (printf "demo.namespace: no Connector may lead into %s, where the operator is: name another" .Release.Namespace) }}
{{- end }}
{{- $home := first (splitList "/" .Values.settings.defaultPolicy) }}
{{- if and $home .Values.rbac.namespaces (not (has $home .Values.rbac.namespaces)) }}
{{- fail (printf "rbac.namespaces: the operator has to write in %s, where settings.defaultPolicy is: add it" $home) }}
{{- end }}
{{- end }}
