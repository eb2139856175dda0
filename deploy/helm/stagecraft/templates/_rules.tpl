{{/* What no schema can say: keys that contradict each other. Each message names the key and says what is allowed. */}}

{{- define "stagecraft.rules" -}}
{{- if not (or (include "stagecraft.enabled" . | fromYaml).names .Values.console.enabled) -}}
{{- fail "services: all of them are off, so there is nothing to install. Set enabled: true for one." -}}
{{- end -}}
{{- range $name := (include "stagecraft.enabled" . | fromYaml).names -}}
  {{- $of := dict "s" (include "stagecraft.service" (dict "root" $ "name" $name) | fromYaml) "at" (printf "services.%s" $name) -}}
  {{- include "stagecraft.rules-of-secrets" $of -}}
  {{- include "stagecraft.rules-of-production" $of -}}
  {{- include "stagecraft.rules-of-scaling" $of -}}
  {{- include "stagecraft.rules-of-the-end" $of -}}
  {{- if $.Values.networkPolicy.enabled -}}
    {{- include "stagecraft.rules-of-ports" (merge (dict "egress" $.Values.networkPolicy.egress) $of) -}}
  {{- end -}}
{{- end -}}
{{- include "stagecraft.rules-of-entry" . -}}
{{- end }}

{{- define "stagecraft.rules-of-secrets" -}}
{{- $s := .s -}}
{{- $at := .at -}}
{{- range $variable, $key := dict "DATABASE_URL" "database.existingSecret" "KAFKA_PASSWORD" "kafka.existingSecret" -}}
  {{- if hasKey $s.settings $variable -}}
    {{- fail (printf "%s.settings.%s: a password is never a plain value. Put it into a Secret and name that in %s." $at $variable $key) -}}
  {{- end -}}
{{- end -}}
{{- if not $s.database.secret -}}
  {{- fail (printf "%s.database.existingSecret: name the Secret that holds the database's URL under the key %s, or turn externalSecrets on." $at $s.database.urlKey) -}}
{{- end -}}
{{- range $what, $ca := dict "database" $s.database.ca "kafka" $s.kafka.ca -}}
  {{- $variable := printf "%s_TLS_CA_FILE" (upper $what) -}}
  {{- if and $ca.existingSecret (ne (get $s.settings $variable) (printf "/etc/stagecraft/%s-ca/%s" $what $ca.key)) -}}
    {{- fail (printf "%s: settings.%s and %s.ca.existingSecret exclude each other. Give one of them." $at $variable $what) -}}
  {{- end -}}
{{- end -}}
{{- if and (eq $at "services.crm-connector") (not (get $s.settings "CRM_ADAPTER")) -}}
  {{- fail (printf "%s.settings.CRM_ADAPTER: say which CRM is written: salesforce, or recording for none." $at) -}}
{{- end -}}
{{- if eq (default "" (get $s.settings "CRM_ADAPTER")) "salesforce" -}}
  {{- range list "SALESFORCE_LOGIN_URL" "SALESFORCE_CLIENT_ID" -}}
    {{- if not (get $s.settings .) -}}
      {{- fail (printf "%s.settings.%s: CRM_ADAPTER salesforce needs it." $at .) -}}
    {{- end -}}
  {{- end -}}
  {{- if not (dig "salesforce" "secret" "" $s) -}}
    {{- fail (printf "%s.salesforce.existingSecret: CRM_ADAPTER salesforce needs the Secret with its private key or client secret, or externalSecrets." $at) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "stagecraft.rules-of-production" -}}
{{- $s := .s -}}
{{- $at := .at -}}
{{- if eq (get $s.settings "ENVIRONMENT") "production" -}}
  {{- range list "DATABASE_TLS" "KAFKA_TLS" -}}
    {{- if ne (get $s.settings .) "true" -}}
      {{- fail (printf "%s.settings.%s: production needs true, or passwords and events could be read on the way." $at .) -}}
    {{- end -}}
  {{- end -}}
  {{- if not (hasPrefix "https://" (default "" (get $s.settings "OIDC_JWKS_URL"))) -}}
    {{- fail (printf "%s.settings.OIDC_JWKS_URL: production needs the https address of the issuer's keys." $at) -}}
  {{- end -}}
  {{- range list "OIDC_ISSUER" "KAFKA_BOOTSTRAP_SERVERS" -}}
    {{- if not (get $s.settings .) -}}
      {{- fail (printf "%s.settings.%s: production needs it." $at .) -}}
    {{- end -}}
  {{- end -}}
  {{- if eq (default "" (get $s.settings "CRM_ADAPTER")) "recording" -}}
    {{- fail (printf "%s.settings.CRM_ADAPTER: production needs salesforce; recording counts every write as done and writes none." $at) -}}
  {{- end -}}
  {{- if and (hasKey $s.settings "SALESFORCE_LOGIN_URL") (not (hasPrefix "https://" (get $s.settings "SALESFORCE_LOGIN_URL"))) -}}
    {{- fail (printf "%s.settings.SALESFORCE_LOGIN_URL: production needs https, or the credentials could be read on the way." $at) -}}
  {{- end -}}
  {{- if contains "//" (default "" (get $s.settings "SALESFORCE_PUBSUB_ENDPOINT")) -}}
    {{- fail (printf "%s.settings.SALESFORCE_PUBSUB_ENDPOINT: production needs host:port with TLS, or the token could be read on the way." $at) -}}
  {{- end -}}
  {{- if not $s.kafka.secret -}}
    {{- fail (printf "%s.kafka.existingSecret: production needs the Secret with the password of the broker's user under the key %s, or externalSecrets." $at $s.kafka.passwordKey) -}}
  {{- end -}}
  {{- if and (eq $s.image.tag "latest") (not $s.image.digest) -}}
    {{- fail (printf "%s.image.tag: latest is another image every week. Production needs a version or a digest." $at) -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "stagecraft.rules-of-scaling" -}}
{{- $s := .s -}}
{{- $at := .at -}}
{{- $a := $s.autoscaling -}}
{{- $least := int $a.minReplicas -}}
{{- if $a.enabled -}}
  {{- if $s.hasOwnReplicas -}}
    {{- fail (printf "%s: replicas and autoscaling.enabled exclude each other. Give autoscaling.minReplicas, or turn autoscaling off." $at) -}}
  {{- end -}}
  {{- if gt $least (int $a.maxReplicas) -}}
    {{- fail (printf "%s.autoscaling: minReplicas %d is above maxReplicas %d." $at $least (int $a.maxReplicas)) -}}
  {{- end -}}
  {{- if eq $a.by "lag" -}}
    {{- if gt (int $a.maxReplicas) (int $s.partitions) -}}
      {{- fail (printf "%s.autoscaling.maxReplicas: %d is above the %d partitions of its topics, and an instance more would have nothing to read." $at (int $a.maxReplicas) (int $s.partitions)) -}}
    {{- end -}}
    {{- if and (eq $least 0) (not $s.mayRest) -}}
      {{- fail (printf "%s.autoscaling.minReplicas: must be 1 or more. Only the recommender may go to zero: others answer people, hold the CRM's stream or decide." $at) -}}
    {{- end -}}
    {{- if not (get $s.settings "KAFKA_BOOTSTRAP_SERVERS") -}}
      {{- fail (printf "%s.settings.KAFKA_BOOTSTRAP_SERVERS: autoscaling by lag asks the broker, so it must be set." $at) -}}
    {{- end -}}
  {{- else -}}
    {{- if lt $least 1 -}}
      {{- fail (printf "%s.autoscaling.minReplicas: must be 1 or more, because idle processors wake nothing. Only autoscaling by lag can go to zero." $at) -}}
    {{- end -}}
    {{- if not (dig "resources" "requests" "cpu" "" $s) -}}
      {{- fail (printf "%s.resources.requests.cpu: autoscaling by cpu counts in percent of it, so it must be set." $at) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "stagecraft.rules-of-the-end" -}}
{{- $drain := float64 (default "0" (get .s.settings "DRAIN_SECONDS")) -}}
{{- $least := addf $drain 55 -}}
{{- if le (float64 .s.terminationGracePeriodSeconds) $least -}}
  {{- fail (printf "%s.terminationGracePeriodSeconds: %v must be above DRAIN_SECONDS + 55 = %v, or a service is killed while it empties its outbox." .at .s.terminationGracePeriodSeconds $least) -}}
{{- end -}}
{{- end }}

