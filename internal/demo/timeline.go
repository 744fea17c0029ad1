package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

// timeline prints what happens with the seconds since the start.
type timeline struct {
	out   io.Writer
	clock clock.PassiveClock
	start time.Time
}

func newTimeline(out io.Writer, c clock.PassiveClock) *timeline {
	return &timeline{out: out, clock: c, start: c.Now()}
}

func (t *timeline) say(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, "%6.1fs  %s\n", t.clock.Since(t.start).Seconds(), fmt.Sprintf(format, args...))
}

// quote prints the output of a program, indented.
func (t *timeline) quote(text string) {
	for line := range strings.Lines(strings.TrimSpace(text)) {
		_, _ = fmt.Fprintf(t.out, "         | %s\n", strings.TrimRight(line, "\n"))
	}
}

func (t *timeline) title(format string, args ...any) {
	_, _ = fmt.Fprintf(t.out, "\n== %s\n", fmt.Sprintf(format, args...))
}
