//go:build ignore

// Command generate compiles the .proto files below this folder and hands them
// to protoc-gen-go and protoc-gen-go-grpc, at the versions of tools/proto.mod.
package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

var plugins = []string{
	"google.golang.org/protobuf/cmd/protoc-gen-go",
	"google.golang.org/grpc/cmd/protoc-gen-go-grpc",
}

func main() {
	log.SetFlags(0)
	ctx := context.Background()
	files, err := compile(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, plugin := range plugins {
		if err := run(ctx, plugin, files); err != nil {
			log.Fatal(err)
		}
	}
}

func compile(ctx context.Context) (linker.Files, error) {
	var names []string
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".proto") {
			names = append(names, filepath.ToSlash(path))
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{}),
		SourceInfoMode: protocompile.SourceInfoStandard,
	}
	return c.Compile(ctx, names...)
}

// run calls a plugin as protoc does and writes the files that it answers.
func run(ctx context.Context, plugin string, files linker.Files) error {
	req := &pluginpb.CodeGeneratorRequest{Parameter: proto.String("paths=source_relative")}
	for _, f := range files {
		req.FileToGenerate = append(req.FileToGenerate, f.Path())
		req.ProtoFile = appendFile(req.ProtoFile, f)
	}
	in, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "run", "-modfile=../tools/proto.mod", plugin)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%s: %w", plugin, err)
	}
	var resp pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &resp); err != nil {
		return err
	}
	if resp.Error != nil {
		return fmt.Errorf("%s: %s", plugin, resp.GetError())
	}
	for _, f := range resp.File {
		if err := os.WriteFile(f.GetName(), []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// appendFile adds f after everything that it imports.
func appendFile(all []*descriptorpb.FileDescriptorProto, f protoreflect.FileDescriptor) []*descriptorpb.FileDescriptorProto {
	imports := f.Imports()
	for i := range imports.Len() {
		all = appendFile(all, imports.Get(i).FileDescriptor)
	}
	if slices.ContainsFunc(all, func(p *descriptorpb.FileDescriptorProto) bool { return p.GetName() == f.Path() }) {
		return all
	}
	return append(all, protoutil.ProtoFromFileDescriptor(f))
}
