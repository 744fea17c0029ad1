package document

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"unicode/utf8"
)

// Limits of one document. The largest that is published has 2 MB and 50,000
// values, in 30 levels.
const (
	MaxBytes  = 64 << 20
	MaxValues = 500_000
	MaxDepth  = 1000
)

const (
	// large documents are read one after the other, as each takes up to some
	// hundred MB.
	largeBytes  = 4 << 20
	largeValues = 50_000
	// exactAbove is from where sizes are counted letter by letter.
	exactAbove = MaxBytes / 8
	// escaped is how long a letter can become: \u0000.
	escaped = 6
)

var oneLarge sync.Mutex

// admit lets a document in, or says why not. The result ends the turn of a
// large one.
func admit(size, values int) (release func(), err error) {
	if size > MaxBytes {
		return nil, tooLarge("the document is larger than %d MiB", MaxBytes>>20)
	}
	if values > MaxValues {
		return nil, tooLarge("the document has more than %d values", MaxValues)
	}
	if size < largeBytes && values < largeValues {
		return func() {}, nil
	}
	oneLarge.Lock()
	return oneLarge.Unlock, nil
}

func tooLarge(format string, limit int) *Flaw {
	return &Flaw{Message: fmt.Sprintf(format, limit), Hint: "split it"}
}

// Read reads a file that holds a document. The error is a Flaw if it is larger
// than a document may be.
func Read(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	var buf bytes.Buffer
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if size <= MaxBytes {
		buf.Grow(int(size) + bytes.MinRead)
		size, err = buf.ReadFrom(io.LimitReader(f, MaxBytes+1))
	}
	if size > MaxBytes {
		return nil, tooLarge("the document is larger than %d MiB", MaxBytes>>20)
	}
	return buf.Bytes(), err
}

// yamlValues returns a number that is not less than that of the values in a
// text of YAML: every value but the first has one of these signs before it. A
// short text is not looked at.
func yamlValues(text []byte) int {
	if len(text) <= largeValues {
		return len(text)
	}
	if bytes.HasPrefix(text, []byte{0xff, 0xfe}) || bytes.HasPrefix(text, []byte{0xfe, 0xff}) {
		return len(text) // in UTF-16
	}
	n := 1
	var last byte
	for _, c := range text {
		switch c {
		case '\n', '\r', 0x85, 0xa8, 0xa9, ',', '[', '{': // 0x85 and so on end line breaks of Unicode
			n++
		case ' ', '\t':
			if last == ':' || last == '-' || last == '?' {
				n++
			}
		}
		last = c
	}
	return n
}

// jsonValues returns the number of the values in a text of JSON, more if it is
// broken, none if it is too short for too many.
func jsonValues(text []byte) int {
	if len(text) < 2*MaxValues {
		return 0
	}
	n, inString, escaping := 1, false, false
	for _, c := range text {
		switch {
		case escaping:
			escaping = false
		case inString:
			escaping = c == '\\'
			inString = c != '"'
		case c == '"':
			inString = true
		case c == ',' || c == ':' || c == '[' || c == '{':
			n++
		}
	}
	return n
}

// measure fails if a value is deeper, or larger in JSON, than a document may be.
func measure(v any) error {
	rough := ruler{lengthOf: func(text string) int { return len(text) }}
	if !rough.within(v, MaxDepth) && rough.size <= MaxBytes {
		return tooLarge("the document has more than %d levels", MaxDepth)
	}
	if rough.size <= exactAbove {
		return nil
	}
	exact := ruler{lengthOf: encodedLen}
	if !exact.within(v, MaxDepth) {
		return tooLarge("the document is larger than %d MiB when it is written out", MaxBytes>>20)
	}
	return nil
}

// ruler measures a value until it is too large.
type ruler struct {
	lengthOf func(text string) int
	size     int
}

// within reports whether a value is neither too large nor has too many levels.
func (r *ruler) within(v any, levels int) bool {
	r.size++
	if levels < 0 || r.size > MaxBytes {
		return false
	}
	switch v := v.(type) {
	case string:
		r.size += r.lengthOf(v)
	case []any:
		for _, one := range v {
			if !r.within(one, levels-1) {
				return false
			}
		}
	case map[string]any:
		for key, one := range v {
			r.size += r.lengthOf(key)
			if !r.within(one, levels-1) {
				return false
			}
		}
	}
	return r.size <= MaxBytes
}

// encodedLen returns how long a text is in JSON.
func encodedLen(text string) int {
	n := 2
	for i := 0; i < len(text); {
		c, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case c == utf8.RuneError && size <= 1, c < ' ', c == 0x2028, c == 0x2029:
			n += escaped
		case c == '"', c == '\\':
			n += size + 1
		default:
			n += size
		}
		i += size
	}
	return n
}
