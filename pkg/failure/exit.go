package failure

import (
	"errors"
	"fmt"
	"io"
)

var exitCodeOf = map[Kind]int{
	Internal: 1,
	Invalid:  2,
	NotFound: 3,
	Conflict: 4,
	Blocked:  5,
	Waiting:  6,
}

// Report writes err for a person, as one sentence and a hint, and returns the
// exit code of the program: 0 for no error.
func Report(w io.Writer, program string, err error) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintf(w, "%s: %v\n", program, err)
	if e, ok := errors.AsType[*Error](err); ok && e.Hint != "" {
		_, _ = fmt.Fprintf(w, "hint: %s\n", e.Hint)
	}
	return exitCodeOf[KindOf(err)]
}

// KindOfExit returns the kind of error that a program ended with, from its exit
// code.
func KindOfExit(code int) Kind {
	for kind, c := range exitCodeOf {
		if c == code {
			return kind
		}
	}
	return Internal
}
