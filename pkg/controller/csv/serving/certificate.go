package serving

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"

	"chandler.dev/olm/pkg/install/render"
)

const (
	// CAKey is the key of a serving Secret that holds the CAs to trust, the newest first.
	CAKey = "olmCAKey"

	validity     = 730 * 24 * time.Hour
	rotateBefore = 24 * time.Hour
	organization = "Red Hat, Inc." // as v0 writes it; tools find our certificates by it
)

// Certificate is the content of a serving Secret.
type Certificate struct {
	CA   []byte // PEM; one or two CAs
	Cert []byte // PEM
	Key  []byte // PEM, EC PRIVATE KEY
	// NotAfter is when the first of certificate and CA expires.
	NotAfter time.Time
}

// Data returns the data of the Secret.
func (c Certificate) Data() map[string][]byte {
	return map[string][]byte{corev1.TLSCertKey: c.Cert, corev1.TLSPrivateKeyKey: c.Key, CAKey: c.CA}
}

// RotateAt is when the certificate is to be replaced.
func (c Certificate) RotateAt() time.Time { return c.NotAfter.Add(-rotateBefore) }

// Hash names the CAs in annotations.
func (c Certificate) Hash() string { return render.CAHash(c.CA) }

// Problem is why a certificate cannot be used; empty if it can.
type Problem string

const (
	Fine      Problem = ""
	Absent    Problem = "does not exist"
	Malformed Problem = "cannot be read"
	Unfit     Problem = "was not made for this service"
	Expiring  Problem = "expires within a day"
)

// Read reads the certificate of a Secret and judges it for hosts at the time now.
func Read(secret *corev1.Secret, hosts []string, now time.Time) (Certificate, Problem) {
	if secret == nil {
		return Certificate{}, Absent
	}
	c := Certificate{CA: secret.Data[CAKey], Cert: secret.Data[corev1.TLSCertKey], Key: secret.Data[corev1.TLSPrivateKeyKey]}
	ca, err := parse(c.CA)
	if err != nil {
		return Certificate{}, Malformed
	}
	cert, err := parse(c.Cert)
	if err != nil || len(c.Key) == 0 {
		return Certificate{}, Malformed
	}
	c.NotAfter = ca.NotAfter
	if cert.NotAfter.Before(c.NotAfter) {
		c.NotAfter = cert.NotAfter
	}
	if !now.Before(c.RotateAt()) || now.Before(ca.NotBefore) || now.Before(cert.NotBefore) {
		return c, Expiring
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, host := range hosts {
		if _, err := cert.Verify(x509.VerifyOptions{DNSName: host, Roots: roots, CurrentTime: now}); err != nil {
			return c, Unfit
		}
	}
	return c, Fine
}

// Issue makes a CA, used once, and a certificate for hosts. The CA of previous stays
// trusted, so that pods which still serve with their old certificate are answered.
func Issue(hosts []string, now time.Time, previous Certificate) (Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 63))
	if err != nil {
		return Certificate{}, err
	}
	name := pkix.Name{CommonName: fmt.Sprintf("olm-selfsigned-%x", serial), Organization: []string{organization}}
	notBefore, notAfter := now.Add(-time.Minute).UTC().Truncate(time.Second), now.Add(validity).UTC().Truncate(time.Second)
	ca := &x509.Certificate{
		SerialNumber: serial, Subject: name, NotBefore: notBefore, NotAfter: notAfter,
		IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return Certificate{}, err
	}
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: hosts[0], Organization: []string{organization}},
		NotBefore:    notBefore, NotAfter: notAfter, DNSNames: hosts,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return Certificate{}, err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return Certificate{}, err
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return Certificate{}, err
	}
	return Certificate{
		CA:       append(encode("CERTIFICATE", caDER), stillTrusted(previous.CA, now)...),
		Cert:     encode("CERTIFICATE", der),
		Key:      encode("EC PRIVATE KEY", keyDER),
		NotAfter: notAfter,
	}, nil
}

// stillTrusted returns the first CA of bundle unless it has expired.
func stillTrusted(bundle []byte, now time.Time) []byte {
	ca, err := parse(bundle)
	if err != nil || now.After(ca.NotAfter) {
		return nil
	}
	return encode("CERTIFICATE", ca.Raw)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// parse reads the first certificate of some PEM.
func parse(content []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(bytes.TrimSpace(content))
	if block == nil {
		return nil, fmt.Errorf("no PEM block")
	}
	return x509.ParseCertificate(block.Bytes)
}
