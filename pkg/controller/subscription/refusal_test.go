package subscription

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/registry"
)

const repairBundle = "ask the publisher of the catalog to repair the bundle, or choose another version by channel or startingCSV"

// problems lists the conditions of a Subscription that are True.
func problems(sub *v1alpha1.Subscription) (lines []string) {
	for _, c := range sub.Status.Conditions {
		if c.Status == corev1.ConditionTrue {
			lines = append(lines, fmt.Sprintf("%s/%s: %s", c.Type, c.Reason, c.Message))
		}
	}
	return lines
}

// matches compares a text in which "…" stands for any other, because that part
// is the resolver's to word.
func matches(want, got string) bool {
	for i, part := range strings.Split(want, "…") {
		at := strings.Index(got, part)
		if at < 0 || i == 0 && at > 0 {
			return false
		}
		got = got[at+len(part):]
	}
	return got == "" || strings.HasSuffix(want, "…")
}

// TestBadInput makes one mistake each, next to a Subscription without any: the
// mistake is named with its cure where it was made, and the neighbour installs.
func TestBadInput(t *testing.T) {
	tests := map[string]struct {
		mistake  func(w *world)
		want     []string // problems of Subscription etcd
		harmless bool     // the neighbour is installed all the same
	}{
		"an unknown package": {
			mistake: func(w *world) {
				w.make(subscription("etcd", func(s *v1alpha1.Subscription) { s.Spec.Package = "etdc" }))
			},
			want: []string{`ResolutionFailed/ConstraintsNotSatisfiable: constraints not satisfiable: no operators found in package etdc in the catalog ` +
				`referenced by subscription etcd, subscription etcd exists; set the package name …to etcd`},
			harmless: true,
		},
		"an unknown channel": {
			mistake: func(w *world) {
				w.make(subscription("etcd", func(s *v1alpha1.Subscription) { s.Spec.Channel = "stabel" }))
			},
			want: []string{`ResolutionFailed/ConstraintsNotSatisfiable: constraints not satisfiable: no operators found in channel stabel of package etcd ` +
				`in the catalog referenced by subscription etcd, subscription etcd exists; set channel …to stable`},
			harmless: true,
		},
		"an unknown startingCSV": {
			mistake: func(w *world) { w.make(subscription("etcd", startingWith("etcd.v9"))) },
			want: []string{`ResolutionFailed/ConstraintsNotSatisfiable: constraints not satisfiable: no operators found with name etcd.v9 in channel stable ` +
				`of package etcd in the catalog referenced by subscription etcd, subscription etcd exists; set startingCSV …to etcd.v1…`},
			harmless: true,
		},
		"an unknown catalog": {
			mistake: func(w *world) {
				w.make(subscription("etcd", func(s *v1alpha1.Subscription) { s.Spec.CatalogSource = "mian" }))
			},
			want: []string{
				"CatalogSourcesUnhealthy/UnhealthyCatalogSourceFound: targeted catalogsource olm/mian missing",
				`ResolutionFailed/ConstraintsNotSatisfiable: constraints not satisfiable: no operators found from catalog mian in namespace olm ` +
					`referenced by subscription etcd, subscription etcd exists; set source and sourceNamespace …to main and olm`,
			},
			harmless: true,
		},
		"a catalog that was never reachable": {
			mistake: func(w *world) {
				down := catalogSource("down")
				down.Status.Reason, down.Status.Message = v1alpha1.CatalogSourceRegistryServerError, `the catalog server at "a:1" does not answer; check that it runs`
				w.make(down)
				w.make(subscription("etcd", func(s *v1alpha1.Subscription) { s.Spec.CatalogSource = "down" }))
			},
			want: []string{
				`CatalogSourcesUnhealthy/UnhealthyCatalogSourceFound: targeted catalogsource olm/down unhealthy: the catalog server at "a:1" does not answer; check that it runs`,
				`ResolutionFailed/ConstraintsNotSatisfiable: constraints not satisfiable: no operators found from catalog down in namespace olm ` +
					`referenced by subscription etcd, subscription etcd exists; set source and sourceNamespace …to main and olm`,
			},
			harmless: true,
		},
		"a catalog that cannot be one": {
			mistake: func(w *world) {
				goose := catalogSource("goose")
				goose.Status = v1alpha1.CatalogSourceStatus{Reason: v1alpha1.CatalogSourceSpecInvalidError, Message: "unknown sourcetype: goose"}
				w.make(goose)
				w.make(subscription("etcd", func(s *v1alpha1.Subscription) { s.Spec.CatalogSource = "goose" }))
			},
			want: []string{
				`CatalogSourcesUnhealthy/UnhealthyCatalogSourceFound: targeted catalogsource olm/goose unhealthy`,
				`ResolutionFailed/ConstraintsNotSatisfiable: constraints not satisfiable: no operators found from catalog goose in namespace olm ` +
					`referenced by subscription etcd, subscription etcd exists; set source and sourceNamespace …to main and olm`,
			},
			harmless: true,
		},
		"a namespace without OperatorGroup": {
			mistake: func(w *world) {
				w.remove(group("group"))
				w.make(subscription("etcd"))
			},
			want: []string{`ResolutionFailed/ErrorPreventedResolution: namespace "db" has no OperatorGroup, so nothing is installed in it; ` +
				`create one that names the namespaces that operators here look after`},
		},
		"a namespace with two OperatorGroups": {
			mistake: func(w *world) {
				w.make(group("other"))
				w.make(subscription("etcd"))
			},
			want: []string{`ResolutionFailed/ErrorPreventedResolution: namespace "db" has 2 OperatorGroups ("group", "other") and only one can count; delete the others`},
		},
		"a bundle whose ClusterServiceVersion is none": {
			mistake: func(w *world) {
				broken := v1
				broken.content = `{"metadata":{"name":"etcd.v1"}}`
				w.serve(broken, redis)
				w.make(subscription("etcd"))
			},
			want: []string{`BundleUnpackFailed/ErrorPreventedUnpacking: bundle "etcd.v1": the ClusterServiceVersion of the bundle is missing APIVersion, Kind or name; ` +
				repairBundle},
			harmless: true,
		},
		"a bundle whose ClusterServiceVersion is not even JSON": {
			mistake: func(w *world) {
				broken := v1
				broken.content = `{"metadata":`
				w.serve(broken, redis)
				w.make(subscription("etcd"))
			},
			want: []string{`BundleUnpackFailed/ErrorPreventedUnpacking: bundle "etcd.v1": the ClusterServiceVersion of the bundle is not valid: unexpected end of JSON input; ` +
				repairBundle},
			harmless: true,
		},
		"an upgrade over a version that failed": {
			mistake: func(w *world) {
				w.serve(v1, redis)
				w.broken["etcd.v1"] = true
				w.make(subscription("etcd"))
				w.settle()
				w.serve(v1, v2, redis)
			},
			want: []string{`ResolutionFailed/ConstraintsNotSatisfiable: etcd.v2 waits for etcd.v1, which failed: install timeout; repair it, ` +
				`or set upgradeStrategy TechPreviewUnsafeFailForward on the OperatorGroup to upgrade over it`},
			harmless: true,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group("group"), catalogSource("main"))
			w.serve(v1, redis)
			w.make(subscription("redis"))
			tt.mistake(w)
			w.settle()
			if got := problems(w.sub("etcd")); !slices.EqualFunc(tt.want, got, matches) {
				t.Errorf("problems\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
			if got := w.csv("redis.v1") != nil && len(problems(w.sub("redis"))) == 0; got != tt.harmless {
				t.Errorf("the neighbour is installed: %v, want %v; its problems: %v", got, tt.harmless, problems(w.sub("redis")))
			}
		})
	}
}

