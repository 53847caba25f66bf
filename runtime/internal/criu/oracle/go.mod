module github.com/ocirt/ocirt/runtime/internal/criu/oracle

go 1.26.0

// This module writes testdata of package criu with the messages of go-criu, and checks that
// it is still what go-criu would write: go test . (-update writes it anew).
require (
	github.com/checkpoint-restore/go-criu/v7 v7.2.0
	google.golang.org/protobuf v1.34.2
)
