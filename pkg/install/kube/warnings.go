package kube

import (
	"context"
	"sync"

	"k8s.io/client-go/rest"
)

// Warnings collects what the API server warned about while a context was in use.
type Warnings struct {
	mu    sync.Mutex
	texts []string
}

type warningsKey struct{}

// CollectWarnings returns a context whose requests tell their warnings to the
// result. It works with clients whose configuration went through HandleWarnings.
func CollectWarnings(ctx context.Context) (context.Context, *Warnings) {
	w := &Warnings{}
	return context.WithValue(ctx, warningsKey{}, w), w
}

// Texts returns the warnings in their order.
func (w *Warnings) Texts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.texts...)
}

// HandleWarnings makes the clients of cfg report warnings to CollectWarnings
// instead of the log.
func HandleWarnings(cfg *rest.Config) *rest.Config {
	out := rest.CopyConfig(cfg)
	out.WarningHandler = nil
	out.WarningHandlerWithContext = warningHandler{}
	return out
}

type warningHandler struct{}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (warningHandler) HandleWarningHeaderWithContext(ctx context.Context, code int, _, text string) {
	const kubernetesWarning = 299
	w, ok := ctx.Value(warningsKey{}).(*Warnings)
	if !ok || code != kubernetesWarning || text == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.texts = append(w.texts, text)
}
