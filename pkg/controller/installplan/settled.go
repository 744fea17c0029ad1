package installplan

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// settledLimit bounds how many CustomResourceDefinitions are remembered.
const settledLimit = 4096

// settled remembers which manifests of a CustomResourceDefinition ask for no
// change of its spec, because it is what they say or comes from a newer
// version. It holds as long as the spec, and so its generation, is the same.
// Forgetting costs time, nothing else.
type settled struct {
	mu    sync.Mutex
	known map[string]settledCRD // by name
}

type settledCRD struct {
	uid        types.UID
	generation int64
	digests    map[string]bool
}

func (s *settled) put(live *metav1.ObjectMeta, digest string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.known[live.Name]
	if !ok || k.uid != live.UID || k.generation != live.Generation {
		k = settledCRD{uid: live.UID, generation: live.Generation, digests: map[string]bool{}}
	}
	k.digests[digest] = true
	if s.known == nil || len(s.known) >= settledLimit {
		s.known = map[string]settledCRD{}
	}
	s.known[live.Name] = k
}

// knows reports whether has may be true.
func (s *settled) knows(name, digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[name].digests[digest]
}

func (s *settled) has(live *metav1.ObjectMeta, digest string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[live.Name]
	return k.uid == live.UID && k.generation == live.Generation && k.digests[digest]
}

func digestOf(manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return hex.EncodeToString(sum[:])
}
