package copiedcsv

import (
	"context"
	"time"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// settle lets the many events of one pass become one look at each object.
	settle = 2 * time.Second
	// reconnect is how soon a broken watch is started again.
	reconnect = 5 * time.Second
)

type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// feed watches all copies by their metadata and keeps none of them: what an informer
// would hold in memory for every namespace, the API server is asked for when it matters.
type feed struct {
	client           client.WithWatch
	copies, original chan queue // filled once each, when the controllers start
}

func newFeed(c client.WithWatch) *feed {
	return &feed{client: c, copies: make(chan queue, 1), original: make(chan queue, 1)}
}

// originals is the source of the controller of originals.
func (f *feed) originals(_ context.Context, q queue) error {
	f.original <- q
	return nil
}

// changed is the source of the controller of single copies.
func (f *feed) changed(_ context.Context, q queue) error {
	f.copies <- q
	return nil
}

// Start feeds the two queues until ctx ends.
func (f *feed) Start(ctx context.Context) error {
	var originals, copies queue
	for originals == nil || copies == nil {
		select {
		case <-ctx.Done():
			return nil
		case originals = <-f.original:
		case copies = <-f.copies:
		}
	}
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		version, err := f.list(ctx, originals)
		for err == nil && ctx.Err() == nil {
			version, err = f.follow(ctx, version, originals, copies)
		}
		if ctx.Err() == nil {
			ctrl.LoggerFrom(ctx).V(1).Info("the watch of copies starts again", "reason", err.Error())
		}
	}, reconnect)
	return nil
}

// list queues the originals of all copies, and returns the version to watch from.
func (f *feed) list(ctx context.Context, originals queue) (string, error) {
	list := newMetadataList()
	for {
		err := f.client.List(ctx, list, client.HasLabels{v1alpha1.CopiedLabelKey}, client.Limit(pageSize), client.Continue(list.Continue))
		if err != nil {
			return "", err
		}
		for i := range list.Items {
			originals.Add(originalOf(&list.Items[i]))
		}
		if list.Continue == "" {
			return list.ResourceVersion, nil
		}
	}
}

// follow queues what happens to copies until the watch ends, and returns the version
// from which another can go on.
func (f *feed) follow(ctx context.Context, version string, originals, copies queue) (string, error) {
	options := &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true}}
	w, err := f.client.Watch(ctx, newMetadataList(), client.HasLabels{v1alpha1.CopiedLabelKey}, options)
	if err != nil {
		return version, err
	}
	defer w.Stop()
	for event := range w.ResultChan() {
		copied, ok := event.Object.(*metav1.PartialObjectMetadata)
		if !ok {
			return version, apierrors.FromObject(event.Object)
		}
		version = copied.ResourceVersion
		switch event.Type {
		case watch.Modified:
			copies.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(copied)}, settle)
		case watch.Deleted:
			originals.AddAfter(originalOf(copied), settle)
		default:
		}
	}
	return version, nil
}

func originalOf(copied *metav1.PartialObjectMetadata) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKey{Namespace: copied.Labels[v1alpha1.CopiedLabelKey], Name: copied.Name}}
}
