// Package simulated describes how nodes and pods behave that are played by kwok.
package simulated

import _ "embed" // the stages are a file

// Stages is the configuration of kwok.
//
//go:embed stages.yaml
var Stages []byte
