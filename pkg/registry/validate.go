package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/distribution/reference"
)

// Validated passes a source on and fails at its end, with everything that is
// wrong, if the catalog breaks a rule. It remembers names and versions only.
func Validated(src Source) Source { return validated{src} }

type validated struct{ src Source }

func (v validated) Items(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		check := NewValidator()
		for item, err := range v.src.Items(ctx) {
			if found, ok := errors.AsType[Problem](err); ok {
				yield(Item{}, InvalidCatalog(append(found.Problems, check.Problems()...)))
				return
			}
			if err != nil {
				yield(Item{}, err)
				return
			}
			check.Add(item)
			if !yield(item, nil) {
				return
			}
		}
		if err := InvalidCatalog(check.Problems()); err != nil {
			yield(Item{}, err)
		}
	}
}

// Lenient passes a source on without the packages that break a rule. It tells
// report what is wrong with them and what else cannot be read.
func Lenient(src Source, report func(Problem)) Source { return lenient{src, report} }

type lenient struct {
	src    Source
	report func(Problem)
}

func (l lenient) Items(ctx context.Context) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		check := NewValidator()
		var (
			packages []Item // held back until everything was seen
			problems []Problem
		)
		for item, err := range l.src.Items(ctx) {
			if found, ok := errors.AsType[Problem](err); ok {
				problems = found.Problems
				break
			}
			if err != nil {
				yield(Item{}, err)
				return
			}
			check.Add(item)
			if item.Package != nil {
				packages = append(packages, item)
			} else if !yield(item, nil) {
				return
			}
		}
		for _, p := range append(problems, check.Problems()...) {
			l.report(p)
		}
		for _, item := range packages {
			if check.valid(item.Package.Name) && !yield(item, nil) {
				return
			}
		}
	}
}

// valid reports whether nothing is wrong with a package.
func (v *Validator) valid(name string) bool { return len(v.packageOf(name).check(name)) == 0 }

// Validator collects what is wrong with a catalog while its items pass by.
type Validator struct {
	packages map[string]*packageCheck
}

type packageCheck struct {
	declared int
	where    string
	pkg      Package
	bundles  map[string]*bundleCheck
	problems []Problem // not about one bundle
}

type bundleCheck struct {
	where    string
	version  string // canonical, with the release; empty if it is not valid
	problems []Problem
}

// NewValidator returns a Validator that has seen nothing.
func NewValidator() *Validator { return &Validator{packages: map[string]*packageCheck{}} }

// Add looks at an item. It keeps nothing of the content of a bundle.
func (v *Validator) Add(item Item) {
	switch {
	case item.Bundle != nil:
		v.addBundle(*item.Bundle, item.Where)
	case item.Package != nil:
		p := v.packageOf(item.Package.Name)
		p.declared++
		p.where = item.Where
		p.pkg = *item.Package
		for _, bundle := range item.Dropped {
			delete(p.bundles, bundle)
		}
	}
}

// Problems returns what is wrong, one problem per package, sorted.
func (v *Validator) Problems() []Problem {
	var all []Problem
	for _, name := range slices.Sorted(maps.Keys(v.packages)) {
		p := v.packages[name]
		if problems := p.check(name); len(problems) > 0 {
			all = append(all, Problem{Message: fmt.Sprintf("invalid package %q", name), Where: p.where, Problems: problems})
		}
	}
	return all
}

func (v *Validator) packageOf(name string) *packageCheck {
	p, ok := v.packages[name]
	if !ok {
		p = &packageCheck{bundles: map[string]*bundleCheck{}}
		v.packages[name] = p
	}
	return p
}

func (v *Validator) addBundle(b Bundle, where string) {
	p := v.packageOf(b.Package)
	if _, ok := p.bundles[b.Name]; ok {
		p.problems = append(p.problems, Problem{Message: fmt.Sprintf("package %q has duplicate bundle %q", b.Package, b.Name), Where: where})
		return
	}
	check := &bundleCheck{where: where}
	check.version, check.problems = checkBundle(b)
	if len(check.problems) == 0 {
		check.problems = nil
	}
	p.bundles[b.Name] = check
}

// check returns what is wrong with a package and what is in it.
func (p *packageCheck) check(name string) []Problem {
	problems := p.problems
	add := func(format string, args ...any) {
		problems = append(problems, Problem{Message: fmt.Sprintf(format, args...)})
	}
	switch {
	case p.declared == 0:
		for _, bundle := range slices.Sorted(maps.Keys(p.bundles)) {
			problems = append(problems, unknownPackage(name, bundle, p.bundles[bundle].where))
		}
		return problems
	case name == "":
		add("config contains package with no name")
	case p.declared > 1:
		add("duplicate package %q", name)
	}
	if p.pkg.DefaultChannel == "" {
		add("default channel must be set")
	} else if _, ok := p.pkg.Channel(p.pkg.DefaultChannel); !ok {
		add("default channel %q not found in channels list", p.pkg.DefaultChannel)
	}
	if len(p.pkg.Channels) == 0 {
		add("package must contain at least one channel")
	}
	problems = append(problems, p.checkPlaces(name)...)
	for _, ch := range p.pkg.Channels {
		if found := CheckChannel(ch); len(found) > 0 {
			problems = append(problems, Problem{Message: fmt.Sprintf("invalid channel %q", ch.Name), Problems: found})
		}
	}
	for _, bundle := range slices.Sorted(maps.Keys(p.bundles)) {
		if b := p.bundles[bundle]; len(b.problems) > 0 {
			problems = append(problems, Problem{Message: fmt.Sprintf("invalid bundle %q", bundle), Where: b.where, Problems: b.problems})
		}
	}
	return append(problems, p.duplicateVersions()...)
}

