{{/* Of every object. A Service takes fewer names than helm takes for a release. */}}
{{- define "heliograph.name" -}}
{{- $name := default .Release.Name .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $name) -}}
{{- fail (printf "the name of the release, %q, is to be the name of a Service: a letter, then letters, digits and dashes; or set fullnameOverride" $name) -}}
{{- end -}}
{{- $name -}}
{{- end }}

{{- define "heliograph.selector" -}}
app.kubernetes.io/name: heliograph-replica
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "heliograph.labels" -}}
{{ include "heliograph.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: heliograph
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "heliograph.podLabels" -}}
{{- $own := include "heliograph.labels" . -}}
{{- range $name, $value := .Values.podLabels -}}
{{- if hasKey (fromYaml $own) $name -}}
{{- fail (printf "podLabels: the label %s is the chart's own" $name) -}}
{{- end -}}
{{- end -}}
{{- $own }}
{{- with .Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "heliograph.image" -}}
{{- with .Values.image }}
{{- .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* Over zones and machines where there are several, without waiting for one more; or as the values say. */}}
{{- define "heliograph.spread" -}}
{{- $own := dict "labelSelector" (dict "matchLabels" (include "heliograph.selector" . | fromYaml)) -}}
{{- $default := list -}}
{{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" -}}
{{- $default = append $default (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway") -}}
{{- end -}}
{{- range default $default .Values.topologySpreadConstraints }}
- {{ if not (hasKey . "labelSelector") }}{{ toYaml $own | nindent 2 | trim }}
  {{ end }}{{ toYaml . | nindent 2 | trim }}
{{- end }}
{{- end }}

{{/* One variable of the secret: what is not in it is not set. */}}
{{- define "heliograph.secretEnv" -}}
{{- range .names }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $.secret }}
      key: {{ . }}
      optional: {{ has . $.optional }}
{{- end }}
{{- end }}

{{/* `settings`, but for what another value says, and secrets: those are refused, and told where they belong. */}}
{{- define "heliograph.settings" -}}
{{- $places := fromYaml `
ADMIN_PORT: it is 9180
ARTIFACT_STORE: the value store.url says it
GATEWAY_PORT: the value service.port says it
GATEWAY_TLS_PORT: the value service.tlsPort says it
HELIO_ADMIN_BIND: the value networkPolicy.adminFrom says it
HELIO_ADMIN_CERTIFICATES: probes ask that port by http
HELIO_BIND: the value ipFamilies says it
HELIO_CONFIG: settings has each by its own name
HELIO_ENVIRONMENT: the value environment says it
HELIO_MASTER_URL: the value masterUrl says it
HELIO_PEERS: the value peers says it
HELIO_REGION: the value region says it
HELIO_REPLICA: a replica is told its id when it joins
HELIO_STATE_DIR: the value persistence says it
HELIO_TLS_CERTIFICATES: the value tls.existingSecret says it
HELIO_TRUSTED_KEYS: the value trustedKeys says it
HELIO_UPSTREAM_CERTIFICATES: the value upstreamCertificates.existingSecret says it
HELIO_WORKERS: the value workers says it
S3_ENDPOINT: the value store.endpoint says it
S3_REGION: the value store.region says it
` -}}
{{- range list "DATABASE_URL" "HELIO_BOOTSTRAP_ADMIN_TOKEN" "HELIO_JOIN_TOKEN" "REDIS_URL" "S3_ACCESS_KEY" "S3_SECRET_KEY" -}}
{{- $_ := set $places . "it is secret: a key of the Secret that existingSecret names" -}}
{{- end -}}
{{- range $name, $value := .Values.settings }}
{{- with get $places $name }}
{{- fail (printf "settings.%s does not go there: %s" $name .) }}
{{- end }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "heliograph.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{- define "heliograph.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.runAsUser }}
runAsGroup: {{ .Values.runAsUser }}
fsGroup: {{ .Values.runAsUser }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{/* Of a Service. */}}
{{- define "heliograph.ipFamilies" -}}
{{- with .Values.ipFamilies -}}
ipFamilyPolicy: {{ eq (len .) 2 | ternary "RequireDualStack" "SingleStack" }}
ipFamilies: {{ toJson . }}
{{- end }}
{{- end }}
