// Package plugins stands in for the one of Prometheus' own module while it is built here: discovery in Kubernetes,
// and not in two dozen clouds, whose libraries take most of the build.
package plugins

import _ "github.com/prometheus/prometheus/discovery/kubernetes"
