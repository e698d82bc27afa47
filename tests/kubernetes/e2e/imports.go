// Package e2e pins what Kubernetes' own end-to-end test program is compiled from: `go test -c k8s.io/kubernetes/test/e2e`.
package e2e

// With it come the modules that its tests need.
import _ "k8s.io/kubernetes/test/e2e"
