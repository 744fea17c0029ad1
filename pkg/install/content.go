// Package install decides how a bundle reaches a cluster: a Plan of ordered
// phases and what was observed give the next action. It performs no I/O; the
// folder kube talks to a cluster.
package install

// ContentRef says where the manifests of a plan step come from. Plans hold
// references, never content, so that no bundle is too large for a plan. A
// reference is written as JSON into a step's resource.manifest.
type ContentRef struct {
	Kind             string `json:"kind"` // always ContentRefKind
	CatalogName      string `json:"catalogName"`
	CatalogNamespace string `json:"catalogNamespace"`
	Package          string `json:"package"`
	Bundle           string `json:"bundle"`
	Digest           string `json:"digest"` // "sha256:<hex>" over the bundle's content; see ContentDigest
}

// ContentRefKind marks a manifest as a reference to content.
const ContentRefKind = "BundleContent"
