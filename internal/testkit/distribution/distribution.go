// Package distribution runs the image registry that most registries are made
// of, in this process and in memory, for tests: with passwords or with tokens
// that expire, with or without TLS, and with a place to break things.
package distribution

import (
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	_ "github.com/distribution/distribution/v3/registry/auth/htpasswd" // passwords
	_ "github.com/distribution/distribution/v3/registry/auth/token"    // tokens
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory" // where it keeps things
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/sirupsen/logrus"
)

// Whom registries with passwords or tokens let in.
const (
	User     = "me"
	Password = "secret"
	// hash is that of Password, by bcrypt.
	hash = "$2a$04$05HvTM3s0Tww7fxT7lDl4OwwIR/FeBQtmbEYExdWWhcQ.R/YNy2ia"
)

// Options of a registry.
type Options struct {
	TLS       bool // CAFile is its authority
	Passwords bool // asks for User and Password
	Tokens    bool // asks for tokens, which it gives to User and Password
	// Wrap stands between clients and the registry; may be nil.
	Wrap func(registry http.Handler) http.Handler
}

// Registry is a running registry.
type Registry struct {
	Host   string
	CAFile string // of its certificate, if it has TLS

	server *httptest.Server
	tokens *tokenServer

	mu       sync.Mutex
	requests map[string]int
}

// Start starts a registry that ends with the test.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	logrus.SetOutput(io.Discard) // it logs what clients do wrong
	r := &Registry{requests: map[string]int{}}
	r.server = httptest.NewUnstartedServer(nil)
	r.Host = r.server.Listener.Addr().String()
	config := &configuration.Configuration{Storage: configuration.Storage{
		"inmemory":    configuration.Parameters{},
		"delete":      configuration.Parameters{"enabled": true},
		"maintenance": configuration.Parameters{"uploadpurging": map[any]any{"enabled": false}},
	}}
	config.HTTP.Secret = "secret"
	mux := http.NewServeMux()
	switch {
	case o.Passwords:
		config.Auth = configuration.Auth{"htpasswd": configuration.Parameters{"realm": "test", "path": write(t, "htpasswd", User+":"+hash+"\n")}}
	case o.Tokens:
		scheme := "http://"
		if o.TLS {
			scheme = "https://"
		}
		r.tokens = newTokenServer(t)
		config.Auth = configuration.Auth{"token": configuration.Parameters{
			"realm": scheme + r.Host + tokenPath, "issuer": issuer, "service": service, "jwks": write(t, "keys.json", r.tokens.keys()),
		}}
		mux.Handle(tokenPath, r.tokens)
	}
	var registry http.Handler = handlers.NewApp(t.Context(), config)
	if o.Wrap != nil {
		registry = o.Wrap(registry)
	}
	mux.Handle("/", r.counted(registry))
	r.server.Config.Handler = mux
	if o.TLS {
		r.server.StartTLS()
		r.CAFile = write(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.server.Certificate().Raw})))
	} else {
		r.server.Start()
	}
	t.Cleanup(r.server.Close)
	return r
}

func write(t testing.TB, file, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), file)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// counted notes requests by method and path.
func (r *Registry) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.requests[req.Method+" "+req.URL.Path]++
		r.mu.Unlock()
		h.ServeHTTP(w, req)
	})
}

// Requests returns how many requests there were of a method to paths that
// contain a text.
func (r *Registry) Requests(method, part string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for line, count := range r.requests {
		if strings.HasPrefix(line, method+" ") && strings.Contains(line, part) {
			n += count
		}
	}
	return n
}

// Push writes an image or an index to a place in the registry, such as
// team/catalog:v1, and returns its full name.
func (r *Registry) Push(t testing.TB, place string, what remote.Taggable) (ref string) {
	t.Helper()
	ref = r.Host + "/" + place
	parsed, err := name.ParseReference(ref)
	if err != nil {
		t.Fatal(err)
	}
	options := []remote.Option{
		remote.WithContext(t.Context()), remote.WithTransport(r.server.Client().Transport),
		remote.WithAuth(&authn.Basic{Username: User, Password: Password}),
	}
	switch what := what.(type) {
	case v1.ImageIndex:
		err = remote.WriteIndex(parsed, what, options...)
	case v1.Image:
		err = remote.Write(parsed, what, options...)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
