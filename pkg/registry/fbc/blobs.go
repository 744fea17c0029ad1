package fbc

import (
	"context"
	"iter"

	"chandler.dev/olm/pkg/registry"
)

// Blobs returns the catalog that JSON blobs and bundles make together; name is
// what messages call the file that they are from.
func Blobs(name string, blobs [][]byte, bundles []registry.Bundle) registry.Source {
	return blobSource{name, blobs, bundles}
}

type blobSource struct {
	name    string
	blobs   [][]byte
	bundles []registry.Bundle
}

func (s blobSource) Items(context.Context) iter.Seq2[registry.Item, error] {
	return func(yield func(registry.Item, error) bool) {
		a := newAssembler()
		all := make([]parsed, 0, len(s.bundles)+len(s.blobs))
		for i := range s.bundles {
			all = append(all, parsed{bundle: &s.bundles[i], where: s.name})
		}
		for _, text := range s.blobs {
			p := parse(document{text: text, line: 1, json: true}, s.name)
			p.where = s.name
			all = append(all, p)
		}
		for _, p := range all {
			if err := a.used.add(p); err != nil {
				yield(registry.Item{}, err)
				return
			}
			if item, ok := a.take(p); ok && !yield(item, nil) {
				return
			}
		}
		a.yieldPackages(yield)
	}
}
