package main

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/registry"
)

type packagesOptions struct {
	sourceOptions

	format string
	search string
}

func newPackagesCommand() *cobra.Command {
	var o packagesOptions
	cmd := &cobra.Command{
		Use:   "packages FILE_OR_SOURCE_OR_ADDRESS",
		Short: "List the packages of a catalog",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, out io.Writer) error {
				return runPackages(ctx, store, out, o)
			})
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	addFormatFlag(cmd, &o.format)
	cmd.Flags().StringVar(&o.search, "search", "", "only packages whose name, display name or description has this `text`")
	return cmd
}

// ask opens a catalog, asks it and lets go of it.
func ask(cmd *cobra.Command, arg string, o sourceOptions, question func(context.Context, registry.Store, io.Writer) error) error {
	store, err := openStore(cmd.Context(), arg, o, warnings(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	defer store.release()
	return question(cmd.Context(), store.Store, cmd.OutOrStdout())
}

type packageView struct {
	Name           string   `json:"name"`
	DisplayName    string   `json:"displayName,omitempty"`
	DefaultChannel string   `json:"defaultChannel"`
	Channels       []string `json:"channels"`
	Head           string   `json:"head,omitempty"` // of the default channel
	Version        string   `json:"version,omitempty"`
	Deprecation    string   `json:"deprecation,omitempty"`
}

func runPackages(ctx context.Context, store registry.Store, out io.Writer, o packagesOptions) error {
	names, err := store.Packages(ctx)
	if err != nil {
		return err
	}
	t := table{header: []string{"NAME", "DISPLAY NAME", "DEFAULT CHANNEL", "VERSION", "DEPRECATED"}, optional: 1}
	views := []packageView{}
	for _, name := range names {
		p, err := store.Package(ctx, name)
		if err != nil {
			return err
		}
		v, err := viewPackage(ctx, store, p)
		if err != nil {
			return err
		}
		if !matches(o.search, v.Name, v.DisplayName, p.Description) {
			continue
		}
		views = append(views, v)
		t.add(v.Name, v.DisplayName, v.DefaultChannel, v.Version, v.Deprecation)
	}
	return writeResult(out, o.format, views, t)
}

func viewPackage(ctx context.Context, store registry.Store, p registry.Package) (packageView, error) {
	v := packageView{Name: p.Name, DefaultChannel: p.DefaultChannel, Channels: []string{}, Deprecation: p.Deprecation}
	for _, ch := range p.Channels {
		v.Channels = append(v.Channels, ch.Name)
	}
	ch, _ := p.Channel(p.DefaultChannel)
	v.Head = ch.Head
	if v.Head == "" {
		return v, nil
	}
	b, err := store.Bundle(ctx, p.Name, v.Head)
	if err != nil {
		return v, err
	}
	v.Version = b.Version
	v.DisplayName = displayName(b.Content)
	return v, nil
}

// displayName returns what the manifests or the metadata call a bundle.
func displayName(c registry.Content) string {
	var v struct {
		DisplayName string `json:"displayName"`
		Spec        struct {
			DisplayName string `json:"displayName"`
		} `json:"spec"`
	}
	for _, text := range [][]byte{c.CSV, c.Metadata} {
		if json.Unmarshal(text, &v) == nil && v.DisplayName+v.Spec.DisplayName != "" {
			return v.DisplayName + v.Spec.DisplayName
		}
	}
	return ""
}

func matches(search string, texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(strings.ToLower(text), strings.ToLower(search))
	})
}
