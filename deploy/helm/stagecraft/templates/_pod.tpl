{{/* Parts of pods. The security contexts satisfy the Pod Security Standard "restricted", which a namespace may enforce. */}}

{{- define "stagecraft.pod-security" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
# Mounted Secrets belong to this group, so that the process can read them and no one else.
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "stagecraft.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* The command of the image, and what it is to do. Said here too, so that an image with another entry point fails at
once and not in its own way. */}}
{{- define "stagecraft.command" -}}
command: [python, -m, kit]
{{- end }}

{{/* Mounts of a list of files, and the one folder that can be written. */}}
{{- define "stagecraft.mounts" -}}
- name: tmp
  mountPath: /tmp
{{- range . }}
- name: {{ .name }}
  mountPath: {{ .mountPath }}
  readOnly: true
{{- end }}
{{- end }}

{{- define "stagecraft.volumes" -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- range . }}
- name: {{ .name }}
  {{- if .secret }}
  secret:
    secretName: {{ .secret }}
    defaultMode: 0440
    items:
      - key: {{ .key }}
        path: {{ .key }}
  {{- else }}
  configMap:
    name: {{ .configMap }}
    items:
      - key: {{ .key }}
        path: {{ .key }}
  {{- end }}
{{- end }}
{{- end }}

{{/* Where pods of a resolved service may run. */}}
{{- define "stagecraft.placement" -}}
{{- with .nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{/* Spread over zones and nodes. Each version of the pods is spread by itself, or the last one's would count. */}}
{{- define "stagecraft.spread" -}}
{{- $selector := .selector -}}
{{- range $key, $what := dict "topology.kubernetes.io/zone" .spread.zones "kubernetes.io/hostname" .spread.nodes }}
{{- if $what }}
- topologyKey: {{ $key }}
  maxSkew: 1
  whenUnsatisfiable: {{ $what }}
  matchLabelKeys: [pod-template-hash]
  labelSelector:
    matchLabels:
      {{- $selector | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}
