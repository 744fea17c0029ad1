// Package hosting says which CatalogSources of a cluster a catalog server
// hosts, under which names, and when it looks for newer content. It talks to
// nobody.
package hosting

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Intervals of polling.
const (
	defaultInterval = 15 * time.Minute // of one that cannot be read
	minInterval     = 5 * time.Second
)

// Request is what one CatalogSource asks to be hosted. Exactly one of Image and
// ConfigMap is set.
type Request struct {
	Namespace, Name, UID string
	Created              time.Time

	Image     string
	Directory string        // of the file-based catalog in the image; empty if labels say it
	Interval  time.Duration // after which the image may be another one; 0 for never
	Secrets   []string      // with credentials for the image, in the namespace
	ConfigMap string        // in the namespace
}

// Key names the CatalogSource, as "<namespace>/<name>".
func (r Request) Key() string { return r.Namespace + "/" + r.Name }

// Host is the name of the Service through which the catalog is reached, as
// "<service>.<namespace>".
func (r Request) Host() string { return strings.ReplaceAll(r.Name, ".", "-") + "." + r.Namespace }

// Equal reports whether two requests ask for the same.
func (r Request) Equal(other Request) bool {
	slicesEqual := slices.Equal(r.Secrets, other.Secrets)
	return slicesEqual && r.Key() == other.Key() && r.UID == other.UID && r.Image == other.Image &&
		r.Directory == other.Directory && r.Interval == other.Interval && r.ConfigMap == other.ConfigMap
}

// catalogSource are the fields of a CatalogSource that matter here. Its Go type
// is not used: the decoder of that crashes on an updateStrategy without
// registryPoll.
type catalogSource struct {
	Metadata struct {
		Namespace, Name   string
		UID               string
		CreationTimestamp time.Time
	}
	Spec struct {
		SourceType, Image, Address, ConfigMap string
		Secrets                               []string
		GrpcPodConfig                         struct {
			ExtractContent struct{ CatalogDir string }
		}
		UpdateStrategy struct {
			RegistryPoll *struct{ Interval string }
		}
	}
}

// Parse reads a CatalogSource in JSON. ok is false if it asks nobody to host it.
func Parse(object []byte) (request Request, ok bool, err error) {
	var cs catalogSource
	if err := json.Unmarshal(object, &cs); err != nil {
		return Request{}, false, fmt.Errorf("read a CatalogSource: %w", err)
	}
	r := Request{Namespace: cs.Metadata.Namespace, Name: cs.Metadata.Name, UID: cs.Metadata.UID, Created: cs.Metadata.CreationTimestamp}
	switch spec := cs.Spec; spec.SourceType {
	case "internal", "configmap":
		r.ConfigMap = spec.ConfigMap
		return r, r.ConfigMap != "", nil
	case "grpc":
		if spec.Address != "" || spec.Image == "" {
			return r, false, nil
		}
		r.Image, r.Directory = spec.Image, spec.GrpcPodConfig.ExtractContent.CatalogDir
		r.Secrets = slices.DeleteFunc(spec.Secrets, func(name string) bool { return name == "" })
		if poll := spec.UpdateStrategy.RegistryPoll; poll != nil && !strings.Contains(spec.Image, "@") {
			r.Interval = intervalOf(poll.Interval) // what a digest names does not change
		}
		return r, true, nil
	}
	return r, false, nil
}

func intervalOf(text string) time.Duration {
	interval, err := time.ParseDuration(text)
	if err != nil || interval <= 0 {
		return defaultInterval
	}
	return max(interval, minInterval)
}

// Limits are how many catalogs one server hosts.
type Limits struct {
	Total, PerNamespace int
}

// Refusal is a catalog that is not hosted.
type Refusal struct {
	Request

	Reason string // a sentence
	Taken  bool   // another catalog has the host
}

// Admit returns the catalogs that are hosted. Those that were there first go
// first, so that nobody loses a catalog to a newer one.
func Admit(requests []Request, limits Limits) (hosted []Request, refused []Refusal) {
	requests = slices.Clone(requests)
	slices.SortFunc(requests, func(a, b Request) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	byHost, byNamespace := map[string]string{}, map[string]int{}
	for _, r := range requests {
		owner, taken := byHost[r.Host()]
		reason := ""
		switch {
		case taken:
			reason = fmt.Sprintf("the catalog %q has the same service name %q; rename one of them", owner, r.Host())
		case len(hosted) >= limits.Total:
			reason = fmt.Sprintf("the catalog server hosts %d catalogs already; raise its --max-catalogs, or delete catalogs", limits.Total)
		case byNamespace[r.Namespace] >= limits.PerNamespace:
			reason = fmt.Sprintf("the catalog server hosts %d catalogs of the namespace %q already; raise its --max-catalogs-per-namespace, or delete catalogs",
				limits.PerNamespace, r.Namespace)
		}
		if reason != "" {
			refused = append(refused, Refusal{Request: r, Reason: reason, Taken: taken})
			continue
		}
		byHost[r.Host()] = r.Name
		byNamespace[r.Namespace]++
		hosted = append(hosted, r)
	}
	return hosted, refused
}

// Times between attempts after a failure.
const (
	firstRetry = 2 * time.Second
	lastRetry  = 2 * time.Minute
)

// Next is after which time a catalog is looked at again, without jitter: the
// interval of its request after a success, growing pauses after failures in
// a row. 0 is never.
func Next(r Request, failures int) time.Duration {
	if failures == 0 {
		return r.Interval
	}
	retry := lastRetry
	if failures < 8 {
		retry = min(firstRetry<<(failures-1), lastRetry)
	}
	if r.Interval > 0 {
		retry = min(retry, r.Interval)
	}
	return retry
}

// Secret is one that a request names.
type Secret struct {
	Name, Type string
	Data       map[string][]byte
}
