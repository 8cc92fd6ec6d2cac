{{/*
What the operator may do in the namespaces that it serves. It can only give to gateways' Roles what it has itself:
config maps, leases and reading Secrets are in here for that reason too.
*/}}
{{- define "tidegate.rules" -}}
- apiGroups: [tidegate.dev]
  resources: [gateways, websocketapis, products, policyfragments, subscriptions]
  verbs: [get, list, watch]
# What Subscriptions of other namespaces ask for. The operator never decides.
- apiGroups: [tidegate.dev]
  resources: [subscriptionrequests]
  verbs: [get, list, watch, create, delete]
- apiGroups: [tidegate.dev]
  resources: [gateways/status, websocketapis/status, products/status, policyfragments/status, subscriptions/status, subscriptionrequests/status]
  verbs: [patch]
# RBAC knows no labels, so reading what objects refer to takes the right to read all of them.
- apiGroups: [""]
  resources: [configmaps, secrets]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [""]
  resources: [services, serviceaccounts]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, list, watch, create, patch, delete]
# Which pods a Gateway has: each may write its own Lease, which its Role names.
- apiGroups: [""]
  resources: [pods]
  verbs: [get, list, watch]
# Gateway pods acknowledge configurations by Leases; the operator deletes those of pods long gone.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [get, list, watch, create, update, patch, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create, patch]
{{- end }}
