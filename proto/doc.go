// Package api holds the messages and services of registry.proto, generated.
package api

//go:generate go run -modfile=../tools/proto.mod generate.go
