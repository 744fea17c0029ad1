package inventory

import (
	"context"
	"strings"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Kinds asks the API server which kinds it serves in a group version; none if
// it does not serve that.
type Kinds func(schema.GroupVersion) ([]string, error)

// Discover returns the Kinds of an API server.
func Discover(d discovery.ServerResourcesInterface) Kinds {
	return func(version schema.GroupVersion) ([]string, error) {
		list, err := d.ServerResourcesForGroupVersion(version.String())
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		var kinds []string
		for _, r := range list.APIResources {
			if !strings.Contains(r.Name, "/") { // subresources speak of other kinds
				kinds = append(kinds, r.Kind)
			}
		}
		return kinds, nil
	}
}

// Read returns what a cluster has at one moment, for who asks once. Definitions are not listed: the
// API server is asked for the kinds of the group versions that matter. Without
// the right to read something it counts as not there.
func Read(ctx context.Context, reader client.Reader, kinds Kinds) (*Inventory, error) {
	i := New(kinds)
	var groups operatorsv1.OperatorGroupList
	if err := reader.List(ctx, &groups); err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	for n := range groups.Items {
		i.Grouped(&groups.Items[n])
	}
	var servers apiregistrationv1.APIServiceList
	if err := reader.List(ctx, &servers); err != nil && !apierrors.IsForbidden(err) {
		return nil, err
	}
	for n := range servers.Items {
		i.register(&servers.Items[n])
	}
	return i, nil
}
