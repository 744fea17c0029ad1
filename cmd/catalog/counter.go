package main

import (
	"context"
	"iter"

	"chandler.dev/olm/pkg/registry"
)

// counter counts the items of a source while they pass.
type counter struct {
	src               registry.Source
	packages, bundles int
}

func (c *counter) Items(ctx context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		for item, err := range c.src.Items(ctx) {
			switch {
			case item.Bundle != nil:
				c.bundles++
			case item.Package != nil:
				c.packages++
				c.bundles -= len(item.Dropped)
			}
			if !yield(item, err) {
				return
			}
		}
	}
}
