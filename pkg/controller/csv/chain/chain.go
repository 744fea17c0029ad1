// Package chain is about the other ClusterServiceVersions of a namespace: which of them one
// replaces and is replaced by, which of them has the better right to an API, and whether
// the one to be replaced lets itself be. It is pure.
package chain

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	operatorsv2 "github.com/operator-framework/api/pkg/operators/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"chandler.dev/olm/pkg/controller/csv/phase"
)

// Chain is the chain of replacements that a ClusterServiceVersion is part of.
type Chain struct {
	Predecessor phase.Relative
	Successor   phase.Relative
	Superseded  bool             // some version further up has Succeeded
	Ancestors   sets.Set[string] // existing ones that it replaces, directly or not

	kin sets.Set[string] // all of the chain, itself included
}

// Of finds the chain of csv among all of its namespace.
func Of(csv *v1alpha1.ClusterServiceVersion, all []v1alpha1.ClusterServiceVersion) Chain {
	byName := map[string]*v1alpha1.ClusterServiceVersion{}
	for i := range all {
		if !all[i].IsCopied() {
			byName[all[i].Name] = &all[i]
		}
	}
	byName[csv.Name] = csv
	c := Chain{Ancestors: sets.Set[string]{}, kin: sets.New(csv.Name)}
	for older := predecessor(csv, byName); older != nil && !c.kin.Has(older.Name); older = predecessor(older, byName) {
		if !c.Predecessor.Exists() {
			c.Predecessor = phase.Relative{Name: older.Name, Phase: older.Status.Phase}
		}
		c.kin.Insert(older.Name)
		c.Ancestors.Insert(older.Name)
	}
	for newer := successor(csv, byName); newer != nil && !c.kin.Has(newer.Name); newer = successor(newer, byName) {
		if !c.Successor.Exists() {
			c.Successor = phase.Relative{Name: newer.Name, Phase: newer.Status.Phase}
		}
		c.kin.Insert(newer.Name)
		c.Superseded = c.Superseded || newer.Status.Phase == v1alpha1.CSVPhaseSucceeded
	}
	return c
}

func predecessor(csv *v1alpha1.ClusterServiceVersion, byName map[string]*v1alpha1.ClusterServiceVersion) *v1alpha1.ClusterServiceVersion {
	if csv.Spec.Replaces == csv.Name {
		return nil
	}
	return byName[csv.Spec.Replaces]
}

// successor is what replaces csv. Of several it is one that is not being deleted, the first by name.
func successor(csv *v1alpha1.ClusterServiceVersion, byName map[string]*v1alpha1.ClusterServiceVersion) *v1alpha1.ClusterServiceVersion {
	var candidates []*v1alpha1.ClusterServiceVersion
	for _, other := range byName {
		if other.Spec.Replaces == csv.Name && other.Name != csv.Name && other.DeletionTimestamp.IsZero() {
			candidates = append(candidates, other)
		}
	}
	if len(candidates) == 0 {
		return nil
	}
	return slices.MinFunc(candidates, func(a, b *v1alpha1.ClusterServiceVersion) int { return cmp.Compare(a.Name, b.Name) })
}

// CRDConflict finds a ClusterServiceVersion outside the chain that owns a CRD of csv.
// Of two that wait, the older one goes first, so that not both fail.
func (c Chain) CRDConflict(csv *v1alpha1.ClusterServiceVersion, all []v1alpha1.ClusterServiceVersion) phase.Verdict {
	for i := range all {
		other := &all[i]
		if c.kin.Has(other.Name) || other.IsCopied() || !other.DeletionTimestamp.IsZero() || !precedes(other, csv) {
			continue
		}
		for _, crd := range csv.Spec.CustomResourceDefinitions.Owned {
			if other.OwnsCRD(crd.Name) {
				return phase.Verdict{Reason: v1alpha1.CSVReasonOwnerConflict, Message: fmt.Sprintf(
					"conflicting CRD owner in namespace: %q owns %q too; delete one of the two, or let one replace the other", other.Name, crd.Name)}
			}
		}
	}
	return phase.Verdict{}
}

// DeploymentConflict finds a ClusterServiceVersion outside the chain that runs a
// Deployment of the same name, one of takers. OLM lets the two overwrite each other for ever.
func (c Chain) DeploymentConflict(all []v1alpha1.ClusterServiceVersion, takers []string) phase.Verdict {
	for i := range all {
		if name := all[i].Name; slices.Contains(takers, name) && !c.kin.Has(name) && all[i].DeletionTimestamp.IsZero() {
			return phase.Verdict{Reason: v1alpha1.CSVReasonOwnerConflict, Message: fmt.Sprintf(
				"conflicting Deployment owner in namespace: %q runs a Deployment of the same name; delete one of the two, or let one replace the other", name)}
		}
	}
	return phase.Verdict{}
}

// precedes tells whether other has the better right to an API than csv.
func precedes(other, csv *v1alpha1.ClusterServiceVersion) bool {
	switch other.Status.Phase {
	case v1alpha1.CSVPhaseInstallReady, v1alpha1.CSVPhaseInstalling, v1alpha1.CSVPhaseSucceeded, v1alpha1.CSVPhaseReplacing:
		return true
	case v1alpha1.CSVPhaseDeleting:
		return false
	default:
		order := other.CreationTimestamp.Compare(csv.CreationTimestamp.Time)
		return order < 0 || order == 0 && other.Name < csv.Name
	}
}

// Gate says why the operator of condition refuses to be upgraded, empty if it does not.
// An administrator's override has the last word.
func Gate(condition *operatorsv2.OperatorCondition) string {
	if override := meta.FindStatusCondition(condition.Spec.Overrides, operatorsv2.Upgradeable); override != nil {
		if override.Status == metav1.ConditionTrue {
			return ""
		}
		return "the operator is not upgradeable: " + override.Message
	}
	said := meta.FindStatusCondition(condition.Status.Conditions, operatorsv2.Upgradeable)
	switch {
	case said == nil:
		return ""
	case said.ObservedGeneration != condition.Generation:
		return `the operatorcondition status "Upgradeable"="` + string(said.Status) + `" is outdated`
	case said.Status == metav1.ConditionFalse:
		return "the operator is not upgradeable: " + said.Message
	default:
		return ""
	}
}
