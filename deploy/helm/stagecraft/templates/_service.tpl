{{/*
One service, resolved: `defaults` with its entry of `services` over them, and what follows from both. Called with a dict
of `root` and `name`, it returns YAML:

  name, fullname, package, rootPath   how it is called
  topics, partitions                  what it consumes; files/services.yaml, made from deploy/kafka/topics.yaml
  mayRest                             whether it may go to zero instances
  settings                            its environment, every value a string
  secretEnv                           its environment from Secrets: name, secret, key
  files                               what is mounted: name, mountPath, secret or configMap, key
  migrationEnv, migrationFiles        the same for its migrations
  and every key of $defs/service in values.schema.json
*/}}
{{- define "stagecraft.service" -}}
{{- $root := .root -}}
{{- $name := .name -}}
{{- $known := $root.Files.Get "files/services.yaml" | fromYaml -}}
{{- if not (hasKey $known $name) -}}
{{- fail (printf "services.%s: no such service. The services are %s." $name (keys $known | sortAlpha | join ", ")) -}}
{{- end -}}
{{- $facts := get $known $name -}}
{{- $given := get $root.Values.services $name | default dict -}}
{{- $text := mergeOverwrite (deepCopy $root.Values.defaults) (deepCopy $given) | toYaml | replace "{service}" $name -}}
{{- $s := $text | fromYaml -}}
{{- $vault := $root.Values.externalSecrets.enabled -}}
{{- $fullname := printf "%s-%s" (include "stagecraft.fullname" $root) $name -}}
{{- $_ := set $s "name" $name -}}
{{- $_ := set $s "fullname" $fullname -}}
{{- $_ := set $s "package" $facts.package -}}
{{- $_ := set $s "topics" $facts.topics -}}
{{- $_ := set $s "partitions" $facts.partitions -}}
{{- $_ := set $s "mayRest" $facts.mayRest -}}
{{- $_ := set $s "hasOwnReplicas" (hasKey $given "replicas") -}}

{{- /* Names of Secrets: one given by name beats the vault's. */ -}}
{{- $ofVault := ternary $fullname "" $vault -}}
{{- $_ := set $s.database "secret" (default $ofVault $s.database.existingSecret) -}}
{{- $owner := ternary (printf "%s-migration" $fullname) $s.database.secret (and $vault (empty $s.database.existingSecret)) -}}
{{- $_ := set $s.database.migration "secret" (default $owner $s.database.migration.existingSecret) -}}
{{- $_ := set $s.kafka "secret" (default $ofVault $s.kafka.existingSecret) -}}

{{- /* Settings. What the chart knows best comes first, so that a given setting beats it. */ -}}
{{- $prefix := default (printf "/api/%s" $name) $s.settings.ROOT_PATH -}}
{{- $_ := set $s "rootPath" $prefix -}}
{{- $settings := dict "STAGECRAFT_SERVICE" $name "HOST" "0.0.0.0" "PORT" "8000" "ROOT_PATH" $prefix -}}
{{- $files := list -}}
{{- $secretEnv := list (dict "name" "DATABASE_URL" "secret" $s.database.secret "key" $s.database.urlKey) -}}
{{- if $s.kafka.secret -}}
  {{- $_ := set $settings "KAFKA_USERNAME" $name -}}
  {{- $secretEnv = append $secretEnv (dict "name" "KAFKA_PASSWORD" "secret" $s.kafka.secret "key" $s.kafka.passwordKey) -}}
{{- end -}}
{{- range $what, $ca := dict "database" $s.database.ca "kafka" $s.kafka.ca -}}
  {{- if $ca.existingSecret -}}
    {{- $at := printf "/etc/stagecraft/%s-ca" $what -}}
    {{- $files = append $files (dict "name" (printf "%s-ca" $what) "mountPath" $at "secret" $ca.existingSecret "key" $ca.key) -}}
    {{- $_ := set $settings (printf "%s_TLS_CA_FILE" (upper $what)) (printf "%s/%s" $at $ca.key) -}}
  {{- end -}}
{{- end -}}
{{- if $s.issuer.configMap -}}
  {{- $files = append $files (dict "name" "issuer" "mountPath" "/etc/stagecraft/issuer" "configMap" $s.issuer.configMap "key" "jwks.json") -}}
  {{- $_ := set $settings "OIDC_JWKS_URL" "file:///etc/stagecraft/issuer/jwks.json" -}}
{{- end -}}
{{- if and $s.salesforce (eq (toString $s.settings.CRM_ADAPTER) "salesforce") -}}
  {{- $_ := set $s.salesforce "secret" (default $ofVault $s.salesforce.existingSecret) -}}
  {{- $byKey := ne (toString $s.settings.SALESFORCE_AUTH_FLOW) "client_credentials" -}}
  {{- $key := ternary $s.salesforce.privateKeyKey $s.salesforce.clientSecretKey $byKey -}}
  {{- $_ := set $s.salesforce "key" $key -}}
  {{- $files = append $files (dict "name" "salesforce" "mountPath" "/etc/stagecraft/salesforce" "secret" $s.salesforce.secret "key" $key) -}}
  {{- $variable := ternary "SALESFORCE_PRIVATE_KEY_FILE" "SALESFORCE_CLIENT_SECRET_FILE" $byKey -}}
  {{- $_ := set $settings $variable (printf "/etc/stagecraft/salesforce/%s" $key) -}}
{{- end -}}
{{- range $variable, $value := $s.settings -}}
  {{- if not (kindIs "invalid" $value) -}}
    {{- /* A number of YAML is a floating point number here, and a million would read 1e+06. */ -}}
    {{- $whole := and (kindIs "float64" $value) (eq (floor $value) $value) -}}
    {{- $_ := set $settings $variable (ternary (printf "%.0f" (float64 (ternary $value 0 (kindIs "float64" $value)))) (toString $value) $whole) -}}
  {{- end -}}
{{- end -}}
{{- $_ := set $s "settings" $settings -}}
{{- $_ := set $s "secretEnv" $secretEnv -}}
{{- $_ := set $s "files" $files -}}

{{- /* Migrations log in by libpq, which checks certificates only when asked to. */ -}}
{{- $migrationEnv := dict "STAGECRAFT_SERVICE" $name -}}
{{- $migrationFiles := list -}}
{{- if eq (get $settings "DATABASE_TLS") "true" -}}
  {{- $_ := set $migrationEnv "PGSSLMODE" "verify-full" -}}
  {{- $_ := set $migrationEnv "PGSSLROOTCERT" (default "system" (get $settings "DATABASE_TLS_CA_FILE")) -}}
{{- end -}}
{{- range $files -}}
  {{- if eq .name "database-ca" -}}{{- $migrationFiles = append $migrationFiles . -}}{{- end -}}
{{- end -}}
{{- $_ := set $s "migrationEnv" $migrationEnv -}}
{{- $_ := set $s "migrationFiles" $migrationFiles -}}
{{- toYaml $s -}}
{{- end }}

{{/* The names of the services that run, as a YAML list under `names`. */}}
{{- define "stagecraft.enabled" -}}
names:
{{- range $name, $given := .Values.services }}
{{- if ternary $given.enabled $.Values.defaults.enabled (hasKey ($given | default dict) "enabled") }}
  - {{ $name }}
{{- end }}
{{- end }}
{{- end }}
