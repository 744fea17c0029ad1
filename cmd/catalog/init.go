package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/registry/fbc"
	"chandler.dev/olm/pkg/registry/memory"
)

type initOptions struct {
	format                                string
	defaultChannel, description, iconFile string
}

func newInitCommand() *cobra.Command {
	var o initOptions
	cmd := &cobra.Command{
		Use:   "init PACKAGE",
		Short: "Write the olm.package of a new package to stdout",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runInit(cmd.Context(), cmd.OutOrStdout(), o, args[0])
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.defaultChannel, "default-channel", "c", "", "`channel` of subscriptions that name none")
	f.StringVarP(&o.description, "description", "d", "", "`file` with the description, in Markdown")
	f.StringVarP(&o.iconFile, "icon", "i", "", "`file` with the icon, an image")
	f.StringVarP(&o.format, "output", "o", string(fbc.YAML), "`format`: yaml or json")
	return cmd
}

func runInit(ctx context.Context, out io.Writer, o initOptions, name string) error {
	p := registry.Package{Name: name, DefaultChannel: o.defaultChannel}
	if o.description != "" {
		text, err := os.ReadFile(o.description)
		if err != nil {
			return failure.New(failure.NotFound, "cannot read the description: %v", err)
		}
		p.Description = string(text)
	}
	if o.iconFile != "" {
		var err error
		if p.Icon, err = readIcon(o.iconFile); err != nil {
			return err
		}
	}
	store, err := memory.New(ctx, registry.Catalog{{Package: &p}})
	if err != nil {
		return err
	}
	return fbc.Write(ctx, out, store, fbc.Format(o.format))
}

func readIcon(path string) (*registry.Icon, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, failure.New(failure.NotFound, "cannot read the icon: %v", err)
	}
	mediaType := http.DetectContentType(data)
	if isSVG(data) {
		mediaType = "image/svg+xml"
	}
	if len(data) == 0 || !strings.HasPrefix(mediaType, "image/") {
		return nil, failure.New(failure.Invalid, "detected invalid type %q: not an image", mediaType).WithHint("the icon is %q", path)
	}
	return &registry.Icon{Data: data, MediaType: mediaType}, nil
}

// isSVG reports whether a text is a whole XML document whose root is svg.
func isSVG(data []byte) bool {
	dec := xml.NewDecoder(bytes.NewReader(data))
	root := ""
	for {
		token, err := dec.Token()
		if err != nil {
			return root == "svg" && err == io.EOF //nolint:errorlint // the decoder returns it as it is
		}
		if e, ok := token.(xml.StartElement); ok && root == "" {
			root = e.Name.Local
		}
	}
}
