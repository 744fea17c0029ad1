// Package api holds the messages and services of registry.proto, generated.
// contract.json is what clients know of them; buf.yaml says what is checked.
package api

//go:generate go run -modfile=../tools/proto.mod generate.go
