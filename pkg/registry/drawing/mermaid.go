package drawing

import (
	"fmt"
	"slices"
	"strings"
)

// Mermaid draws packages for mermaid.
func Mermaid(packages []Package) string {
	var b strings.Builder
	b.WriteString("graph LR\n  classDef deprecated fill:#E8960F\n  classDef skipped stroke:#FF0000,stroke-width:4px\n" +
		"  classDef deprecatedskipped fill:#E8960F,stroke:#FF0000,stroke-width:4px\n  classDef path fill:#9FD8A0,stroke-width:3px\n")
	var styles []string
	classes := map[string][]string{}
	onPath := mermaidEdges{}
	for _, p := range packages {
		fmt.Fprintf(&b, "  %%%% package %q\n  subgraph %q\n", p.Name, p.Name)
		if p.Deprecation != "" {
			styles = append(styles, fmt.Sprintf("style %s fill:#989695", p.Name))
		}
		for _, ch := range p.Channels {
			id := p.Name + "-" + ch.Name
			if ch.Deprecation != "" {
				styles = append(styles, fmt.Sprintf("style %s fill:#DCD0FF", id))
			}
			mermaidChannel(&b, p, p.drawn(ch), classes, &onPath)
		}
		b.WriteString("  end\n")
	}
	slices.Sort(styles)
	for _, s := range styles {
		b.WriteString(s + "\n")
	}
	for _, class := range []string{"deprecated", "path"} {
		if ids := classes[class]; len(ids) > 0 {
			slices.Sort(ids)
			fmt.Fprintf(&b, "class %s %s\n", strings.Join(ids, ","), class)
		}
	}
	if len(onPath.marked) > 0 {
		fmt.Fprintf(&b, "linkStyle %s stroke:#2E7D32,stroke-width:3px\n", strings.Join(onPath.marked, ","))
	}
	return b.String()
}

// mermaidEdges counts edges, which mermaid knows by number.
type mermaidEdges struct {
	count  int
	marked []string
}

func mermaidChannel(b *strings.Builder, p Package, c channel, classes map[string][]string, edges *mermaidEdges) {
	id := p.Name + "-" + c.Name
	node := func(name string) string { return fmt.Sprintf("%s-%s[%s]", id, name, quoted(name)) }
	fmt.Fprintf(b, "    %%%% channel %q\n    subgraph %s[%s]\n", c.Name, id, quoted(c.Name))
	for _, e := range c.entries {
		fmt.Fprintf(b, "      %s\n", node(e.Name))
		for _, edge := range c.edges {
			if edge.to != e.Name {
				continue
			}
			label := edge.label
			if edge.kind == kindRange {
				label = quoted(label)
			}
			fmt.Fprintf(b, "      %s-- %s --> %s\n", node(edge.from), label, node(edge.to))
			if edge.onPath {
				edges.marked = append(edges.marked, fmt.Sprint(edges.count))
			}
			edges.count++
		}
		if p.deprecated(e.Name) {
			classes["deprecated"] = append(classes["deprecated"], id+"-"+e.Name)
		}
	}
	for _, name := range c.names() {
		if c.path[name] {
			classes["path"] = append(classes["path"], id+"-"+name)
		}
	}
	b.WriteString("    end\n")
}

// Dot draws packages for Graphviz.
func Dot(packages []Package) string {
	var b strings.Builder
	b.WriteString("digraph catalog {\n  rankdir=LR;\n  node [shape=box, style=rounded];\n")
	for i, p := range packages {
		fmt.Fprintf(&b, "  subgraph cluster_%d {\n    label=%q;\n", i, p.Name)
		for j, ch := range p.Channels {
			c := p.drawn(ch)
			id := func(name string) string { return fmt.Sprintf("%q", p.Name+"/"+c.Name+"/"+name) }
			fmt.Fprintf(&b, "    subgraph cluster_%d_%d {\n      label=%q;\n", i, j, c.Name)
			for _, name := range c.names() {
				style := ""
				switch {
				case c.path[name]:
					style = ", style=\"rounded,filled\", fillcolor=\"#9FD8A0\""
				case p.deprecated(name):
					style = ", style=\"rounded,filled\", fillcolor=\"#E8960F\""
				case c.skipped[name]:
					style = ", style=\"rounded,dashed\""
				}
				fmt.Fprintf(&b, "      %s [label=%q%s];\n", id(name), name, style)
			}
			for _, e := range c.edges {
				style := ""
				if e.onPath {
					style = ", color=\"#2E7D32\", penwidth=3"
				}
				fmt.Fprintf(&b, "      %s -> %s [label=%q%s];\n", id(e.from), id(e.to), e.label, style)
			}
			b.WriteString("    }\n")
		}
		b.WriteString("  }\n")
	}
	b.WriteString("}\n")
	return b.String()
}
