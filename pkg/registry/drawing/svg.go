package drawing

import (
	"fmt"
	"html"
	"slices"
	"strings"
)

// Sizes of the picture, in pixels. A channel is a list from the head down, so
// nothing has to be laid out: edges are arcs at its right side.
const (
	rowHeight  = 34
	boxHeight  = 24
	boxWidth   = 300
	margin     = 20
	arcStep    = 14
	arcsWidth  = 160
	titleSpace = 28
)

// SVG draws packages as a picture, one channel beside the other.
func SVG(packages []Package) string {
	var body strings.Builder
	x, height := margin, 0
	for _, p := range packages {
		for _, ch := range p.Channels {
			bottom := svgChannel(&body, p, p.drawn(ch), x)
			height = max(height, bottom)
			x += boxWidth + arcsWidth + margin
		}
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">
<style>.box{fill:#fff;stroke:#555}.skipped{stroke-dasharray:4}.deprecated{fill:#F6D5A3}.path{fill:#9FD8A0}
.edge{fill:none;stroke:#888}.skip,.skipRange{stroke-dasharray:4}.on{stroke:#2E7D32;stroke-width:3;stroke-dasharray:none}.title{font-weight:bold}</style>
%s</svg>
`, x, height+margin, body.String())
}

// svgChannel draws a channel and returns where it ends.
func svgChannel(b *strings.Builder, p Package, c channel, x int) int {
	fmt.Fprintf(b, `<text class="title" x="%d" y="%d">%s</text>`+"\n", x, margin, html.EscapeString(p.Name+" · "+c.Name))
	names := c.names()
	y := func(name string) int { return margin + titleSpace + slices.Index(names, name)*rowHeight }
	for _, e := range c.edges {
		class := "edge " + e.kind
		if e.onPath {
			class += " on"
		}
		from, to := y(e.from), y(e.to)
		bend := min(arcsWidth-margin, arcStep*(1+max(from-to, to-from)/rowHeight))
		fmt.Fprintf(b, `<path class="%s" d="M%d %d C%d %d %d %d %d %d"><title>%s</title></path>`+"\n", class,
			x+boxWidth, from, x+boxWidth+bend, from, x+boxWidth+bend, to, x+boxWidth, to,
			html.EscapeString(e.from+" → "+e.to+": "+e.label))
	}
	for _, name := range names {
		class := "box"
		if c.skipped[name] {
			class += " skipped"
		}
		if p.deprecated(name) {
			class += " deprecated"
		}
		if c.path[name] {
			class += " path"
		}
		fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d" rx="5"/><text x="%d" y="%d">%s</text>`+"\n",
			class, x, y(name)-boxHeight/2, boxWidth, boxHeight, x+margin/2, y(name)+4, html.EscapeString(name))
	}
	return margin + titleSpace + len(names)*rowHeight
}
