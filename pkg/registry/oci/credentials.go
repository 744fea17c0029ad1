package oci

import (
	"encoding/json"
	"path"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
)

// Types of Secrets that hold credentials, and where in them.
const (
	secretDockerConfig      = "kubernetes.io/dockerconfigjson"
	secretDockerConfigKey   = ".dockerconfigjson"
	secretDockerConfigV0    = "kubernetes.io/dockercfg"
	secretDockerConfigV0Key = ".dockercfg"
)

// Credentials are those of registries or repositories, by name; the host may
// hold wildcards. They are a keychain.
type Credentials map[string]authn.AuthConfig

// AddSecret takes the credentials of a Secret in, in either form that kubelets
// know; other Secrets and what cannot be read hold none. Those that are known
// already stay.
func (c Credentials) AddSecret(secretType string, data map[string][]byte) {
	var file struct {
		Auths map[string]authn.AuthConfig `json:"auths"`
	}
	switch secretType {
	case secretDockerConfig:
		if json.Unmarshal(data[secretDockerConfigKey], &file) != nil {
			return
		}
	case secretDockerConfigV0:
		if json.Unmarshal(data[secretDockerConfigV0Key], &file.Auths) != nil {
			return
		}
	default:
		return
	}
	for name, auth := range file.Auths {
		name = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://"), "/")
		name = strings.TrimSuffix(strings.TrimSuffix(name, "/v1"), "/v2")
		if name == "docker.io" {
			name = "index.docker.io"
		}
		if _, known := c[name]; !known {
			c[name] = auth
		}
	}
}

// Resolve returns the credentials of the longest name that a resource begins
// with; a name without wildcards goes before one with.
func (c Credentials) Resolve(resource authn.Resource) (authn.Authenticator, error) {
	for name := resource.String(); name != ""; {
		if auth, ok := c.find(name); ok {
			return authn.FromConfig(auth), nil
		}
		cut := strings.LastIndex(name, "/")
		name = name[:max(cut, 0)]
	}
	return authn.Anonymous, nil
}

func (c Credentials) find(name string) (authn.AuthConfig, bool) {
	if auth, ok := c[name]; ok {
		return auth, true
	}
	best := ""
	for pattern := range c {
		if strings.Contains(pattern, "*") && matches(pattern, name) && pattern > best {
			best = pattern
		}
	}
	return c[best], best != ""
}

// matches compares the labels of the hosts one by one, and the paths as they are.
func matches(pattern, name string) bool {
	patternHost, patternPath, _ := strings.Cut(pattern, "/")
	host, namePath, _ := strings.Cut(name, "/")
	globs, labels := strings.Split(patternHost, "."), strings.Split(host, ".")
	if patternPath != namePath || len(globs) != len(labels) {
		return false
	}
	for i, glob := range globs {
		if ok, err := path.Match(glob, labels[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
