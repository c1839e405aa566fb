// Package check holds what packages Orderlane to what the code says: the image, docker-compose.yml
// and the manifests in k8s are loaded as Docker and Kubernetes would, and compared with the
// services, routes and settings that the binary tells of. It needs neither Docker nor a cluster.
// It is a module of its own, so that the platform does not depend on what it takes.
package check

//go:generate go run ./makeschemas schemas
