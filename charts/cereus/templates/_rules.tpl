{{- /* What the operator may do where it keeps ServerTypes; operator/README.md has the same as a table. */ -}}
{{- define "cereus.rules" -}}
- apiGroups: [cereus.dev]
  resources: [servertypes]
  verbs: [get, list, watch]
- apiGroups: [cereus.dev]
  resources: [servertypes/status]
  verbs: [patch]
- apiGroups: [cereus.dev]
  resources: [servertypes/finalizers]
  verbs: [update]
- apiGroups: [""]
  resources: [configmaps, secrets, serviceaccounts, services]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
# Not used, but only what one may do can be granted to servers.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [get, list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch, patch]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{- /* What it may do in its own namespace. */ -}}
{{- define "cereus.ownRules" -}}
- apiGroups: [""]
  resources: [secrets]
  verbs: [get, list, watch, create, update]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, create, update]
{{- end }}

{{- /* A binding's end: (list $ KIND NAME). */ -}}
{{- define "cereus.binds" -}}
{{- $ := index . 0 -}}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ index . 1 }}
  name: {{ index . 2 }}
subjects:
  - kind: ServiceAccount
    name: {{ include "cereus.serviceAccount" $ }}
    namespace: {{ $.Release.Namespace }}
{{- end }}