{{/* An address whose port no policy lets through would fail in silence: the connection just hangs. */}}
{{- define "stagecraft.rules-of-ports" -}}
{{- $s := .s -}}
{{- $at := .at -}}
{{- $egress := .egress -}}
{{- range $what, $variable := dict "kafka" "KAFKA_BOOTSTRAP_SERVERS" "issuer" "OIDC_JWKS_URL" "telemetry" "OTEL_EXPORTER_OTLP_ENDPOINT" "salesforce" "SALESFORCE_PUBSUB_ENDPOINT" -}}
  {{- range $address := splitList "," (default "" (get $s.settings $variable)) -}}
    {{- $host := regexReplaceAll "/.*" (regexReplaceAll "^[a-z]+://" (trim $address) "") "" -}}
    {{- $implied := ternary "443" (ternary "80" "" (hasPrefix "http:" $address)) (hasPrefix "https:" $address) -}}
    {{- $port := default $implied (regexFind "[0-9]+$" (regexFind ":[0-9]+$" $host)) -}}
    {{- $ports := list -}}
    {{- range (get $egress $what).ports -}}{{- $ports = append $ports (toString .) -}}{{- end -}}
    {{- if and $port (not (has $port $ports)) -}}
      {{- fail (printf "%s.settings.%s: no policy lets port %s through. Add it to networkPolicy.egress.%s.ports, which has %s." $at $variable $port $what (join ", " $ports)) -}}
    {{- end -}}
  {{- end -}}
{{- end -}}
{{- end }}

