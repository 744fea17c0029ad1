package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/sqlite"
	"os/exec"
)

func main() {
	t := time.Now()
	ctx := context.Background()
	if err := sqlite.Create(ctx, os.Args[2], registry.Validated(fbc.Dir(os.Args[1]))); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("create", time.Since(t))
	t = time.Now()
	s, err := sqlite.Open(ctx, os.Args[2])
	if err != nil {
		panic(err)
	}
	fmt.Println("open", time.Since(t))
	t = time.Now()
	n, sz := 0, 0
	for b, err := range s.BundleAnswers(ctx) {
		if err != nil {
			panic(err)
		}
		n++
		sz += len(b.ProtoReflect().GetUnknown())
	}
	fmt.Println("list", n, sz, time.Since(t))
	fmt.Println(s.Digest(ctx))
	out, _ := exec.Command("grep", "VmHWM", fmt.Sprintf("/proc/%d/status", os.Getpid())).Output()
	fmt.Print(string(out))
}