// TestImageOnly covers a bundle whose manifests only its image has: reading it
// is shown, its failure too, and it is installed when it was read.
func TestImageOnly(t *testing.T) {
	w := newWorld(t, group("group"), catalogSource("main"))
	remote := v1
	remote.image, remote.content = "example.com/etcd:v1", "none"
	w.serve(remote)
	w.make(subscription("etcd"))
	release := make(chan error)
	w.fetch = func(image string) (registry.Content, error) {
		if err := <-release; err != nil {
			return registry.Content{}, err
		}
		return v1.bundle().Content, nil
	}
	told := make(chan bool, 10)
	w.snapshots.Watch(func(types.NamespacedName) { told <- true })
	for _, step := range []struct {
		what string
		do   func()
		want []string
	}{
		{"it is being read", func() {}, []string{`BundleUnpacking/UnpackingInProgress: the image "example.com/etcd:v1" is being read`}},
		{"the registry refuses", func() {
			release <- failure.New(failure.Blocked, "the registry wants other credentials").WithHint("name a secret in the CatalogSource")
			<-told
		}, []string{`BundleUnpackFailed/BundleUnpackFailed: Bundle unpacking failed: the registry wants other credentials; name a secret in the CatalogSource`}},
		{"the registry answers", func() {
			w.clock.Step(time.Hour)
			w.settle() // asks again
			release <- nil
			<-told
		}, nil},
	} {
		step.do()
		w.settle()
		if diff := cmp.Diff(step.want, problems(w.sub("etcd"))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.what, diff)
		}
	}
	if w.csv("etcd.v1") == nil {
		t.Error("the bundle is not installed")
	}
}

