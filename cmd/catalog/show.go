package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/registry"
)

type showOptions struct {
	sourceOptions

	format      string
	pkg, bundle string
}

func newShowCommand() *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show FILE_OR_SOURCE_OR_ADDRESS PACKAGE [BUNDLE]",
		Short: "Show a package with its channels, or a bundle with what is in it",
		Args:  cobra.RangeArgs(2, 3),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.pkg, o.bundle = args[1], optional(args, 2)
			return ask(cmd, args[0], o.sourceOptions, func(ctx context.Context, store registry.Store, out io.Writer) error {
				if o.bundle != "" {
					return showBundle(ctx, store, out, o)
				}
				return showPackage(ctx, store, out, o)
			})
		},
	}
	addSourceFlags(cmd, &o.sourceOptions)
	addFormatFlag(cmd, &o.format)
	return cmd
}

type packageDetails struct {
	packageView

	Description string           `json:"description,omitempty"`
	Details     []channelDetails `json:"channelDetails"`
}

type channelDetails struct {
	Name        string   `json:"name"`
	Head        string   `json:"head"`
	Order       []string `json:"order"` // from the head down, what others skip left out
	Deprecation string   `json:"deprecation,omitempty"`
}

func showPackage(ctx context.Context, store registry.Store, out io.Writer, o showOptions) error {
	p, err := store.Package(ctx, o.pkg)
	if err != nil {
		return err
	}
	v := packageDetails{Description: p.Description}
	if v.packageView, err = viewPackage(ctx, store, p); err != nil {
		return err
	}
	for _, ch := range p.Channels {
		d := channelDetails{Name: ch.Name, Head: ch.Head, Order: []string{}, Deprecation: ch.Deprecation}
		if g, err := registry.NewGraph(ch, nil); err == nil {
			d.Order = g.Order()
		}
		v.Details = append(v.Details, d)
	}
	if o.format != formatTable {
		return write(out, o.format, v)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line(w, "Name", p.Name)
	line(w, "Display name", v.DisplayName)
	line(w, "Deprecated", p.Deprecation)
	line(w, "Default channel", p.DefaultChannel)
	for _, d := range v.Details {
		line(w, "Channel "+d.Name, strings.Join(d.Order, " → "))
		line(w, "  deprecated", d.Deprecation)
	}
	return w.Flush()
}

type bundleDetails struct {
	Package       string            `json:"package"`
	Name          string            `json:"name"`
	Version       string            `json:"version"`
	DisplayName   string            `json:"displayName,omitempty"`
	Image         string            `json:"image,omitempty"`
	Channels      []string          `json:"channels"`
	Properties    []property        `json:"properties"`
	RelatedImages []string          `json:"relatedImages,omitempty"`
	Deprecation   string            `json:"deprecation,omitempty"`
	Manifests     []manifest        `json:"manifests,omitempty"`
	Objects       []json.RawMessage `json:"objects,omitempty"`
}

type property struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

type manifest struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

func showBundle(ctx context.Context, store registry.Store, out io.Writer, o showOptions) error {
	p, err := store.Package(ctx, o.pkg)
	if err != nil {
		return err
	}
	b, err := store.Bundle(ctx, o.pkg, o.bundle)
	if err != nil {
		return err
	}
	v := viewBundle(p, b)
	if o.format != formatTable {
		return write(out, o.format, v)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line(w, "Name", v.Name)
	line(w, "Package", v.Package)
	line(w, "Version", v.Version)
	line(w, "Display name", v.DisplayName)
	line(w, "Deprecated", v.Deprecation)
	line(w, "Image", v.Image)
	line(w, "Channels", strings.Join(v.Channels, ", "))
	for _, p := range v.Properties {
		line(w, p.Type, string(p.Value))
	}
	for _, image := range v.RelatedImages {
		line(w, "Related image", image)
	}
	for _, m := range v.Manifests {
		line(w, m.Kind, m.Name)
	}
	return w.Flush()
}

func viewBundle(p registry.Package, b registry.Bundle) bundleDetails {
	v := bundleDetails{
		Package: b.Package, Name: b.Name, Version: b.Version, DisplayName: displayName(b.Content), Image: b.Image,
		Channels: []string{}, Deprecation: b.Deprecation,
	}
	for _, ch := range p.Channels {
		if _, ok := ch.Entry(b.Name); ok {
			v.Channels = append(v.Channels, ch.Name)
		}
	}
	for _, p := range b.Properties {
		v.Properties = append(v.Properties, property(p))
	}
	for _, image := range b.RelatedImages {
		v.RelatedImages = append(v.RelatedImages, image.Image)
	}
	for _, object := range b.Content.Objects {
		v.Objects = append(v.Objects, object)
		var m struct {
			Kind     string
			Metadata struct{ Name string }
		}
		if err := json.Unmarshal(object, &m); err == nil {
			v.Manifests = append(v.Manifests, manifest{Kind: m.Kind, Name: m.Metadata.Name})
		}
	}
	return v
}

// line writes a name and a value; nothing if the value is empty. The writer
// keeps its error for Flush.
func line(w io.Writer, name, value string) {
	if value != "" {
		_, _ = fmt.Fprintf(w, "%s\t%s\n", name, strings.TrimSpace(value))
	}
}
