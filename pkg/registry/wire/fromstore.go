package wire

import (
	"cmp"
	"context"
	"iter"
	"slices"

	"google.golang.org/protobuf/proto"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
	api "chandler.dev/olm/proto"
)

// AnswersOf returns the answers of a store: its own if it keeps them, otherwise
// each is made when it is asked for, by walking the store.
func AnswersOf(store registry.Store) Answers {
	if a, ok := store.(Answers); ok {
		return a
	}
	return walker{store}
}

type walker struct{ registry.Store }

func (w walker) PackageAnswer(ctx context.Context, name string) (*api.Package, error) {
	p, err := w.Package(ctx, name)
	if err != nil {
		return nil, err
	}
	return Package(p), nil
}

func (w walker) BundleAnswer(ctx context.Context, at Address) (*api.Bundle, error) {
	p, err := w.Package(ctx, at.Package)
	if err != nil {
		return nil, err
	}
	entry, err := EntryAt(p, at)
	if err != nil {
		return nil, err
	}
	b, err := w.Bundle(ctx, at.Package, at.Bundle)
	if err != nil {
		return nil, err
	}
	msg := WithoutEdges(Place(at.Channel, entry))
	return merge(msg, p, b)
}

func (w walker) BundleAnswers(ctx context.Context) iter.Seq2[*api.Bundle, error] {
	return func(yield func(*api.Bundle, error) bool) {
		all, packages, err := w.members(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		SortForListing(all)
		for _, m := range all {
			b, err := w.Bundle(ctx, m.Package, m.Name)
			if err != nil {
				yield(nil, err)
				return
			}
			if b.Image != "" {
				b.Content = registry.Content{}
			}
			msg, err := merge(Place(m.Channel, m.Entry), packages[m.Package], b)
			if !yield(msg, err) || err != nil {
				return
			}
		}
	}
}

func (w walker) Upgrading(ctx context.Context, bundle string) ([]registry.Member, error) {
	all, _, err := w.members(ctx)
	return slices.DeleteFunc(all, func(m registry.Member) bool {
		return m.Replaces != bundle && !slices.Contains(m.Skips, bundle)
	}), err
}

func (w walker) Latest(ctx context.Context, gvk registry.GVK) ([]registry.Member, error) {
	all, err := w.Providers(ctx, gvk)
	if err != nil {
		return nil, err
	}
	var latest []registry.Member
	for _, m := range all {
		p, err := w.Package(ctx, m.Package)
		if err != nil {
			return nil, err
		}
		if ch, ok := p.Channel(m.Channel); ok && ch.Head == m.Name {
			m.Skips = SkipsWithin(ch, m.Entry)
			latest = append(latest, m)
		}
	}
	return latest, nil
}

func (w walker) DefaultProvider(ctx context.Context, gvk registry.GVK) (Address, error) {
	latest, err := w.Latest(ctx, gvk)
	if err != nil {
		return Address{}, err
	}
	for _, m := range latest {
		p, err := w.Package(ctx, m.Package)
		if err != nil {
			return Address{}, err
		}
		if p.DefaultChannel == m.Channel {
			return Address{Package: m.Package, Channel: m.Channel, Bundle: m.Name}, nil
		}
	}
	return Address{}, nil
}

func (w walker) Replacement(ctx context.Context, at Address) (string, error) {
	p, err := w.Package(ctx, at.Package)
	if err != nil {
		return "", err
	}
	ch, ok := p.Channel(at.Channel)
	if !ok {
		return "", NoChannel(at)
	}
	return append(registry.Upgrades(ch)[at.Bundle], "")[0], nil
}

// members returns the entries of all channels, and the packages by name.
func (w walker) members(ctx context.Context) ([]registry.Member, map[string]registry.Package, error) {
	names, err := w.Packages(ctx)
	if err != nil {
		return nil, nil, err
	}
	var all []registry.Member
	packages := map[string]registry.Package{}
	for _, name := range names {
		p, err := w.Package(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		packages[name] = p
		all = append(all, registry.Members(p)...)
	}
	return all, packages, nil
}

// merge completes a message that says the place of a bundle.
func merge(msg *api.Bundle, p registry.Package, b registry.Bundle) (*api.Bundle, error) {
	content, err := Content(p, b)
	if err != nil {
		return nil, err
	}
	proto.Merge(msg, Common(b))
	proto.Merge(msg, content)
	msg.Deprecation = Deprecation(b.Deprecation)
	return msg, nil
}

// SortForListing puts members into the order of ListBundles.
func SortForListing(all []registry.Member) {
	slices.SortStableFunc(all, func(a, b registry.Member) int {
		return cmp.Or(cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Package, b.Package), cmp.Compare(a.Name, b.Name))
	})
}

// SkipsWithin returns the skips of an entry that are entries of its channel.
func SkipsWithin(ch registry.Channel, e registry.Entry) []string {
	names := map[string]bool{}
	for _, other := range ch.Entries {
		names[other.Name] = true
	}
	var within []string
	for _, s := range e.Skips {
		if names[s] {
			within = append(within, s)
		}
	}
	return within
}

// EntryAt finds an entry; failure.NotFound says what is not there.
func EntryAt(p registry.Package, at Address) (registry.Entry, error) {
	ch, ok := p.Channel(at.Channel)
	if !ok {
		return registry.Entry{}, NoChannel(at)
	}
	e, ok := ch.Entry(at.Bundle)
	if !ok {
		return registry.Entry{}, failure.New(failure.NotFound, "package %q, channel %q, bundle %q not found", at.Package, at.Channel, at.Bundle)
	}
	return e, nil
}

// NoPackage is the failure of a package that the catalog does not have.
func NoPackage(name string) error {
	return failure.New(failure.NotFound, "package %q not found", name)
}

// NoChannel is the failure of a channel that the package does not have.
func NoChannel(at Address) error {
	return failure.New(failure.NotFound, "package %q, channel %q not found", at.Package, at.Channel)
}
