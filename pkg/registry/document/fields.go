package document

import (
	"encoding/json"
	"strings"
)

// Field is a member of an object.
type Field struct {
	Name  string
	Value json.RawMessage // a part of the text that was read
}

// Fields returns the members of an object that is written as FromJSON and
// FromYAML do. False if the text is anything else, or has an escape that few
// texts need: it is left to the standard library then.
func Fields(object []byte) ([]Field, bool) {
	r := reader{text: object}
	var fields []Field
	ok := r.list(maxDepth, "{}", func(name, value []byte) {
		fields = append(fields, Field{Name: string(name), Value: value})
	})
	for i, f := range fields {
		ok = ok && strings.IndexByte(f.Name, '\\') < 0 && (i == 0 || fields[i-1].Name < f.Name)
	}
	return fields, ok && r.at == len(object)
}

// Elements returns the elements of an array, as Fields does.
func Elements(array []byte) ([]json.RawMessage, bool) {
	r := reader{text: array}
	var all []json.RawMessage
	ok := r.list(maxDepth, "[]", func(_, value []byte) { all = append(all, value) })
	return all, ok && r.at == len(array)
}

// Text returns the content of a string.
func Text(value []byte) (string, bool) {
	if len(value) < len(`""`) || value[0] != '"' {
		return "", false
	}
	if inner := value[1 : len(value)-1]; plain(inner) == len(inner) {
		return string(inner), true
	}
	var text string
	return text, json.Unmarshal(value, &text) == nil
}
