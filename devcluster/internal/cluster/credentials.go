package cluster

import (
	"encoding/base64"
	"fmt"
	"net"
	"os"

	"chandler.dev/olm/devcluster/internal/pki"
)

// credentials are the keys of one cluster. They live as long as its folder.
type credentials struct {
	authority *pki.Authority
	admin     pki.Pair
}

// server is the name of a server certificate and of its files.
const (
	etcdServer = "etcd"
	apiServer  = "apiserver"
)

// newCredentials makes everything that the components need and writes it to pki/ in the folder.
func newCredentials(f Folder, addresses []net.IP) (*credentials, error) {
	if err := os.MkdirAll(f.Path("pki"), 0o700); err != nil {
		return nil, fmt.Errorf("create pki: %w", err)
	}
	authority, err := pki.NewAuthority("devcluster")
	if err != nil {
		return nil, err
	}
	// The front proxy has an authority of its own: with a common one, every client could claim to be the proxy.
	proxyAuthority, err := pki.NewAuthority("devcluster-front-proxy")
	if err != nil {
		return nil, err
	}
	keys, err := pki.NewKeys()
	if err != nil {
		return nil, err
	}
	pairs := map[string]pki.Pair{
		"ca":               authority.Pair,
		"front-proxy-ca":   proxyAuthority.Pair,
		"service-accounts": keys,
	}
	issue := func(by *pki.Authority, name string, s pki.Subject) {
		if err == nil {
			pairs[name], err = by.Issue(s)
		}
	}
	issue(proxyAuthority, "front-proxy", pki.Subject{CommonName: frontProxy})
	issue(authority, "apiserver-kubelet", pki.Subject{CommonName: "apiserver", Organizations: []string{"system:masters"}})
	issue(authority, etcdServer, pki.Subject{CommonName: "etcd", DNSNames: []string{"localhost"}, IPs: []net.IP{loopback}})
	issue(authority, apiServer, pki.Subject{
		CommonName: "kube-apiserver",
		DNSNames: []string{
			"localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local",
		},
		IPs: append([]net.IP{loopback, serviceIP}, addresses...),
	})
	issue(authority, "admin", pki.Subject{CommonName: "admin", Organizations: []string{"system:masters"}})
	if err != nil {
		return nil, err
	}
	for name, pair := range pairs {
		if err := writeFile(f.Path("pki", name+".crt"), pair.Cert, 0o644); err != nil {
			return nil, err
		}
		if err := writeFile(f.Path("pki", name+".key"), pair.Key, 0o600); err != nil {
			return nil, err
		}
	}
	return &credentials{authority: authority, admin: pairs["admin"]}, nil
}

const kubeconfigFormat = `apiVersion: v1
kind: Config
clusters:
- name: %[1]s
  cluster:
    server: %[2]s
    certificate-authority-data: %[3]s
users:
- name: %[1]s-%[4]s
  user:
    client-certificate-data: %[5]s
    client-key-data: %[6]s
contexts:
- name: %[1]s
  context:
    cluster: %[1]s
    user: %[1]s-%[4]s
current-context: %[1]s
`

// kubeconfig returns a kubeconfig with embedded certificates.
func (c *credentials) kubeconfig(cluster, server, user string, pair pki.Pair) []byte {
	encode := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, kubeconfigFormat,
		cluster, server, encode(c.authority.Cert), user, encode(pair.Cert), encode(pair.Key))
}

// writeKubeconfig makes a certificate for the subject and writes a kubeconfig with it.
func (c *credentials) writeKubeconfig(path, cluster, server string, s pki.Subject) error {
	pair, err := c.authority.Issue(s)
	if err != nil {
		return err
	}
	return writeFile(path, c.kubeconfig(cluster, server, s.CommonName, pair), 0o600)
}
