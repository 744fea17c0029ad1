package subscription

import (
	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

var (
	v1 = offer{pkg: "etcd", name: "etcd.v1", channel: "stable", provides: "Etcd"}
	v2 = offer{pkg: "etcd", name: "etcd.v2", channel: "stable", replaces: "etcd.v1", provides: "Etcd"}
	v3 = offer{pkg: "etcd", name: "etcd.v3", channel: "stable", replaces: "etcd.v2", provides: "Etcd"}
	// backup works only with an Etcd.
	backup = offer{pkg: "backup", name: "backup.v1", channel: "stable", requires: "Etcd"}
	redis  = offer{pkg: "redis", name: "redis.v1", channel: "stable", provides: "Redis"}
	// cacheV1 works only with an Etcd and a Redis.
	cacheV1 = offer{pkg: "cache", name: "cache.v1", channel: "stable", requires: "Etcd Redis"}
)

const (
	etcdProperties = `{"properties":[{"type":"olm.package","value":{"packageName":"etcd","version":"1.0.0"}},` +
		`{"type":"olm.gvk","value":{"group":"example.com","kind":"Etcd","version":"v1"}}]}`
)

// lives are what happens in a namespace, and where it ends.
var lives = map[string]struct {
	live func(w *world)
	want []string
}{
	"the head of the channel is installed": {
		live: func(w *world) {
			w.serve(v1, v2)
			w.make(subscription("etcd"))
		},
		want: []string{"csv etcd.v2 Succeeded", "plan 1 etcd.v2 Complete", "sub etcd AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=1"},
	},
	"upgrades go through every version": {
		live: func(w *world) {
			w.serve(v1, v2, v3)
			w.make(subscription("etcd", startingWith("etcd.v1")))
		},
		want: []string{
			"csv etcd.v3 Succeeded", "plan 1 etcd.v1 Complete", "plan 2 etcd.v2 Complete", "plan 3 etcd.v3 Complete",
			"sub etcd AtLatestKnown current=etcd.v3 installed=etcd.v3 plan=3",
		},
	},
	"a new version in the catalog is installed": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd"))
			w.settle()
			w.serve(v1, v2)
		},
		want: []string{
			"csv etcd.v2 Succeeded", "plan 1 etcd.v1 Complete", "plan 2 etcd.v2 Complete",
			"sub etcd AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=2",
		},
	},
	"a manual plan waits for its approval": {
		live: func(w *world) {
			w.serve(v1, v2)
			w.make(subscription("etcd", startingWith("etcd.v1"), manual))
		},
		want: []string{"plan 1 etcd.v1 RequiresApproval", "sub etcd UpgradePending current=etcd.v1 installed= plan=1"},
	},
	"after an approved plan the next one waits": {
		live: func(w *world) {
			w.serve(v1, v2)
			w.make(subscription("etcd", startingWith("etcd.v1"), manual))
			w.settle()
			w.approve()
		},
		want: []string{
			"csv etcd.v1 Succeeded", "plan 1 etcd.v1 Complete", "plan 2 etcd.v2 RequiresApproval",
			"sub etcd UpgradePending current=etcd.v2 installed=etcd.v1 plan=2",
		},
	},
	"a Subscription that becomes automatic approves its plan": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd", manual))
			w.settle()
			edit(w, w.sub("etcd"), automatic)
		},
		want: []string{"csv etcd.v1 Succeeded", "plan 1 etcd.v1 Complete", "sub etcd AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=1"},
	},
	"a newer decision replaces a plan that nobody approved": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd", manual))
			w.settle()
			w.serve(v1, v2)
		},
		want: []string{"plan 2 etcd.v2 RequiresApproval", "sub etcd UpgradePending current=etcd.v2 installed= plan=2"},
	},
	"a version that is published again under its name replaces the plan for it": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd", manual))
			w.settle()
			again := v1
			again.content = `{"apiVersion":"operators.coreos.com/v1alpha1","kind":"ClusterServiceVersion","metadata":{"name":"etcd.v1"},` +
				`"spec":{"displayName":"repaired","install":{"strategy":"deployment","spec":{"deployments":[]}}}}`
			w.serve(again)
		},
		want: []string{"plan 2 etcd.v1 RequiresApproval", "sub etcd UpgradePending current=etcd.v1 installed= plan=2"},
	},
	"other content of the catalog leaves a plan that waits alone": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd", manual))
			w.settle()
			w.serve(v1, redis)
		},
		want: []string{"plan 1 etcd.v1 RequiresApproval", "sub etcd UpgradePending current=etcd.v1 installed= plan=1"},
	},
	"a plan that waits for what is no longer wanted goes": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd", manual))
			w.settle()
			w.approve()
			w.settle()
			w.serve(v1, v2)
			w.settle()
			w.serve(v1)
		},
		want: []string{"csv etcd.v1 Succeeded", "plan 1 etcd.v1 Complete", "sub etcd AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=1"},
	},
	"a deleted plan is made again under another generation": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd", manual))
			w.settle()
			w.remove(&w.plans()[0])
		},
		want: []string{"plan 2 etcd.v1 RequiresApproval", "sub etcd UpgradePending current=etcd.v1 installed= plan=2"},
	},
	"a deleted version comes back as it was": {
		live: func(w *world) {
			w.serve(v1, v2)
			w.make(subscription("etcd", startingWith("etcd.v1")))
			w.settle()
			w.remove(w.csv("etcd.v2"))
		},
		want: []string{
			"csv etcd.v2 Succeeded", "plan 1 etcd.v1 Complete", "plan 2 etcd.v2 Complete", "plan 3 etcd.v2 Complete",
			"sub etcd AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=3",
		},
	},
	"a deleted version of a manual Subscription waits for an approval": {
		live: func(w *world) {
			w.serve(v1, v2)
			w.make(subscription("etcd", startingWith("etcd.v1"), manual))
			w.settle()
			w.approve()
			w.settle()
			w.remove(w.csv("etcd.v1"))
		},
		want: []string{
			"plan 1 etcd.v1 Complete", "plan 3 etcd.v1 RequiresApproval",
			"sub etcd UpgradePending current=etcd.v1 installed= plan=3",
		},
	},
	"a status that was lost is written again": {
		live: func(w *world) {
			w.serve(v1, v2)
			w.make(subscription("etcd", startingWith("etcd.v1")))
			w.settle()
			sub := w.sub("etcd")
			sub.Status = v1alpha1.SubscriptionStatus{}
			w.setStatus(sub)
		},
		want: []string{
			"csv etcd.v2 Succeeded", "plan 1 etcd.v1 Complete", "plan 2 etcd.v2 Complete",
			"sub etcd AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=2",
		},
	},
	"a new Subscription takes over what runs": {
		live: func(w *world) {
			w.serve(v1, v2)
			w.make(csvOf("etcd.v1", "", etcdProperties))
			w.make(subscription("etcd"))
		},
		want: []string{"csv etcd.v2 Succeeded", "plan 1 etcd.v2 Complete", "sub etcd AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=1"},
	},
	"a new Subscription takes over the newest version and plans nothing": {
		live: func(w *world) {
			w.serve(v1)
			w.make(csvOf("etcd.v1", "", etcdProperties))
			w.make(subscription("etcd"))
		},
		want: []string{"csv etcd.v1 Succeeded", "sub etcd AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=0"},
	},
	"a Subscription that is made again takes over and goes on": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd"))
			w.settle()
			w.remove(w.sub("etcd"))
			w.settle()
			w.make(subscription("etcd"))
			w.settle()
			w.serve(v1, v2)
		},
		want: []string{
			"csv etcd.v2 Succeeded", "plan 1 etcd.v1 Complete", "plan 1 etcd.v2 Complete",
			"sub etcd AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=1",
		},
	},
	"a dependency is installed by the same plan and gets a Subscription": {
		live: func(w *world) {
			w.serve(v1, backup)
			w.make(subscription("backup"))
		},
		want: []string{
			"csv backup.v1 Succeeded", "csv etcd.v1 Succeeded", "plan 1 backup.v1+etcd.v1 Complete",
			"sub backup AtLatestKnown current=backup.v1 installed=backup.v1 plan=1",
			"sub etcd-stable-main-olm AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=1",
		},
	},
	"a dependency is upgraded later": {
		live: func(w *world) {
			w.serve(v1, backup)
			w.make(subscription("backup"))
			w.settle()
			w.serve(v1, v2, backup)
		},
		want: []string{
			"csv backup.v1 Succeeded", "csv etcd.v2 Succeeded", "plan 1 backup.v1+etcd.v1 Complete", "plan 2 etcd.v2 Complete",
			"sub backup AtLatestKnown current=backup.v1 installed=backup.v1 plan=1",
			"sub etcd-stable-main-olm AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=2",
		},
	},
	"a plan is shown by those who get something from it": {
		live: func(w *world) {
			w.serve(v1, redis, cacheV1)
			w.make(subscription("cache"))
			w.settle()
			w.serve(v1, v2, redis, cacheV1)
		},
		want: []string{
			"csv cache.v1 Succeeded", "csv etcd.v2 Succeeded", "csv redis.v1 Succeeded",
			"plan 1 cache.v1+etcd.v1+redis.v1 Complete", "plan 2 etcd.v2 Complete",
			"sub cache AtLatestKnown current=cache.v1 installed=cache.v1 plan=1",
			"sub etcd-stable-main-olm AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=2",
			"sub redis-stable-main-olm AtLatestKnown current=redis.v1 installed=redis.v1 plan=1",
		},
	},
	"an approval concerns one operator": {
		live: func(w *world) {
			w.serve(v1, redis)
			w.make(subscription("etcd", manual))
			w.make(subscription("redis"))
		},
		want: []string{
			"csv redis.v1 Succeeded", "plan 1 etcd.v1 RequiresApproval", "plan 1 redis.v1 Complete",
			"sub etcd UpgradePending current=etcd.v1 installed= plan=1",
			"sub redis AtLatestKnown current=redis.v1 installed=redis.v1 plan=1",
		},
	},
	"a wish that cannot be met stops nobody else": {
		live: func(w *world) {
			w.serve(redis)
			w.make(subscription("etcd"))
			w.make(subscription("redis"))
		},
		want: []string{
			"csv redis.v1 Succeeded", "plan 1 redis.v1 Complete",
			"sub etcd  current= installed= plan=0", "sub redis AtLatestKnown current=redis.v1 installed=redis.v1 plan=1",
		},
	},
	"a plan that another lifecycle made and that says the same stays": {
		live: func(w *world) {
			w.serve(v1)
			sub := subscription("etcd", manual)
			w.make(sub)
			w.make(foreignPlan(sub, "install-abcde", "etcd.v1"))
			w.settle()
			w.approve()
		},
		want: []string{"csv etcd.v1 Succeeded", "plan 7 etcd.v1 Complete", "sub etcd AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=7"},
	},
	"a plan that another lifecycle made for a whole namespace becomes one per operator": {
		live: func(w *world) {
			w.serve(v1, redis)
			sub := subscription("etcd", manual)
			sub.Status.InstallPlanGeneration = 7
			w.make(sub)
			w.make(subscription("redis"))
			w.make(foreignPlan(sub, "install-abcde", "etcd.v1", "redis.v1"))
		},
		want: []string{
			"csv redis.v1 Succeeded", "plan 1 redis.v1 Complete", "plan 8 etcd.v1 RequiresApproval",
			"sub etcd UpgradePending current=etcd.v1 installed= plan=8",
			"sub redis AtLatestKnown current=redis.v1 installed=redis.v1 plan=1",
		},
	},
	"nothing is refused before the catalog was read": {
		live: func(w *world) {
			w.make(subscription("etcd"))
			w.settle()
			if got := problems(w.sub("etcd")); len(got) > 0 {
				w.t.Errorf("problems before the catalog was read: %v", got)
			}
			w.serve(v1)
		},
		want: []string{"csv etcd.v1 Succeeded", "plan 1 etcd.v1 Complete", "sub etcd AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=1"},
	},
	"what was installed stays when the catalog goes": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd"))
			w.settle()
			w.remove(catalogSource("main"))
			if err := w.snapshots.Forget(client.ObjectKey{Namespace: "olm", Name: "main"}); err != nil {
				w.t.Fatal(err)
			}
		},
		want: []string{"csv etcd.v1 Succeeded", "plan 1 etcd.v1 Complete", "sub etcd AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=1"},
	},
	"a version that failed is not replaced": {
		live: func(w *world) {
			w.serve(v1)
			w.broken["etcd.v1"] = true
			w.make(subscription("etcd"))
			w.settle()
			w.serve(v1, v2)
		},
		want: []string{"csv etcd.v1 Failed", "plan 1 etcd.v1 Complete", "sub etcd AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=1"},
	},
	"a version that failed is replaced if the group allows it": {
		live: func(w *world) {
			w.serve(v1)
			w.broken["etcd.v1"] = true
			w.make(subscription("etcd"))
			w.settle()
			w.serve(v1, v2)
			edit(w, get(w, "group", &operatorsv1.OperatorGroup{}), func(g *operatorsv1.OperatorGroup) {
				g.Spec.UpgradeStrategy = operatorsv1.UpgradeStrategyUnsafeFailForward
			})
		},
		want: []string{
			"csv etcd.v2 Succeeded", "plan 1 etcd.v1 Complete", "plan 2 etcd.v2 Complete",
			"sub etcd AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=2",
		},
	},
	"a channel that is changed leads on from there": {
		live: func(w *world) {
			fast := v2
			fast.channel = "fast"
			w.serve(v1, fast)
			w.make(subscription("etcd"))
			w.settle()
			edit(w, w.sub("etcd"), func(s *v1alpha1.Subscription) { s.Spec.Channel = "fast" })
		},
		want: []string{
			"csv etcd.v2 Succeeded", "plan 1 etcd.v1 Complete", "plan 2 etcd.v2 Complete",
			"sub etcd AtLatestKnown current=etcd.v2 installed=etcd.v2 plan=2",
		},
	},
	"two Subscriptions for one package share what it gets": {
		live: func(w *world) {
			w.serve(v1)
			w.make(subscription("etcd"))
			w.make(subscription("etcd", func(s *v1alpha1.Subscription) { s.Name = "etcd-too" }))
		},
		want: []string{
			"csv etcd.v1 Succeeded", "plan 1 etcd.v1 Complete",
			"sub etcd AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=1",
			"sub etcd-too AtLatestKnown current=etcd.v1 installed=etcd.v1 plan=1",
		},
	},
}
