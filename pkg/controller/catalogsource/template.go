package catalogsource

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/blang/semver/v4"
	"github.com/google/go-containerregistry/pkg/name"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// annotationTemplate holds the name of an image with variables in it.
const annotationTemplate = "olm.catalogImageTemplate"

// Conditions of a catalog whose image comes from a template.
const (
	conditionTemplates = "TemplatesHaveResolved"
	conditionImage     = "ResolvedImage"
	reasonResolved     = "AllTemplatesResolved"
	reasonUnresolved   = "UnableToResolve"
)

// resolved is an image template with values in place of its variables.
type resolved struct {
	image      string
	unresolved []string // variables whose value is not known, sorted
	malformed  bool     // what is left is no name of an image
}

var templateVariable = regexp.MustCompile(`\{kube_(major|minor|patch)_version\}`)

// resolveTemplate puts the version of the cluster into a template; an empty
// version is an unknown one.
func resolveTemplate(template, kubeVersion string) resolved {
	version, err := semver.ParseTolerant(kubeVersion)
	values := map[string]string{}
	if err == nil {
		for variable, number := range map[string]uint64{"major": version.Major, "minor": version.Minor, "patch": version.Patch} {
			values["{kube_"+variable+"_version}"] = strconv.FormatUint(number, 10)
		}
	}
	var r resolved
	r.image = templateVariable.ReplaceAllStringFunc(template, func(variable string) string {
		value, known := values[variable]
		if !known {
			r.unresolved = append(r.unresolved, strings.Trim(variable, "{}"))
		}
		return cmp.Or(value, "missing")
	})
	slices.Sort(r.unresolved)
	r.unresolved = slices.Compact(r.unresolved)
	_, err = name.ParseReference(r.image)
	r.malformed = strings.ContainsAny(r.image, "{}") || len(r.unresolved) == 0 && err != nil
	return r
}

// ok reports whether the image can be used.
func (r resolved) ok() bool { return len(r.unresolved) == 0 && !r.malformed }

// conditions say what has become of the template, in the words of existing tools.
func (r resolved) conditions() []metav1.Condition {
	if r.ok() {
		return []metav1.Condition{
			{Type: conditionTemplates, Status: metav1.ConditionTrue, Reason: reasonResolved, Message: "catalog image reference was successfully resolved"},
			{Type: conditionImage, Status: metav1.ConditionTrue, Reason: reasonResolved, Message: r.image},
		}
	}
	var quoted []string
	for _, variable := range r.unresolved {
		quoted = append(quoted, fmt.Sprintf("%q", variable))
	}
	var causes []string
	if len(quoted) > 0 {
		causes = append(causes, "variable(s) "+strings.Join(quoted, ", ")+" could not be resolved")
	}
	if r.malformed {
		causes = append(causes, "one or more template(s) has improper syntax")
	}
	return []metav1.Condition{
		{Type: conditionTemplates, Status: metav1.ConditionFalse, Reason: reasonUnresolved, Message: "cannot construct catalog image reference, because " + strings.Join(causes, " and ")},
		{Type: conditionImage, Status: metav1.ConditionFalse, Reason: reasonUnresolved, Message: r.image},
	}
}