{{- define "stagecraft.rules-of-entry" -}}
{{- $v := .Values -}}
{{- $production := eq (toString $v.defaults.settings.ENVIRONMENT) "production" -}}
{{- if and $v.externalSecrets.enabled (not $v.externalSecrets.store.name) -}}
  {{- fail "externalSecrets.store.name: name the store that holds the secrets." -}}
{{- end -}}
{{- if $v.ingress.enabled -}}
  {{- if not $v.ingress.host -}}
    {{- fail "ingress.host: name the host under which users reach the platform." -}}
  {{- end -}}
  {{- if and $production (not $v.ingress.tls.secretName) (not $v.ingress.tls.endsBefore) -}}
    {{- fail "ingress.tls: production needs secretName, or endsBefore: true where TLS ends before the ingress. Tokens would travel in clear." -}}
  {{- end -}}
{{- end -}}
{{- if and $v.httpRoute.enabled (not $v.httpRoute.parentRefs) -}}
  {{- fail "httpRoute.parentRefs: name the Gateway that the route belongs to." -}}
{{- end -}}
{{- if $v.networkPolicy.enabled -}}
  {{- if and (or $v.ingress.enabled $v.httpRoute.enabled) (not $v.networkPolicy.ingress.gateway) -}}
    {{- fail "networkPolicy.ingress.gateway: name the pods that pass requests on, or none would arrive." -}}
  {{- end -}}
  {{- if and $v.serviceMonitor.enabled (not $v.networkPolicy.ingress.prometheus) -}}
    {{- fail "networkPolicy.ingress.prometheus: name the pods of Prometheus, or it could not read /metrics." -}}
  {{- end -}}
{{- end -}}
{{- if and $v.console.enabled (not $v.console.image.tag) (not $v.console.image.digest) -}}
  {{- fail "console.image: give a tag or a digest; the console has versions of its own." -}}
{{- end -}}
{{- end }}
