// Package expose lets the API server call the pods of a ClusterServiceVersion:
// it gives them certificates, and Services, webhooks, owned APIServices and
// conversions that lead to them, and keeps these as they must be. What they
// must be is decided in package serving, when it is time in package phase.
package expose

import (
	"context"
	"time"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"chandler.dev/olm/pkg/controller/csv/serving"
	"chandler.dev/olm/pkg/install/kube"
)

// Exposer exposes ClusterServiceVersions.
type Exposer struct {
	Client client.Client // reads from a cache
	Live   client.Reader // reads from the API server
	Full   *kube.Cluster // with the rights of the lifecycle
	Clock  clock.PassiveClock
}

// longestRest bounds how long a version with certificates is not looked at, so that
// a clock that was set does not let one expire.
const longestRest = 12 * time.Hour

// State is what the API server calls of one ClusterServiceVersion.
type State struct {
	Cluster   *kube.Cluster // with the rights that the OperatorGroup installs with
	endpoints []serving.Endpoint
	usable    map[string]serving.Certificate // by Deployment
	problem   map[string]serving.Problem     // by Deployment
	selector  *metav1.LabelSelector          // of the namespaces whose objects webhooks see
}

// CAHashes names the CAs by Deployment, for the Deployments' annotations.
func (s State) CAHashes() map[string]string {
	hashes := map[string]string{}
	for deployment, c := range s.usable {
		hashes[deployment] = c.Hash()
	}
	return hashes
}

// Rest is how long the certificates need no attention; zero if there are none.
func (s State) Rest(now time.Time) time.Duration {
	var rest time.Duration
	for _, c := range s.usable {
		until := max(min(c.RotateAt().Sub(now), longestRest), time.Second)
		if rest == 0 || until < rest {
			rest = until
		}
	}
	return rest
}

// Read reads the certificates of csv. Secrets come from the API server: those
// with certificates are few, and no others are to be in memory.
func (r *Exposer) Read(ctx context.Context, csv *v1alpha1.ClusterServiceVersion, group *operatorsv1.OperatorGroup) (State, error) {
	endpoints, err := serving.Endpoints(csv)
	if err != nil || len(endpoints) == 0 {
		return State{Cluster: r.Full}, err
	}
	s := State{Cluster: r.Full, endpoints: endpoints, usable: map[string]serving.Certificate{}, problem: map[string]serving.Problem{}}
	if group != nil {
		if s.selector, err = group.NamespaceLabelSelector(); err != nil {
			return State{}, err
		}
	}
	for _, e := range endpoints {
		secret := &corev1.Secret{}
		err := r.Live.Get(ctx, client.ObjectKey{Namespace: csv.Namespace, Name: e.Secret()}, secret)
		if apierrors.IsNotFound(err) {
			secret, err = nil, nil
		}
		if err != nil {
			return State{}, err
		}
		c, problem := serving.Read(secret, e.Hosts(csv.Namespace), r.Clock.Now())
		if problem != serving.Fine {
			s.problem[e.Deployment] = problem
		}
		if problem == serving.Fine || problem == serving.Expiring {
			s.usable[e.Deployment] = c
		}
	}
	return s, nil
}
