{{/* Names and labels. Called with the root context, or with a dict of `root` and `component`. */}}

{{- define "stagecraft.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What finds the pods of a component. It must never change: a Deployment's selector cannot. */}}
{{- define "stagecraft.selector" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "stagecraft.labels" -}}
{{ include "stagecraft.selector" . }}
app.kubernetes.io/part-of: stagecraft
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Of pods: without the chart's version, so that a change of the chart alone restarts nothing. */}}
{{- define "stagecraft.pod-labels" -}}
{{ include "stagecraft.selector" . }}
app.kubernetes.io/part-of: stagecraft
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- end }}

{{/* The image of `image`, whose default tag is the application's version. A digest beats the tag. */}}
{{- define "stagecraft.image" -}}
{{- $path := ternary .image.repository (printf "%s/%s" (trimSuffix "/" .image.registry) .image.repository) (empty .image.registry) -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $path .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end }}

{{/* Fails unless the cluster serves `api`, such as keda.sh/v1alpha1/ScaledObject; `key` is what asks for it. To leave
the resource out in silence would leave, say, a service without its scaling. */}}
{{- define "stagecraft.require-api" -}}
{{- if not (.root.Capabilities.APIVersions.Has .api) -}}
{{- fail (printf "%s: this cluster does not serve %s. Install its operator or turn this off. Without a cluster, add --api-versions %s." .key .api .api) -}}
{{- end -}}
{{- end }}
