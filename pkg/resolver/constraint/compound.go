package constraint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"chandler.dev/olm/pkg/registry"
)

// Limits of an olm.constraint.
const (
	maxSize  = 128 << 10 // bytes
	maxDepth = 100       // constraints in constraints
)

var errEmpty = errors.New("constraint is empty")

// value is the JSON of an olm.constraint. Unknown fields are refused: a
// constraint that is understood in part would allow what it forbids.
type value struct {
	FailureMessage string        `json:"failureMessage,omitempty"`
	GVK            *gvkValue     `json:"gvk,omitempty"`
	Package        *packageValue `json:"package,omitempty"`
	All            *partsValue   `json:"all,omitempty"`
	Any            *partsValue   `json:"any,omitempty"`
	Not            *partsValue   `json:"not,omitempty"`
	Cel            *celValue     `json:"cel,omitempty"`
}

type gvkValue struct {
	Group   string `json:"group"`
	Kind    string `json:"kind"`
	Version string `json:"version"`
}

type partsValue struct {
	Constraints []value `json:"constraints"`
}

type celValue struct {
	Rule string `json:"rule"`
}

func parseConstraint(raw []byte) (Predicate, error) {
	if len(raw) > maxSize {
		return nil, fmt.Errorf("olm.constraint is %d bytes long, the limit is %d", len(raw), maxSize)
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var v value
	if err := decoder.Decode(&v); err != nil {
		return nil, err
	}
	return v.predicate(maxDepth)
}

// predicate converts the value. Of several members the first in this order
// counts, as in the existing resolver.
func (v value) predicate(levels int) (Predicate, error) {
	p, err := v.member(levels)
	if err != nil || v.FailureMessage == "" {
		return p, err
	}
	return explained{p, v.FailureMessage}, nil
}

func (v value) member(levels int) (Predicate, error) {
	switch {
	case levels == 0:
		return nil, fmt.Errorf("olm.constraint has more than %d levels", maxDepth)
	case v.GVK != nil:
		return gvkPredicate{registry.GVK{Group: v.GVK.Group, Version: v.GVK.Version, Kind: v.GVK.Kind}}, nil
	case v.Package != nil:
		return newPackage(*v.Package)
	case v.All != nil:
		return newCompound("all", v.All.Constraints, levels-1)
	case v.Any != nil:
		return newCompound("any", v.Any.Constraints, levels-1)
	case v.Not != nil:
		return newCompound("not", v.Not.Constraints, levels-1)
	case v.Cel != nil:
		return newCEL(v.Cel.Rule)
	default:
		return nil, errEmpty
	}
}

func newCompound(kind string, values []value, levels int) (Predicate, error) {
	if len(values) == 0 {
		return nil, errEmpty
	}
	parts := make([]Predicate, len(values))
	for i, v := range values {
		p, err := v.predicate(levels)
		if err != nil {
			return nil, err
		}
		parts[i] = p
	}
	return compound{kind, parts}, nil
}