func unknownPackage(pkg, bundle, where string) Problem {
	if pkg == "" {
		return Problem{Message: fmt.Sprintf("package name must be set for bundle %q", bundle), Where: where}
	}
	return Problem{
		Message: fmt.Sprintf("unknown package %q for bundle %q", pkg, bundle), Where: where,
		Hint: "add an olm.package of that name",
	}
}

// checkPlaces compares the bundles of a package with the entries of its channels.
func (p *packageCheck) checkPlaces(name string) []Problem {
	var problems []Problem
	placed := map[string]bool{}
	missing := map[string]bool{}
	for _, ch := range p.pkg.Channels {
		for _, e := range ch.Entries {
			placed[e.Name] = true
			if _, ok := p.bundles[e.Name]; !ok {
				missing[e.Name] = true
			}
		}
	}
	if len(missing) > 0 {
		names := slices.Sorted(maps.Keys(missing))
		problems = append(problems, Problem{
			Message: fmt.Sprintf("no olm.bundle blobs found in package %q for olm.channel entries %v", name, names),
			Hint:    "add the bundles or remove the entries",
		})
	}
	for _, bundle := range slices.Sorted(maps.Keys(p.bundles)) {
		if !placed[bundle] {
			problems = append(problems, Problem{
				Message: fmt.Sprintf("package %q, bundle %q not found in any channel entries", name, bundle),
				Where:   p.bundles[bundle].where, Hint: "add it to a channel or remove it",
			})
		}
	}
	return problems
}

func (p *packageCheck) duplicateVersions() []Problem {
	byVersion := map[string][]string{}
	for name, b := range p.bundles {
		if b.version != "" {
			byVersion[b.version] = append(byVersion[b.version], name)
		}
	}
	var texts []string
	for _, version := range slices.Sorted(maps.Keys(byVersion)) {
		if names := byVersion[version]; len(names) > 1 {
			slices.Sort(names)
			texts = append(texts, fmt.Sprintf("{%s: [%s]}", version, strings.Join(names, ", ")))
		}
	}
	if len(texts) == 0 {
		return nil
	}
	return []Problem{{Message: fmt.Sprintf("duplicate versions found in bundles: [%s]", strings.Join(texts, " "))}}
}

// CheckChannel returns what is wrong with the graph of a channel.
func CheckChannel(ch Channel) []Problem {
	var problems []Problem
	add := func(format string, args ...any) {
		problems = append(problems, Problem{Message: fmt.Sprintf(format, args...)})
	}
	if ch.Name == "" {
		add("channel name must not be empty")
	}
	if len(ch.Entries) == 0 {
		add("channel must contain at least one bundle")
		return problems
	}
	names := map[string]bool{}
	for _, e := range ch.Entries {
		if names[e.Name] {
			add("duplicate entry %q", e.Name)
		}
		names[e.Name] = true
		problems = append(problems, checkEntry(e)...)
	}
	switch heads := Heads(ch); len(heads) {
	case 0:
		add("no channel head found in graph")
	case 1:
		problems = append(problems, checkChain(ch, heads[0])...)
	default:
		add("multiple channel heads found in graph: %s", strings.Join(heads, ", "))
	}
	return problems
}

func checkEntry(e Entry) []Problem {
	var problems []Problem
	for i, skip := range e.Skips {
		if skip == "" {
			problems = append(problems, Problem{Message: fmt.Sprintf("skip[%d] is empty", i)})
		}
	}
	if e.SkipRange != "" {
		if _, err := ParseRange(e.SkipRange); err != nil {
			problems = append(problems, Problem{
				Message: fmt.Sprintf("invalid skipRange %.200q: %v", e.SkipRange, err),
				Hint:    `write it like ">=1.0.0 <2.0.0"`,
			})
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return []Problem{{Message: fmt.Sprintf("invalid bundle %q", e.Name), Problems: problems}}
}

// checkChain reports a cycle on the way down from the head, or the entries that
// are not on it.
func checkChain(ch Channel, head string) []Problem {
	left, err := stranded(ch, head)
	switch {
	case err != nil:
		return []Problem{{Message: err.Error(), Hint: "remove one of these replaces"}}
	case len(left) == 0:
		return nil
	}
	return []Problem{{
		Message: "channel contains one or more stranded bundles: " + strings.Join(left, ", "),
		Hint:    "let an entry on the way down from " + head + " replace or skip them",
	}}
}

// checkImage fails if a pull spec is neither empty nor a valid reference.
func checkImage(image string) error {
	if image == "" {
		return nil
	}
	if _, err := reference.ParseNormalizedNamed(image); err != nil {
		return fmt.Errorf("invalid image pull spec %q: %w", image, err)
	}
	return nil
}
