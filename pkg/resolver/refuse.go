package resolver

import (
	"fmt"
	"slices"
	"strings"

	"chandler.dev/olm/pkg/registry"
)

// refuse says why a want has no candidates, by how far its lookup got. The
// texts are those of the existing resolver where it has one.
func (w *world) refuse(l *lookup) *Reason {
	s := l.want
	channelOf := "in package " + s.Package
	if s.Channel != "" {
		channelOf = fmt.Sprintf("in channel %s of package %s", s.Channel, s.Package)
	}
	const where = "in the catalog referenced by subscription"
	switch {
	case s.Catalog != (CatalogRef{}) && !slices.ContainsFunc(l.catalogs, hasContent):
		return w.refuseCatalog(l)
	case len(l.offers) == 0:
		return w.refusePackage(l)
	case len(l.channels) == 0:
		return refuseChannel(l)
	case l.broken != nil && l.want.StartingCSV == "":
		return &Reason{
			Subscription: s.Name,
			Text:         l.broken.Error(),
			Cure:         "subscribe to another channel, or repair this one in the catalog",
		}
	case s.current != nil:
		return &Reason{
			Subscription: s.Name,
			Text: fmt.Sprintf("no upgrade leads from %s into version range %q of subscription %s in package %s",
				s.current.bundle.Name, s.VersionRange, s.Name, s.Package),
			Cure:    "choose a version range with the installed version, or one that upgrades lead to",
			Details: l.versionDetails(),
		}
	case s.StartingCSV != "":
		return &Reason{
			Subscription: s.Name,
			Text:         fmt.Sprintf("no operators found with name %s %s %s %s", s.StartingCSV, channelOf, where, s.Name),
			Cure:         didYouMean("set startingCSV to %s", s.StartingCSV, l.bundleNames()),
			Details:      l.versionDetails(),
		}
	default:
		return &Reason{
			Subscription: s.Name,
			Text:         fmt.Sprintf("no operators found in version range %q %s %s %s", s.VersionRange, channelOf, where, s.Name),
			Cure:         "choose a version range with an offered version",
			Details:      l.versionDetails(),
		}
	}
}

func hasContent(c *catalog) bool { return len(c.names()) > 0 }

func (c *catalog) names() []string {
	if len(c.Names) > 0 {
		return c.Names
	}
	var names []string
	for _, o := range c.Packages {
		names = append(names, o.Package.Name)
	}
	slices.Sort(names)
	return names
}

func (w *world) refuseCatalog(l *lookup) *Reason {
	s := l.want
	r := &Reason{
		Subscription: s.Name,
		Text: fmt.Sprintf("no operators found from catalog %s in namespace %s referenced by subscription %s",
			s.Catalog.Name, s.Catalog.Namespace, s.Name),
	}
	switch {
	case len(w.catalogs) == 0:
		r.Cure = "create a CatalogSource that offers package " + s.Package
	case len(l.catalogs) > 0 && l.catalogs[0].Unavailable != "":
		r.Cure = fmt.Sprintf("repair catalog %s: %s", l.catalogs[0].Ref, l.catalogs[0].Unavailable)
	default:
		r.Cure = "set source and sourceNamespace to a catalog that offers package " + s.Package
	}
	r.Details = w.offeredBy(s)
	if name := w.catalogWith(s); name != "" {
		r.Cure = "set source and sourceNamespace to " + name
	}
	return r
}

func (w *world) refusePackage(l *lookup) *Reason {
	s := l.want
	var names []string
	for _, c := range l.catalogs {
		names = append(names, c.names()...)
	}
	r := &Reason{
		Subscription: s.Name,
		Text:         fmt.Sprintf("no operators found in package %s in the catalog referenced by subscription %s", s.Package, s.Name),
		Cure:         didYouMean("set the package name to %s", s.Package, names),
		Details:      w.offeredBy(s),
	}
	if name := w.catalogWith(s); name != "" {
		r.Cure = "set source and sourceNamespace to " + name
	}
	if r.Cure == "" {
		r.Cure = "name a package that the catalog offers"
	}
	return r
}