// TestCures undoes mistakes: nothing of them stays.
func TestCures(t *testing.T) {
	tests := map[string]struct {
		mistake func(w *world)
		cure    func(w *world)
	}{
		"the catalog gets the package": {
			mistake: func(w *world) { w.serve(redis) },
			cure:    func(w *world) { w.serve(v1, redis) },
		},
		"the catalog is named": {
			mistake: func(w *world) {
				edit(w, w.sub("etcd"), func(s *v1alpha1.Subscription) { s.Spec.CatalogSource = "missing" })
			},
			cure: func(w *world) {
				edit(w, w.sub("etcd"), func(s *v1alpha1.Subscription) { s.Spec.CatalogSource = "main" })
			},
		},
		"the second OperatorGroup goes": {
			mistake: func(w *world) { w.make(group("other")) },
			cure:    func(w *world) { w.remove(group("other")) },
		},
		"the bundle is repaired": {
			mistake: func(w *world) {
				broken := v1
				broken.content = `{"metadata":{"name":"etcd.v1"}}`
				w.serve(broken)
			},
			cure: func(w *world) { w.serve(v1) },
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group("group"), catalogSource("main"))
			w.serve(v1)
			w.make(subscription("etcd"))
			tt.mistake(w)
			w.settle()
			if len(problems(w.sub("etcd"))) == 0 {
				t.Fatal("the mistake was not noticed")
			}
			tt.cure(w)
			w.settle()
			if got := problems(w.sub("etcd")); len(got) > 0 || w.csv("etcd.v1") == nil {
				t.Errorf("etcd is installed: %v, with problems %v", w.csv("etcd.v1") != nil, got)
			}
		})
	}
}

// TestCatalogInSight covers which catalogs a namespace can use.
func TestCatalogInSight(t *testing.T) {
	tests := map[string]struct {
		change func(w *world)
		want   []string // catalogHealth
	}{
		"its own and the global ones": {
			change: func(w *world) {
				own := catalogSource("own")
				own.Namespace = ns
				w.make(own)
			},
			want: []string{"db/own true", "olm/main true"},
		},
		"only its own if its group says so": {
			change: func(w *world) {
				own := catalogSource("own")
				own.Namespace = ns
				own.Status.Reason = v1alpha1.CatalogSourceRegistryServerError
				w.make(own)
				g := group("group")
				if err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(g), g); err != nil {
					w.t.Fatal(err)
				}
				g.Annotations = map[string]string{excludeGlobal: "true"}
				if err := w.client.Update(w.t.Context(), g); err != nil {
					w.t.Fatal(err)
				}
			},
			want: []string{"db/own false"},
		},
		"not those of other namespaces": {
			change: func(w *world) {
				other := catalogSource("other")
				other.Namespace = "elsewhere"
				w.make(other)
			},
			want: []string{"olm/main true"},
		},
		"one that is down": {
			change: func(w *world) {
				down := catalogSource("down")
				down.Status.Reason, down.Status.Message = v1alpha1.CatalogSourceRegistryServerError, "does not answer"
				w.make(down)
			},
			want: []string{"olm/down false", "olm/main true"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, group("group"), catalogSource("main"))
			w.serve(v1)
			w.make(subscription("etcd"))
			tt.change(w)
			w.settle()
			var got []string
			for _, h := range w.sub("etcd").Status.CatalogHealth {
				got = append(got, fmt.Sprintf("%s/%s %v", h.CatalogSourceRef.Namespace, h.CatalogSourceRef.Name, h.Healthy))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("catalogHealth (-want +got):\n%s", diff)
			}
			if slices.Contains(problems(w.sub("etcd")), v1alpha1.UnhealthyCatalogSourceFound) {
				t.Error("a catalog that nobody asked for counts as a problem")
			}
		})
	}
}

// TestDeprecations covers the four conditions and their end.
func TestDeprecations(t *testing.T) {
	w := newWorld(t, group("group"), catalogSource("main"))
	old := v1
	old.deprecated = "use v2"
	w.serve(v1)
	w.make(subscription("etcd"))
	w.settle()
	if got := problems(w.sub("etcd")); len(got) > 0 {
		t.Errorf("before anything is deprecated there are %v", got)
	}
	w.serve(old)
	w.settle()
	want := []string{"BundleDeprecated/: olm.bundle/etcd.v1: use v2", "Deprecated/: olm.bundle/etcd.v1: use v2"}
	if diff := cmp.Diff(want, problems(w.sub("etcd"))); diff != "" {
		t.Errorf("a deprecated bundle (-want +got):\n%s", diff)
	}
	w.serve(old, v2)
	w.settle()
	if got := problems(w.sub("etcd")); len(got) > 0 {
		t.Errorf("after the upgrade there are %v", got)
	}
}
