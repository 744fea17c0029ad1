package authority

import (
	"context"
	"strings"
	"sync"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/utils/clock"

	"chandler.dev/olm/pkg/controller/admission"
)

// masterLifetime is how long an answer about somebody who may do anything counts.
const masterLifetime = 10 * time.Second

// masters remembers for a moment who may do anything, so that an administrator who asks
// for a hundred operators is asked about once.
type masters struct {
	clock clock.PassiveClock
	mu    sync.Mutex
	until map[string]time.Time
}

func (m *masters) is(ctx context.Context, who admission.Record, review func(context.Context, admission.Record, authorizationv1.SubjectAccessReviewSpec) (bool, error)) (bool, error) {
	key := who.Username + "\n" + who.UID + "\n" + strings.Join(who.Groups, "\n")
	m.mu.Lock()
	until, known := m.until[key]
	m.mu.Unlock()
	if known && m.clock.Now().Before(until) {
		return true, nil
	}
	anything := rbacv1.PolicyRule{Verbs: []string{rbacv1.VerbAll}, APIGroups: []string{rbacv1.APIGroupAll}, Resources: []string{rbacv1.ResourceAll}}
	allowed, err := review(ctx, who, spec("", anything))
	if err != nil || !allowed {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.until == nil || len(m.until) > 1000 {
		m.until = map[string]time.Time{}
	}
	m.until[key] = m.clock.Now().Add(masterLifetime)
	return true, nil
}
