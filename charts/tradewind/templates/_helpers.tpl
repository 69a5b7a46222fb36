{{- define "tradewind.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* A Service has at most 63 characters, and ours adds `-metrics`. */}}
{{- define "tradewind.fullname" -}}
{{- $name := include "tradewind.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 55 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 55 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 55 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "tradewind.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tradewind.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name must name the account to use where serviceAccount.create is false" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/*
Name and namespace of an object that may stand in another namespace than the release's. There, releases of one name from several namespaces
meet, and Helm lets none take what another one has. Takes a list: the root, the name, and that namespace.
*/}}
{{- define "tradewind.placed" -}}
{{- $home := (first .).Release.Namespace -}}
{{- $name := index . 1 -}}
{{- $there := default $home (last .) -}}
name: {{ eq $there $home | ternary $name (printf "%s-%s" $name $home) }}
namespace: {{ $there }}
{{- end -}}

{{/* The namespace that is watched; only with scope Namespaced. */}}
{{- define "tradewind.watchedNamespace" -}}
{{- default .Release.Namespace .Values.namespace -}}
{{- end -}}

{{- define "tradewind.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tradewind.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "tradewind.labels" -}}
{{ include "tradewind.commonLabels" . }}
app.kubernetes.io/component: operator
{{- end -}}

{{/* Of an object for which there are further labels in the values; these win. Takes a list: the root, and those. */}}
{{- define "tradewind.labelsWith" -}}
{{- merge (dict) (default dict (last .)) (include "tradewind.labels" (first .) | fromYaml) | toYaml -}}
{{- end -}}

{{/* Without a component: of what is not the operator's, such as the CRDs. */}}
{{- define "tradewind.commonLabels" -}}
{{- $own := include "tradewind.ownLabels" . | fromYaml -}}
{{- merge (dict) (default dict .Values.commonLabels) $own | toYaml -}}
{{- end -}}

{{- define "tradewind.ownLabels" -}}
app.kubernetes.io/name: {{ include "tradewind.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: tradewind
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* Without versions: a chart that changes nothing of the pods does not restart them. */}}
{{- define "tradewind.podLabels" -}}
{{- $own := dict "app.kubernetes.io/part-of" "tradewind" -}}
{{- $selector := include "tradewind.selectorLabels" . | fromYaml -}}
{{- merge $selector (default dict .Values.podLabels) (default dict .Values.commonLabels) $own | toYaml -}}
{{- end -}}

{{/*
Annotations of the CRDs. Who deletes a CRD deletes every object of its kind, and with it the record: so each tool that could is told to keep
it. Argo CD reads options for pruning from the object in the cluster alone; several are one list.
*/}}
{{- define "tradewind.crdAnnotations" -}}
{{- $annotations := deepCopy (default dict .Values.crds.annotations) -}}
{{- if .Values.crds.keep -}}
{{- $options := list "Prune=false,Delete=false" -}}
{{- with index $annotations "argocd.argoproj.io/sync-options" -}}
{{- $options = append $options . -}}
{{- end -}}
{{- $_ := set $annotations "argocd.argoproj.io/sync-options" (join "," $options) -}}
{{- $_ := set $annotations "helm.sh/resource-policy" "keep" -}}
{{- $_ := set $annotations "kustomize.toolkit.fluxcd.io/prune" "disabled" -}}
{{- end -}}
{{- toYaml $annotations -}}
{{- end -}}

{{/*
The name of the Lease, where it is not the operator's own default. Releases of one namespace that watch different namespaces each have
theirs; those that watch the same one share it, and one of them waits.
*/}}
{{- define "tradewind.leaseName" -}}
{{- if and (eq .Values.scope "Namespaced") (ne (include "tradewind.watchedNamespace" .) .Release.Namespace) -}}
{{- printf "tradewind-%s" .Values.namespace -}}
{{- end -}}
{{- end -}}

{{- define "tradewind.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "tradewind.subjects" -}}
- kind: ServiceAccount
  name: {{ include "tradewind.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}

{{/* The arguments of the container. */}}
{{- define "tradewind.args" -}}
- run
{{- if eq .Values.scope "Namespaced" }}
- --namespace={{ default "$(POD_NAMESPACE)" .Values.namespace }}
{{- end }}
{{- if .Values.leaderElection.enabled }}
- --leader-elect
- --lease-namespace=$(POD_NAMESPACE)
{{- with include "tradewind.leaseName" . }}
- --lease-name={{ . }}
{{- end }}
{{- end }}
- --identity=$(POD_NAME)
- --log-format={{ .Values.log.format }}
{{- with .Values.log.level }}
- --log={{ . }}
{{- end }}
{{- if .Values.watchSecrets }}
- --watch-secrets
{{- end }}
{{- range .Values.allowEndpoints }}
- --allow-endpoint={{ . }}
{{- end }}
{{- with .Values.concurrency }}
- --concurrency={{ int . }}
{{- end }}
{{- range $value, $flag := dict "callTimeout" "call-timeout" "permitLife" "permit-life" "listLag" "list-lag" "poll" "poll" "probeInterval" "probe-interval" "shutdownGrace" "shutdown-grace" }}
{{- with index $.Values.timing $value }}
- --{{ $flag }}={{ . }}
{{- end }}
{{- end }}
{{- if or .Values.caBundle.configMapName .Values.caBundle.secretName }}
- --ca-bundle=/etc/tradewind/ca/{{ .Values.caBundle.key }}
{{- end }}
{{- with .Values.extraArgs }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What cannot be said in the schema, in words. */}}
{{- define "tradewind.check" -}}
{{- if and (eq .Values.scope "Cluster") .Values.namespace -}}
{{- fail "namespace is only for scope Namespaced: remove it, or set scope: Namespaced" -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) -}}
{{- fail "replicas above 1 need leaderElection.enabled: two operators at once would each make records at the providers" -}}
{{- end -}}
{{- $stop := toDate "2006" "2000" -}}
{{- $killed := dateModify (printf "+%ds" (int .Values.terminationGracePeriodSeconds)) $stop -}}
{{- if not ($killed.After (dateModify (printf "+%s" (default "25s" .Values.timing.shutdownGrace)) $stop)) -}}
{{- fail "terminationGracePeriodSeconds must be more than timing.shutdownGrace (25s by default): the pod would be killed before a call under way is recorded" -}}
{{- end -}}
{{- if and .Values.caBundle.configMapName .Values.caBundle.secretName -}}
{{- fail "caBundle takes configMapName or secretName, not both" -}}
{{- end -}}
{{- range $value := list "commonLabels" "podLabels" -}}
{{- range $key, $_ := include "tradewind.selectorLabels" $ | fromYaml -}}
{{- if hasKey (default dict (index $.Values $value)) $key -}}
{{- fail (printf "%s must not have %s: the Deployment finds its pods by it" $value $key) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
