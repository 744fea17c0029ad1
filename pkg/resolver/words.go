package resolver

import (
	"fmt"
	"strings"
)

// listed is how many items a sentence names before it counts the rest.
const listed = 5

// list joins the first items and says how many more there are.
func list(items []string) string { return some(items, len(items), "and") }

// some joins the first of so many items by a word, and counts the rest.
func some(items []string, total int, word string) string {
	if total <= listed {
		return joinOr(items, word)
	}
	return fmt.Sprintf("%s %s %d more", strings.Join(items[:listed], ", "), word, total-listed)
}

// joinOr joins items as prose: a, b <word> c.
func joinOr(items []string, word string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " " + word + " " + items[last]
}

// didYouMean completes a proposal with the name nearest to the given one;
// empty if none is near.
func didYouMean(format, name string, names []string) string {
	best := nearest(name, names)
	if best == "" {
		return ""
	}
	return fmt.Sprintf(format, best)
}

// nearest returns the name that differs least from the given one; empty if
// none differs in less than half of it.
func nearest(name string, names []string) string {
	best, distance := "", len(name)/2+1
	for _, n := range names {
		if d := editDistance(name, n); d < distance || d == distance && best != "" && n < best {
			best, distance = n, d
		}
	}
	return best
}

// editDistance counts the letters to add, remove or change (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
