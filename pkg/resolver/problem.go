// Package resolver decides which bundle each subscription gets: a Problem
// (what is wanted, what is installed, what catalogs offer) gives a Solution.
// It performs no I/O and keeps no state; the same Problem, in any order, gives
// the same Solution. docs/resolver.md describes the algorithm.
package resolver

import (
	"cmp"
	"reflect"
	"time"

	"chandler.dev/olm/pkg/registry"
	"chandler.dev/olm/pkg/resolver/constraint"
)

// CatalogRef names a catalog of a cluster. The zero value means any catalog.
type CatalogRef struct {
	Namespace, Name string
}

// String returns the name as the existing messages write it.
func (r CatalogRef) String() string { return r.Name + "/" + r.Namespace }

// Problem is everything that a decision depends on, for one namespace.
type Problem struct {
	Namespace     string
	Subscriptions []Subscription
	Installed     []Installed
	Catalogs      []Catalog
	Cluster       Cluster
	// FailForward lets an upgrade continue past one that failed.
	FailForward bool
	Limits      Limits
}

// Subscription asks for a package and keeps it up to date.
type Subscription struct {
	Name         string
	Package      string
	Catalog      CatalogRef
	Channel      string // empty: any, the default channel first
	StartingCSV  string // counts only while nothing is installed
	VersionRange string // empty: any; from annotation chandler.dev/version-range
	Installed    string // name of the installed bundle that it owns; may be empty
}

// Installed is an operator that runs in the namespace.
type Installed struct {
	Bundle   registry.Bundle // Package may be empty if nobody knows it
	Replaces string
	Phase    Phase
}

// Phase is how far an installed operator is in being replaced.
type Phase string

// Phases of an installed operator; the zero value is one that runs.
const (
	PhaseRunning   Phase = ""
	PhaseReplacing Phase = "Replacing"
	PhaseFailed    Phase = "Failed"
)

// Catalog is what a catalog offers, as far as the problem can need it.
type Catalog struct {
	Ref      CatalogRef
	Priority int
	Packages []Offer
	// Names are the names of all packages of the catalog, for suggestions;
	// empty: those of Packages are all.
	Names []string
	// Unavailable says why the offers are missing or old; empty if they are not.
	Unavailable string
}

// Offer is a package with all its bundles, without their content.
type Offer struct {
	Package registry.Package
	Bundles []registry.Bundle

	// facts are the properties of the bundles, read; nil: read when needed.
	facts map[string]*constraint.Facts
}

// Equal reports whether two offers say the same.
func (o Offer) Equal(other Offer) bool {
	return reflect.DeepEqual(o.Package, other.Package) && reflect.DeepEqual(o.Bundles, other.Bundles)
}

// Cluster is what the cluster itself provides.
type Cluster struct {
	KubeVersion string         // such as "1.36.3"; empty if not known
	APIs        []registry.GVK // provided by somebody else than an installed operator
	Taken       []TakenAPI     // APIs that no bundle may bring, because another owner serves them
}

// TakenAPI is an API that belongs to somebody outside of the namespace.
type TakenAPI struct {
	API   registry.GVK
	Owner string // as a sentence names it, such as "operator x in namespace y"
	// Release is what to do so that the API is free, imperative; empty: remove
	// it from the owner.
	Release string
}

// Limits bound the work on one component. Zero values mean the defaults.
type Limits struct {
	Entries int           // bundles under consideration; default 20,000
	Solves  int           // questions to the solver; default 20,000
	Time    time.Duration // for the answer, and again for trying cures; default 5 s, and never more than half of what the context leaves
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Entries: cmp.Or(l.Entries, 20_000),
		Solves:  cmp.Or(l.Solves, 20_000),
		Time:    cmp.Or(l.Time, 5*time.Second),
	}
}

// Solution holds the answer of every component, in a stable order.
type Solution struct {
	Components []Component
}

// Component is the answer for subscriptions that depend on or exclude each other.
type Component struct {
	Subscriptions []string    // names, sorted
	Selections    []Selection // new bundles to install, sorted by bundle name; none if nothing changes
	// Adopted are the installed bundles that nobody owned and that a
	// subscription of the component owns from now on, sorted by subscription.
	Adopted []Adoption
	// Unsolvable is why the component has no solution; then Selections is
	// empty and everything installed stays. Nil if it is solved.
	Unsolvable *Unsolvable
}

// Adoption links a subscription with an installed bundle of its package.
type Adoption struct {
	Subscription, Bundle string
}

// Selection is a bundle that gets installed.
type Selection struct {
	Catalog       CatalogRef
	Channel       string
	Bundle        registry.Bundle
	Replaces      string   // name of the installed bundle that it upgrades, else what the catalog says for a first install
	Subscriptions []string // that get this bundle, sorted; none for a dependency nobody subscribed to
	RequiredBy    []string // names of the bundles that need it, sorted
	Path          []string // names of the bundles from this one to the one wanted in the end
}
