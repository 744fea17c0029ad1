package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"

	"chandler.dev/olm/pkg/failure"
)

// Formats of results. JSON is an API: fields are added, never changed.
const (
	formatTable = "table"
	formatJSON  = "json"
	formatYAML  = "yaml"
)

func addFormatFlag(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVarP(format, "output", "o", formatTable, "`format`: table, json or yaml")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{formatTable, formatJSON, formatYAML}, cobra.ShellCompDirectiveNoFileComp))
}

// write writes a value for programs.
func write(out io.Writer, format string, v any) error {
	switch format {
	case formatJSON:
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	case formatYAML:
		text, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = out.Write(text)
		return err
	}
	return failure.New(failure.Invalid, "unknown output format %q", format).WithHint("use -o table, json or yaml")
}

// table is a result for people.
type table struct {
	header   []string
	rows     [][]string
	optional int // so many columns, the last ones, are left out if they are empty
}

// add appends a row. What is several lines elsewhere is one here.
func (t *table) add(cells ...string) {
	for i, cell := range cells {
		cells[i] = strings.Join(strings.Fields(cell), " ")
	}
	t.rows = append(t.rows, cells)
}

// shown returns the header and the rows without columns that nobody needs.
func (t *table) shown() [][]string {
	columns := len(t.header)
	for t.optional > 0 && columns > len(t.header)-t.optional &&
		!slices.ContainsFunc(t.rows, func(row []string) bool { return row[columns-1] != "" }) {
		columns--
	}
	rows := [][]string{t.header[:columns]}
	for _, row := range t.rows {
		rows = append(rows, row[:columns])
	}
	return rows
}

// writeResult writes rows as a table, and values in the other formats.
func writeResult(out io.Writer, format string, v any, t table) error {
	if format != formatTable {
		return write(out, format, v)
	}
	w := bufio.NewWriter(out)
	rows := t.shown()
	widths := make([]int, len(t.header))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]+2-utf8.RuneCountInString(cell)))
		}
		_, _ = fmt.Fprintln(w, strings.TrimRight(line.String(), " ")) // Flush tells
	}
	return w.Flush()
}
