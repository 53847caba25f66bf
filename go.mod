module github.com/ocirt/ocirt

go 1.26.0

require (
	github.com/containerd/go-runc v1.2.1
	github.com/godbus/dbus/v5 v5.1.0
	github.com/opencontainers/runtime-spec v1.3.0
	github.com/rogpeppe/go-internal v1.16.0
	github.com/urfave/cli/v3 v3.14.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/containerd/console v1.0.5 // indirect
	golang.org/x/tools v0.52.0 // indirect
)
