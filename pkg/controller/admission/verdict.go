package admission

import (
	"context"
	"fmt"
	"strings"

	operatorsv1 "github.com/operator-framework/api/pkg/operators/v1"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"k8s.io/apimachinery/pkg/types"
)

// Case is a plan about which somebody has to decide.
type Case struct {
	Plan    *v1alpha1.InstallPlan
	Bundles []Bundle
	// Group limits the plan to the rights of a ServiceAccount; nil if nothing does.
	Group *operatorsv1.OperatorGroup
	// Settled tells whether what needs a right was done before and stays as it is. It is
	// asked about needs with an Item only.
	Settled func(context.Context, Need) (bool, error)
}

// Bundle is a part of a plan that somebody asked for.
type Bundle struct {
	Name    string // of its ClusterServiceVersion
	Package string // empty if the plan does not say
	Catalog types.NamespacedName
	Needs   []Need
}

// Judgement is whose rights count for a bundle and what they lack. Missing is empty if
// the bundle may be installed.
type Judgement struct {
	Bundle  Bundle
	By      string // who lacks the rights; empty: nobody is on record
	Role    string // what they have to do with it, such as "who asked for it"
	Missing []Need
}

// Allowed tells whether the bundle may be installed.
func (j Judgement) Allowed() bool { return len(j.Missing) == 0 }

// Message says in one sentence what is missing, and in another what to do.
func (j Judgement) Message() string {
	what := fmt.Sprintf("%q needs rights", j.Bundle.Name)
	cure := "let somebody who has these rights approve the plan"
	if j.By == "" {
		return fmt.Sprintf("%s, and nobody is on record who asked for it; %s, or apply the Subscription again; needed: %s",
			what, cure, Describe(j.Missing))
	}
	return fmt.Sprintf("%s that user %q, %s, does not have: %s; %s", what, j.By, j.Role, Describe(j.Missing), cure)
}

// Message says what is missing for all of them.
func Message(refused []Judgement) string {
	texts := make([]string, 0, len(refused))
	for _, j := range refused {
		texts = append(texts, j.Message())
	}
	return strings.Join(texts, "; ")
}
