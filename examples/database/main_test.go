package main

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWatched(t *testing.T) {
	tests := map[string]struct {
		list string
		want []string
	}{
		"an empty annotation is all namespaces":   {list: "", want: nil},
		"one namespace":                           {list: "shop", want: []string{"shop"}},
		"several namespaces":                      {list: "shop,bank", want: []string{"bank", "shop"}},
		"spaces and empty names do not count":     {list: " shop , ,bank,", want: []string{"bank", "shop"}},
		"a list of nothing is all namespaces too": {list: ",", want: nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := slices.Sorted(maps.Keys(watched(test.list)))
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("watched(%q) (-want +got):\n%s", test.list, diff)
			}
		})
	}
}

func TestRun(t *testing.T) {
	tests := map[string]struct {
		args     []string
		wantCode int
		wantText string
	}{
		"no command shows the usage":     {wantCode: 2, wantText: "usage: database"},
		"an unknown command too":         {args: []string{"serve"}, wantCode: 2, wantText: "usage: database"},
		"an unknown flag":                {args: []string{"operator", "--x"}, wantCode: 2, wantText: "not defined: -x"},
		"help is no failure":             {args: []string{"operator", "-h"}, wantText: "-namespaces"},
		"an unknown way to find members": {args: []string{"operator", "--members=x"}, wantCode: 1, wantText: `--members="x" is neither`},
		"a member outside a pod":         {args: []string{"member"}, wantCode: 1, wantText: "POD_NAME, POD_IP and --service are needed"},
		"a word that is no flag":         {args: []string{"operator", "now"}, wantCode: 1, wantText: `"now" is not a flag`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("POD_NAME", "")
			var stderr bytes.Buffer
			if code := run(t.Context(), test.args, &stderr); code != test.wantCode || !strings.Contains(stderr.String(), test.wantText) {
				t.Errorf("run(%q) = %d, %q, want %d and %q", test.args, code, stderr.String(), test.wantCode, test.wantText)
			}
		})
	}
}
