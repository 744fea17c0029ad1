package kube

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/failure"
)

// kubeconfig is the part of such a file that leads to one cluster.
type kubeconfig struct {
	CurrentContext string `json:"current-context"`
	Contexts       []struct {
		Name    string
		Context struct{ Cluster, User string }
	}
	Clusters []struct {
		Name    string
		Cluster clusterEntry
	}
	Users []struct {
		Name string
		User userEntry
	}
}

type clusterEntry struct {
	Server        string
	CA            string `json:"certificate-authority"`
	CAData        []byte `json:"certificate-authority-data"`
	Insecure      bool   `json:"insecure-skip-tls-verify"`
	TLSServerName string `json:"tls-server-name"`
	ProxyURL      string `json:"proxy-url"`
}

type userEntry struct {
	Certificate     string `json:"client-certificate"`
	CertificateData []byte `json:"client-certificate-data"`
	Key             string `json:"client-key"`
	KeyData         []byte `json:"client-key-data"`
	Token           string
	TokenFile       string
	Username        string
	Password        string
	Exec            *execEntry
}

// execEntry is a program that makes credentials.
type execEntry struct {
	APIVersion string
	Command    string
	Args       []string
	Env        []struct{ Name, Value string }
}

// access is how an API server is reached.
type access struct {
	cluster clusterEntry
	user    userEntry
}

const accountDir = "/var/run/secrets/kubernetes.io/serviceaccount"

// accessOf finds a cluster by the rules of kubectl: the file that is named, the
// files of $KUBECONFIG, the one in the home directory, and the cluster that the
// program runs in.
func accessOf(file, kubeContext string) (access, error) {
	paths := filepath.SplitList(os.Getenv("KUBECONFIG"))
	named := file != "" || len(paths) > 0
	if file != "" {
		paths = []string{file}
	}
	if home, err := os.UserHomeDir(); err == nil && !named {
		paths = []string{filepath.Join(home, ".kube", "config")}
	}
	config, err := merged(paths)
	if err != nil && (file != "" || !errors.Is(err, os.ErrNotExist)) {
		return access{}, none("the kubeconfig cannot be read", err)
	}
	if len(config.Clusters) > 0 {
		return config.access(kubeContext)
	}
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" {
		return access{}, none("no cluster to talk to", err)
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return access{
		clusterEntry{Server: "https://" + host + ":" + cmp.Or(port, "443"), CA: filepath.Join(accountDir, "ca.crt")},
		userEntry{TokenFile: filepath.Join(accountDir, "token")},
	}, nil
}

func none(message string, err error) error {
	return &failure.Error{Kind: failure.Invalid, Message: message, Hint: "name a kubeconfig with --kubeconfig or $KUBECONFIG", Err: err}
}

// merged reads several files as one; what comes first goes first.
func merged(paths []string) (all kubeconfig, err error) {
	missing := os.ErrNotExist
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			missing = err
			continue
		}
		var one kubeconfig
		if err == nil {
			err = yaml.Unmarshal(text, &one)
		}
		if err != nil {
			return all, fmt.Errorf("%s: %w", path, err)
		}
		one.resolve(filepath.Dir(path))
		all.CurrentContext = cmp.Or(all.CurrentContext, one.CurrentContext)
		all.Contexts = append(all.Contexts, one.Contexts...)
		all.Clusters = append(all.Clusters, one.Clusters...)
		all.Users = append(all.Users, one.Users...)
	}
	if len(all.Clusters) == 0 {
		return all, missing
	}
	return all, nil
}