func refuseChannel(l *lookup) *Reason {
	s := l.want
	var names, details []string
	for _, o := range l.offers {
		var here []string
		for _, ch := range o.channels() {
			here = append(here, ch.Name)
		}
		names = append(names, here...)
		details = append(details, fmt.Sprintf("catalog %s offers channels %s", o.catalog.Ref, list(here)))
	}
	r := &Reason{
		Subscription: s.Name,
		Text: fmt.Sprintf("no operators found in channel %s of package %s in the catalog referenced by subscription %s",
			s.Channel, s.Package, s.Name),
		Cure:    didYouMean("set channel to %s", s.Channel, names),
		Details: details,
	}
	if r.Cure == "" && len(names) > 0 {
		r.Cure = "set channel to " + names[0]
	}
	return r
}

func refuseRange(s *want, err error) *Reason {
	return &Reason{
		Subscription: s.Name,
		Text:         fmt.Sprintf("version range %q of subscription %s cannot be read: %s", s.VersionRange, s.Name, err),
		Details:      []string{`a range is comparisons such as ">=1.2.0 <2.0.0", or one version such as "1.2.3"`},
	}
}

// brokenChannel says in the words of the existing resolver what keeps a
// channel from having an order.
func brokenChannel(pkg string, ch registry.Channel) error {
	heads := registry.Heads(ch)
	switch len(heads) {
	case 0:
		return fmt.Errorf("no channel heads (entries not replaced by another entry) found in channel %q of package %q", ch.Name, pkg)
	case 1:
		return fmt.Errorf("a cycle exists in the chain of replacement beginning with %q in channel %q of package %q", heads[0], ch.Name, pkg)
	default:
		var chains []string
		for _, head := range heads {
			chains = append(chains, chainText(ch, head))
		}
		return fmt.Errorf("a unique replacement chain within a channel is required to determine the relative order between channel entries, "+
			"but %d replacement chains were found in channel %q of package %q: %s", len(heads), ch.Name, pkg, strings.Join(chains, ", "))
	}
}

// chainText is "head...tail" of what the head replaces step by step, without
// what is skipped; only the head if that is all.
func chainText(ch registry.Channel, head string) string {
	skipped := map[string]bool{}
	for _, e := range ch.Entries {
		for _, s := range e.Skips {
			skipped[s] = true
		}
	}
	last := head
	e, _ := ch.Entry(head)
	for range ch.Entries { // a cycle ends here
		next, ok := ch.Entry(e.Replaces)
		if !ok {
			break
		}
		e = next
		if !skipped[e.Name] {
			last = e.Name
		}
	}
	if last == head {
		return head
	}
	return head + "..." + last
}

// offeredBy names the catalogs that have the wanted package.
func (w *world) offeredBy(s *want) []string {
	var details []string
	for _, c := range w.catalogs {
		if o, ok := c.offers[s.Package]; ok {
			var names []string
			for _, ch := range o.channels() {
				names = append(names, ch.Name)
			}
			details = append(details, fmt.Sprintf("catalog %s offers package %s in channels %s", c.Ref, s.Package, list(names)))
		}
	}
	return details
}

// catalogWith names the best catalog that has what the want asks for.
func (w *world) catalogWith(s *want) string {
	for _, c := range w.catalogs {
		o, ok := c.offers[s.Package]
		if !ok {
			continue
		}
		if _, ok := o.Package.Channel(s.Channel); ok || s.Channel == "" {
			return fmt.Sprintf("%s and %s", c.Ref.Name, c.Ref.Namespace)
		}
	}
	return ""
}

func (l *lookup) bundleNames() []string {
	var names []string
	for _, r := range l.channels {
		for _, e := range r.channel.Entries {
			names = append(names, e.Name)
		}
	}
	return names
}

// versionDetails says which versions the channels offer.
func (l *lookup) versionDetails() []string {
	var details []string
	for _, r := range l.channels {
		var versions []string
		for _, e := range r.channel.Entries {
			if v := r.offer.version(e.Name); v != "" {
				versions = append(versions, v)
			}
		}
		slices.SortFunc(versions, func(a, b string) int { return compareVersions(b, a) })
		details = append(details, fmt.Sprintf("channel %s in catalog %s offers %s", r.channel.Name, r.offer.catalog.Ref, list(versions)))
	}
	return details
}
