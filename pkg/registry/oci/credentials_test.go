package oci_test

import (
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"chandler.dev/olm/pkg/registry/oci"
)

func TestPullSecrets(t *testing.T) {
	c := oci.Credentials{}
	c.AddSecret("kubernetes.io/dockerconfigjson", map[string][]byte{".dockerconfigjson": []byte(`{"auths": {
		"https://registry.example.com/v1/": {"username": "host"},
		"registry.example.com/team": {"auth": "dGVhbTpzZWNyZXQ="},
		"*.example.org": {"username": "any"},
		"docker.io": {"username": "hub"}}}`)})
	c.AddSecret("kubernetes.io/dockercfg", map[string][]byte{".dockercfg": []byte(`{
		"registry.example.com": {"username": "too late"}, "old.example.net:5000": {"username": "old"}}`)})
	c.AddSecret("Opaque", map[string][]byte{".dockerconfigjson": []byte(`{"auths": {"opaque.example.com": {"username": "x"}}}`)})
	c.AddSecret("kubernetes.io/dockercfg", map[string][]byte{".dockercfg": []byte(`{`)})
	for image, want := range map[string]string{
		"registry.example.com/other/catalog:1":      "host",
		"registry.example.com/team/catalog:1":       "team",
		"registry.example.com/teams/catalog:1":      "host",
		"one.example.org/catalog":                   "any",
		"one.two.example.org/catalog":               "",
		"old.example.net:5000/catalog":              "old",
		"old.example.net/catalog":                   "",
		"busybox":                                   "hub",
		"opaque.example.com/catalog":                "",
		"registry.example.com.evil.example/catalog": "",
	} {
		ref, err := name.ParseReference(image)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := c.Resolve(ref.Context())
		if err != nil {
			t.Fatal(err)
		}
		got, err := auth.Authorization()
		if err != nil || got.Username != want {
			t.Errorf("for %s: user %q, %v, want %q", image, got.Username, err, want)
		}
	}
}
