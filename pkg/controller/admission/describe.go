package admission

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// maxSentences bounds how many missing rights are named.
const maxSentences = 30

const pathPrefix = "path "

// Describe says which rights are missing, as the API server does when it refuses a
// request: verbs for the same resource and resources with the same verbs together.
func Describe(missing []Need) string {
	type place struct{ namespace, what string }
	verbs := map[place][]string{}
	for _, n := range missing {
		for _, what := range subjectsOf(n) {
			p := place{n.Namespace, what}
			verbs[p] = append(verbs[p], verbsOf(n)...)
		}
	}
	type line struct {
		verbs, where string
		paths        bool
	}
	lines := map[line][]string{}
	for p, v := range verbs {
		slices.Sort(v)
		l := line{strings.Join(slices.Compact(v), ", "), where(p.namespace), strings.HasPrefix(p.what, pathPrefix)}
		lines[l] = append(lines[l], p.what)
	}
	sentences := make([]string, 0, len(lines))
	for l, whats := range lines {
		slices.Sort(whats)
		sentences = append(sentences, fmt.Sprintf("cannot %s %s %s", l.verbs, strings.Join(whats, ", "), l.where))
	}
	slices.SortFunc(sentences, func(a, b string) int {
		return cmp.Or(-cmp.Compare(strings.Count(a, "cluster scope"), strings.Count(b, "cluster scope")), cmp.Compare(a, b))
	})
	if more := len(sentences) - maxSentences; more > 0 {
		sentences = append(sentences[:maxSentences], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(sentences, "; ")
}

func where(namespace string) string {
	if namespace == "" {
		return "at the cluster scope"
	}
	return fmt.Sprintf("in the namespace %q", namespace)
}

func verbsOf(n Need) []string {
	if n.Role != nil {
		return []string{"bind"}
	}
	return n.Rule.Verbs
}

// subjectsOf names what a right is about.
func subjectsOf(n Need) []string {
	if n.Role != nil {
		return []string{fmt.Sprintf("%s %q", n.Role.Kind, n.Role.Name)}
	}
	var all []string
	for _, group := range n.Rule.APIGroups {
		for _, resource := range n.Rule.Resources {
			text := fmt.Sprintf("resource %q", resource)
			if len(n.Rule.ResourceNames) > 0 {
				text += fmt.Sprintf(" named %q", n.Rule.ResourceNames)
			}
			all = append(all, text+fmt.Sprintf(" in API group %q", group))
		}
	}
	for _, url := range n.Rule.NonResourceURLs {
		all = append(all, fmt.Sprintf(pathPrefix+"%q", url))
	}
	return all
}
