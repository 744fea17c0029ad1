package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chandler.dev/olm/pkg/failure"
	"chandler.dev/olm/pkg/hosting"
)

// apiServer answers requests from a script.
type apiServer struct {
	mu       sync.Mutex
	requests []string
	answers  map[string][]func(http.ResponseWriter) // by path, one after the other; the last stays
}

func (s *apiServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	query := r.URL.Query()
	query.Del("timeoutSeconds")
	s.requests = append(s.requests, r.URL.Path+"?"+query.Encode()+" "+r.Header.Get("Authorization"))
	answers := s.answers[r.URL.Path]
	if len(answers) > 1 {
		s.answers[r.URL.Path] = answers[1:]
	}
	s.mu.Unlock()
	if len(answers) == 0 {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	answers[0](w)
}

func text(lines ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { _, _ = fmt.Fprintln(w, strings.Join(lines, "\n")) }
}

func code(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

// connect returns the cluster of a server, over a kubeconfig.
func connect(t *testing.T, s *apiServer, user string) *Cluster {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}], clusters: [{name: k, cluster: {server: %q}}], users: [{name: u, user: %s}]}`, server.URL, user)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cluster, err := Connect(file, "", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return cluster
}

func source(name, version string) string {
	return fmt.Sprintf(`{"metadata":{"namespace":"ns","name":%q,"resourceVersion":%q},"spec":{"sourceType":"grpc","image":"i"}}`, name, version)
}

// TestCatalogs follows CatalogSources through pages, changes, the end of a watch,
// a version that is too old, and an API server that is away.
func TestCatalogs(t *testing.T) {
	s := &apiServer{answers: map[string][]func(http.ResponseWriter){catalogSources: {
		code(http.StatusServiceUnavailable),
		text(`{"metadata":{"resourceVersion":"5","continue":"next"},"items":[` + source("a", "1") + `]}`),
		text(`{"metadata":{"resourceVersion":"5"},"items":[` + source("b", "2") + `]}`),
		text(
			`{"type":"ADDED","object":`+source("c", "6")+`}`,
			`{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"7"}}}`,
			`{"type":"DELETED","object":`+source("a", "8")+`}`,
		),
		text(`{"type":"MODIFIED","object":{"metadata":{"namespace":"ns","name":"b","resourceVersion":"9"},"spec":{"sourceType":"grpc","address":"a:1"}}}`,
			`{"type":"ERROR","object":{"code":410,"reason":"Expired"}}`),
		text(`{"metadata":{"resourceVersion":"20"},"items":[` + source("d", "3") + `]}`),
		code(http.StatusInternalServerError),
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []string
	err := connect(t, s, "{}").Catalogs(ctx, func(all []hosting.Request) {
		var names []string
		for _, r := range all {
			names = append(names, r.Name)
		}
		slices.Sort(names)
		if got = append(got, strings.Join(names, " ")); len(got) == 5 {
			cancel()
		}
	})
	if diff := cmp.Diff([]string{"a b", "a b c", "b c", "c", "d"}, got); err != nil || diff != "" {
		t.Errorf("Catalogs() %v (-want +got):\n%s", err, diff)
	}
	watch := catalogSources + "?allowWatchBookmarks=true&resourceVersion=%s&watch=1 "
	list := catalogSources + "?limit=500 "
	want := []string{
		list, list, catalogSources + "?continue=next&limit=500 ", fmt.Sprintf(watch, "5"), fmt.Sprintf(watch, "8"), list,
	}
	if diff := cmp.Diff(want, s.requests); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestConfigMap(t *testing.T) {
	const path = "/api/v1/namespaces/ns/configmaps"
	object := func(version, value string) string {
		return fmt.Sprintf(`{"metadata":{"name":"c","resourceVersion":%q},"data":{"k":%q}}`, version, value)
	}
	s := &apiServer{answers: map[string][]func(http.ResponseWriter){path: {
		text(`{"metadata":{"resourceVersion":"5"},"items":[]}`),
		text(`{"type":"ADDED","object":`+object("6", "one")+`}`, `{"type":"MODIFIED","object":`+object("7", "two")+`}`, `{"type":"DELETED","object":`+object("8", "two")+`}`),
		text(`{"type":"ADDED","object":{"metadata":{"name":"c","resourceVersion":"9"}}}`),
		code(http.StatusInternalServerError),
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got []map[string]string
	cluster := connect(t, s, "{}")
	_ = cluster.ConfigMap(ctx, "ns", "c", func(data map[string]string) {
		if got = append(got, data); len(got) == 5 {
			cancel()
		}
	})
	want := []map[string]string{nil, {"k": "one"}, {"k": "two"}, nil, {}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("ConfigMap() (-want +got):\n%s", diff)
	}
	if want := path + "?fieldSelector=metadata.name%3Dc&limit=500 "; s.requests[0] != want {
		t.Errorf("the first request is %s, want %s", s.requests[0], want)
	}
	ctx, cancel = context.WithCancel(t.Context())
	before := len(s.requests)
	_ = cluster.ConfigMap(ctx, "ns", "c,metadata.name!=x", func(data map[string]string) {
		if data != nil {
			t.Errorf("a name that is none has data %v", data)
		}
		cancel()
	})
	if len(s.requests) != before {
		t.Errorf("a name that is none was asked for: %v", s.requests[before:])
	}
}

// TestSecrets reads the secrets of one namespace and no others, whatever a user
// calls them.
func TestSecrets(t *testing.T) {
	secret := func(user string) func(http.ResponseWriter) {
		raw, err := json.Marshal(map[string]any{"metadata": map[string]any{"name": "x"}, "type": "kubernetes.io/dockercfg", "data": map[string][]byte{".dockercfg": []byte(user)}})
		if err != nil {
			t.Fatal(err)
		}
		return text(string(raw))
	}
	const in = "/api/v1/namespaces/ns/"
	s := &apiServer{answers: map[string][]func(http.ResponseWriter){
		in + "serviceaccounts/my.catalog":      {text(`{"imagePullSecrets":[{"name":"account"},{"name":"mine"},{"name":""}]}`)},
		in + "secrets/mine":                    {secret("mine")},
		in + "secrets/account":                 {secret("account")},
		in + "secrets/hidden":                  {code(http.StatusForbidden)},
		in + "secrets/broken":                  {code(http.StatusInternalServerError)},
		"/api/v1/namespaces/other/secrets/own": {secret("of others")},
	}}
	cluster := connect(t, s, "{token: t}")
	r := hosting.Request{Namespace: "ns", Name: "my.catalog", Secrets: []string{"mine", "hidden", "gone", "../../other/secrets/own", "..", "a/b", "own?namespace=other"}}
	found, absent, err := cluster.Secrets(t.Context(), r)
	want := []hosting.Secret{
		{Name: "mine", Type: "kubernetes.io/dockercfg", Data: map[string][]byte{".dockercfg": []byte("mine")}},
		{Name: "account", Type: "kubernetes.io/dockercfg", Data: map[string][]byte{".dockercfg": []byte("account")}},
	}
	if diff := cmp.Diff(want, found); err != nil || diff != "" {
		t.Errorf("Secrets() %v (-want +got):\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"hidden", "gone", "../../other/secrets/own", "..", "a/b", "own?namespace=other"}, absent); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
	for _, request := range s.requests {
		if !strings.HasPrefix(request, in) || !strings.HasSuffix(request, "? Bearer t") {
			t.Errorf("request %s", request)
		}
	}
	r.Secrets = []string{"broken"}
	if _, _, err := cluster.Secrets(t.Context(), r); failure.KindOf(err) != failure.Waiting {
		t.Errorf("a secret that cannot be read now: %v, want kind Waiting", err)
	}
}

func TestCredentials(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "token")
	program := filepath.Join(dir, "program")
	script := "#!/bin/sh\necho \"{\\\"status\\\":{\\\"token\\\":\\\"$1-$NAME\\\"}}\"\n"
	if err := os.WriteFile(program, []byte(script), 0o700); err != nil { //nolint:gosec // it is a program
		t.Fatal(err)
	}
	for user, want := range map[string]string{
		"{}":                         "",
		"{token: t}":                 "Bearer t",
		"{username: u, password: p}": "Basic dTpw",
		"{tokenFile: " + file + "}":  "Bearer second",
		"{exec: {command: " + program + ", args: [made], env: [{name: NAME, value: here}]}}": "Bearer made-here",
	} {
		s := &apiServer{}
		cluster := connect(t, s, user)
		for _, token := range []string{"first\n", "second\n"} {
			if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
				t.Fatal(err)
			}
			_ = cluster.client.get(t.Context(), "/x", nil, nil)
		}
		if got := s.requests[len(s.requests)-1]; got != "/x? "+want {
			t.Errorf("a user %s asks %q, want %q", user, got, want)
		}
	}
}

func TestConnect(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	one := write("one", `{current-context: a, contexts: [{name: a, context: {cluster: a}}, {name: b, context: {cluster: b}}], clusters: [{name: a, cluster: {server: "http://a"}}]}`)
	two := write("two", `{current-context: b, clusters: [{name: b, cluster: {server: "http://b/"}}]}`)
	broken := write("broken", "{")
	tests := map[string]struct {
		env, file, context string
		inCluster          bool
		want               string // empty if there is no cluster
	}{
		"a file":                             {file: one, want: "http://a"},
		"a file goes before the environment": {file: one, env: two, want: "http://a"},
		"the environment":                    {env: one, want: "http://a"},
		"several files":                      {env: one + ":" + two, context: "b", want: "http://b"},
		"a file that is not there":           {file: filepath.Join(dir, "none")},
		"one of several that is not there":   {env: filepath.Join(dir, "none") + ":" + one, want: "http://a"},
		"a broken file":                      {file: broken, inCluster: true},
		"an unknown context":                 {file: one, context: "z"},
		"a context without its cluster":      {file: one, context: "b"},
		"nothing":                            {},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", tt.env)
			t.Setenv("HOME", dir)
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			if tt.inCluster {
				t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
			}
			cluster, err := Connect(tt.file, tt.context, slog.New(slog.DiscardHandler))
			if tt.want == "" {
				if failure.KindOf(err) != failure.Invalid {
					t.Errorf("Connect() = %v, want kind Invalid", err)
				}
				return
			}
			if err != nil || cluster.client.base != tt.want {
				t.Errorf("Connect() = %v, %v, want %s", cluster, err, tt.want)
			}
		})
	}
}

func TestInCluster(t *testing.T) {
	t.Setenv("KUBECONFIG", "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "6443")
	got, err := accessOf("", "")
	if err != nil || got.cluster.Server != "https://[fd00::1]:6443" || got.user.TokenFile == "" || got.cluster.CA == "" {
		t.Errorf("accessOf() = %+v, %v", got, err)
	}
}
