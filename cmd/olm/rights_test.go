package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"chandler.dev/olm/pkg/failure"
)

// TestOldClusters expects a sentence from a cluster that cannot record who asks.
func TestOldClusters(t *testing.T) {
	kind := admissionv1.SchemeGroupVersion.WithKind("MutatingAdmissionPolicy")
	old, current := meta.NewDefaultRESTMapper(nil), meta.NewDefaultRESTMapper([]schema.GroupVersion{kind.GroupVersion()})
	current.Add(kind, meta.RESTScopeRoot)
	tests := map[string]struct {
		rights string
		mapper meta.RESTMapper
		want   failure.Kind
	}{
		"enforced on an old one":     {rightsEnforce, old, failure.Blocked},
		"only warned on an old one":  {rightsWarn, old, ""},
		"enforced on a current one":  {rightsEnforce, current, ""},
		"turned off on a current on": {rightsOff, current, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := controllerOptions{rights: tt.rights}.canRecord(tt.mapper)
			if (err != nil) != (tt.want != "") || err != nil && failure.KindOf(err) != tt.want {
				t.Errorf("canRecord() = %v, want kind %q", err, tt.want)
			}
		})
	}
	cl := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return &meta.NoKindMatchError{GroupKind: kind.GroupKind()}
		},
	}).Build()
	var out bytes.Buffer
	if err := ensurePolicies(t.Context(), cl, &out, setupOptions{}); err != nil || !strings.Contains(out.String(), "--rights=warn") {
		t.Errorf("ensurePolicies() = %v and says %q, want what to do", err, out.String())
	}
}
