{{- define "stagecraft-infra.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: stagecraft-infra
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Fails unless the cluster serves `api`; `key` is what asks for it. */}}
{{- define "stagecraft-infra.require-api" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "%s: this cluster does not serve %s. Install its operator or turn this off. Without a cluster, add --api-versions %s." .key .api .api) -}}
{{- end -}}
{{- end }}

{{/* A partner's user or topic: the pattern with its names. */}}
{{- define "stagecraft-infra.partner" -}}
{{- if or (contains "." .partner.tenant) (contains "." .partner.partner) -}}
{{- fail (printf "partners: a dot in the name of %s's partner %s would let it into the groups of another." .partner.tenant .partner.partner) -}}
{{- end -}}
{{- .pattern | replace "{tenant}" .partner.tenant | replace "{partner}" .partner.partner -}}
{{- end }}
