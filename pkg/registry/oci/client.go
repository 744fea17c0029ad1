package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"chandler.dev/olm/pkg/failure"
)

const (
	// maxDocument bounds manifests, configurations and all else that is held in
	// memory. Registries take manifests of 4 MB.
	maxDocument = 8 << 20
	// headerTimeout bounds the wait for the beginning of an answer.
	headerTimeout = time.Minute
)

// backoff is how requests are repeated that a registry does not answer, or
// answers with what will pass. It takes two seconds until it gives up.
var backoff = remote.Backoff{Steps: 4, Duration: 150 * time.Millisecond, Factor: 3, Jitter: 0.2}

// remote returns the options of the registry client.
func (o Options) remote(ctx context.Context) ([]remote.Option, error) {
	keychain := o.Keychain
	if keychain == nil {
		keychain = authn.DefaultKeychain
	}
	base, _ := remote.DefaultTransport.(*http.Transport) // it is one
	base = base.Clone()
	base.ResponseHeaderTimeout = headerTimeout
	if o.CAFile != "" {
		pool, err := authorities(o.CAFile)
		if err != nil {
			return nil, err
		}
		base.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	return []remote.Option{
		remote.WithContext(ctx), remote.WithAuthFromKeychain(keychain), remote.WithTransport(bounded{base}), remote.WithRetryBackoff(backoff),
	}, nil
}

// authorities returns those of the system and those of a file.
func authorities(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, failure.New(failure.Invalid, "cannot read the authorities of the registry: %v", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, failure.New(failure.Invalid, "%q holds no certificate", file)
	}
	return pool, nil
}

// bounded reads what is no blob at once: within a limit, and verified if it was
// asked for by digest.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(req)
	if err != nil || req.Method != http.MethodGet || strings.Contains(req.URL.Path, "/blobs/") || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if len(text) > maxDocument {
		return nil, failure.New(failure.Invalid, "an answer of the registry is larger than %d MiB", maxDocument>>20).
			WithHint("it is no manifest of an image")
	}
	if _, want, ok := strings.Cut(req.URL.Path, "/manifests/"); ok {
		if got := digestOf(want, text); got != "" && got != want {
			return nil, &mismatch{what: "manifest", want: want, got: got}
		}
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

// digestOf returns the digest of a text, by the algorithm of another digest;
// empty if that is none, but a tag.
func digestOf(like string, text []byte) string {
	algorithm, _, _ := strings.Cut(like, ":")
	sum := hasher(algorithm)
	if sum == nil {
		return ""
	}
	_, _ = sum.Write(text) // it never fails
	return algorithm + ":" + hex.EncodeToString(sum.Sum(nil))
}

func hasher(algorithm string) hash.Hash {
	switch algorithm {
	case "sha256":
		return sha256.New()
	case "sha512":
		return sha512.New()
	}
	return nil
}

// mismatch is content that is not what its name says.
type mismatch struct {
	what, want, got string
}

func (m *mismatch) Error() string {
	return fmt.Sprintf("the %s %s has another content, of the digest %s", m.what, m.want, m.got)
}

// classify says who can cure what registries answer. The last cause is that of
// the place that the reference itself names.
func classify(ref string, causes ...error) error {
	last := causes[len(causes)-1]
	if _, ok := errors.AsType[*failure.Error](last); ok || last == nil {
		return last
	}
	e := failure.New(failure.Waiting, "cannot pull %q", ref).
		WithHint("check the network and the name of the registry; --plain-http and --registry-ca change how it is reached")
	if _, ok := errors.AsType[x509.UnknownAuthorityError](last); ok {
		e.Hint = "the certificate of the registry is not trusted; give its authority with --registry-ca"
	} else if t, ok := errors.AsType[*transport.Error](last); ok {
		e = answered(ref, t.StatusCode)
	} else if m, ok := errors.AsType[*mismatch](last); ok {
		e = failure.New(failure.Waiting, "cannot pull %q: %s", ref, m.Error()).
			WithHint("the registry, or a proxy in front of it, serves something else")
		causes = causes[:len(causes)-1]
	}
	e.Err = errors.Join(causes...)
	return e
}

func answered(ref string, status int) *failure.Error {
	switch status {
	case http.StatusNotFound:
		return failure.New(failure.NotFound, "there is no image %q", ref).WithHint("check the repository and the tag")
	case http.StatusUnauthorized, http.StatusForbidden:
		return failure.New(failure.Blocked, "the registry does not let you read %q", ref).WithHint("log in with a tool that writes the docker configuration")
	case http.StatusTooManyRequests:
		return failure.New(failure.Waiting, "the registry refuses %q: too many requests", ref).WithHint("try again later, log in, or use a mirror")
	}
	return failure.New(failure.Waiting, "the registry cannot serve %q, it answers with status %d", ref, status).WithHint("try again later, or use a mirror")
}
