package distribution

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	tokenPath = "/token"
	issuer    = "test"
	service   = "registry"
	keyID     = "key"
	keyBits   = 2048
	// leeway is how long the registry takes tokens after their end.
	leeway = time.Minute
)

// tokenServer gives tokens to who knows the password.
type tokenServer struct {
	key *rsa.PrivateKey

	mu     sync.Mutex
	given  int
	next   time.Duration // lifetime of the next token
	expire time.Time     // when the registry stops to take the short-lived one
}

func newTokenServer(t testing.TB) *tokenServer {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		t.Fatal(err)
	}
	return &tokenServer{key: key, next: time.Hour}
}

// keys returns the key that the registry trusts, as a JSON Web Key Set.
func (s *tokenServer) keys() string {
	e := big.NewInt(int64(s.key.E))
	return fmt.Sprintf(`{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":%q,"n":%q,"e":%q}]}`,
		keyID, base64.RawURLEncoding.EncodeToString(s.key.N.Bytes()), base64.RawURLEncoding.EncodeToString(e.Bytes()))
}

// ServeHTTP gives a token for the scopes that are asked for.
func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != User || password != Password {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	type access struct {
		Type    string   `json:"type"`
		Name    string   `json:"name"`
		Actions []string `json:"actions"`
	}
	granted := []access{}
	for _, scope := range r.URL.Query()["scope"] {
		if parts := strings.SplitN(scope, ":", 3); len(parts) == 3 {
			granted = append(granted, access{parts[0], parts[1], strings.Split(parts[2], ",")})
		}
	}
	n, end := s.give()
	claims := map[string]any{
		"iss": issuer, "aud": service, "sub": User, "exp": end.Unix(), "nbf": 0, "iat": 0, "jti": fmt.Sprint(n), "access": granted,
	}
	token, err := s.sign(claims)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"token": token})
}

// give returns the number of a token and its end. Whole seconds are what it can
// say; the registry adds its leeway.
func (s *tokenServer) give() (n int, end time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end = time.Now().Add(s.next - leeway).Truncate(time.Second).Add(time.Second)
	if s.next < time.Hour {
		s.next, s.expire = time.Hour, end.Add(leeway)
	}
	s.given++
	return s.given, end
}

func (s *tokenServer) sign(claims map[string]any) (string, error) {
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	head := fmt.Sprintf(`{"alg":"RS256","typ":"JWT","kid":%q}`, keyID)
	text := base64.RawURLEncoding.EncodeToString([]byte(head)) + "." + base64.RawURLEncoding.EncodeToString(body)
	digest := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, s.key, crypto.SHA256, digest[:])
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), err
}

// NextToken sets how long the next token is good for, up to a second longer.
// Others last an hour.
func (r *Registry) NextToken(lifetime time.Duration) {
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	r.tokens.next = lifetime
}

// AwaitExpiry waits until the registry no longer takes that token.
func (r *Registry) AwaitExpiry() {
	r.tokens.mu.Lock()
	expire := r.tokens.expire
	r.tokens.mu.Unlock()
	<-time.After(time.Until(expire) + time.Millisecond)
}