// resolve makes the paths in a file independent of where the program runs.
func (k *kubeconfig) resolve(dir string) {
	var all []*string
	for i := range k.Clusters {
		all = append(all, &k.Clusters[i].Cluster.CA)
	}
	for i := range k.Users {
		u := &k.Users[i].User
		all = append(all, &u.Certificate, &u.Key, &u.TokenFile)
		if u.Exec != nil && strings.ContainsRune(u.Exec.Command, filepath.Separator) {
			all = append(all, &u.Exec.Command)
		}
	}
	for _, path := range all {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
}

func (k *kubeconfig) access(name string) (a access, err error) {
	name = cmp.Or(name, k.CurrentContext)
	for _, c := range k.Contexts {
		if c.Name != name {
			continue
		}
		for _, cluster := range k.Clusters {
			if cluster.Name == c.Context.Cluster && a.cluster.Server == "" {
				a.cluster = cluster.Cluster
			}
		}
		for _, user := range k.Users {
			if user.Name == c.Context.User {
				a.user = user.User
				break
			}
		}
		break
	}
	if a.cluster.Server == "" {
		return a, none(fmt.Sprintf("the kubeconfig has no cluster for the context %q", name), nil)
	}
	return a, nil
}

// transport returns what sends requests with the credentials.
func (a access) transport() (http.RoundTripper, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: a.cluster.TLSServerName, InsecureSkipVerify: a.cluster.Insecure} //nolint:gosec // the kubeconfig says so
	ca, err := dataOf(a.cluster.CAData, a.cluster.CA)
	if err != nil {
		return nil, err
	}
	if len(ca) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(ca) {
			return nil, errors.New("the certificate authority of the cluster is no certificate")
		}
	}
	certificate, err := dataOf(a.user.CertificateData, a.user.Certificate)
	if err != nil {
		return nil, err
	}
	key, err := dataOf(a.user.KeyData, a.user.Key)
	if err != nil {
		return nil, err
	}
	if len(certificate) > 0 {
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	base := &http.Transport{
		TLSClientConfig: config, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
		TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}, // a silent peer is asked whether it lives
	}
	if a.cluster.ProxyURL != "" {
		proxy, err := url.Parse(a.cluster.ProxyURL)
		if err != nil {
			return nil, err
		}
		base.Proxy = http.ProxyURL(proxy)
	}
	return authorized{base, a.user}, nil
}

func dataOf(data []byte, file string) ([]byte, error) {
	if len(data) > 0 || file == "" {
		return data, nil
	}
	return os.ReadFile(file)
}

// authorized adds the credentials of a user, which may change, to requests.
type authorized struct {
	base http.RoundTripper
	user userEntry
}

func (t authorized) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	token, err := t.user.token(r.Context())
	switch {
	case err != nil:
		return nil, err
	case token != "":
		r.Header.Set("Authorization", "Bearer "+token)
	case t.user.Username != "":
		r.SetBasicAuth(t.user.Username, t.user.Password)
	}
	return t.base.RoundTrip(r)
}

// token returns the token of a user; empty if it has none. Files are read each
// time, because what is in them expires.
func (u userEntry) token(ctx context.Context) (string, error) {
	switch {
	case u.Exec != nil:
		return u.Exec.token(ctx)
	case u.TokenFile != "":
		text, err := os.ReadFile(u.TokenFile)
		return strings.TrimSpace(string(text)), err
	}
	return u.Token, nil
}

// token asks the program. Requests are few, so that it is asked for each.
func (e *execEntry) token(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, e.Command, e.Args...) //nolint:gosec // the kubeconfig says so
	cmd.Env = append(os.Environ(), fmt.Sprintf(`KUBERNETES_EXEC_INFO={"kind":"ExecCredential","apiVersion":%q,"spec":{"interactive":false}}`, e.APIVersion))
	for _, v := range e.Env {
		cmd.Env = append(cmd.Env, v.Name+"="+v.Value)
	}
	out, err := cmd.Output()
	var credential struct{ Status struct{ Token string } }
	if err == nil {
		err = json.Unmarshal(out, &credential)
	}
	if err != nil || credential.Status.Token == "" {
		return "", fmt.Errorf("the program %q of the kubeconfig gives no token: %w", e.Command, cmp.Or(err, errors.New("its answer has none")))
	}
	return credential.Status.Token, nil
}
