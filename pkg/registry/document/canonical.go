package document

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// canonical returns what FromJSON says a text is, in one pass over it; false
// if the text is broken or anything in it is unusual, and has to be looked at
// by the standard library, which decides what it means.
func canonical(text []byte) ([]byte, bool) {
	w := rewriter{text: text, out: make([]byte, 0, len(text))}
	if !w.value(maxDepth) {
		return nil, false
	}
	w.space()
	return w.out, w.at == len(text)
}

// maxDepth bounds the stack; what is deeper is left to the standard library.
const maxDepth = 500

// rewriter reads JSON and writes it compact, keys sorted.
type rewriter struct {
	text    []byte
	at      int
	out     []byte
	members []member // of the objects that are open
	scratch []byte
}

// member is where a member of an object was written.
type member struct {
	start, keyEnd, end int
}

// key returns the name of a member without its quotes: a space and an
// exclamation mark sort before those.
func (w *rewriter) key(m member) []byte { return w.out[m.start+1 : m.keyEnd-1] }

func (w *rewriter) space() {
	for w.at < len(w.text) && (w.text[w.at] == ' ' || w.text[w.at] == '\n' || w.text[w.at] == '\r' || w.text[w.at] == '\t') {
		w.at++
	}
}

// next passes over spaces and one letter if it is the one given.
func (w *rewriter) next(c byte) bool {
	w.space()
	if w.at < len(w.text) && w.text[w.at] == c {
		w.at++
		return true
	}
	return false
}

func (w *rewriter) value(depth int) bool {
	w.space()
	if w.at == len(w.text) || depth == 0 {
		return false
	}
	switch w.text[w.at] {
	case '{':
		return w.object(depth)
	case '[':
		return w.array(depth)
	case '"':
		return w.string()
	}
	n := scalar(w.text[w.at:])
	if n == 0 {
		return false
	}
	token := w.text[w.at : w.at+n]
	w.at += n
	if isPlain(token) {
		w.out = append(w.out, token...)
		return true
	}
	f, err := strconv.ParseFloat(string(token), 64)
	if err != nil {
		return false
	}
	number, err := json.Marshal(f)
	w.out = append(w.out, number...)
	return err == nil
}

func (w *rewriter) array(depth int) bool {
	w.at++
	w.out = append(w.out, '[')
	for first := true; !w.next(']'); first = false {
		if !first {
			if !w.next(',') {
				return false
			}
			w.out = append(w.out, ',')
		}
		if !w.value(depth - 1) {
			return false
		}
	}
	w.out = append(w.out, ']')
	return true
}

func (w *rewriter) object(depth int) bool {
	w.at++
	w.out = append(w.out, '{')
	open, sorted := len(w.members), true
	for !w.next('}') {
		if len(w.members) > open {
			if !w.next(',') {
				return false
			}
			w.out = append(w.out, ',')
		}
		m := member{start: len(w.out)}
		if w.space(); w.at == len(w.text) || w.text[w.at] != '"' || !w.string() {
			return false
		}
		m.keyEnd = len(w.out)
		if bytes.IndexByte(w.key(m), '\\') >= 0 {
			return false // it would be sorted by what it means
		}
		w.out = append(w.out, ':')
		if !w.next(':') || !w.value(depth-1) {
			return false
		}
		m.end = len(w.out)
		if sorted && len(w.members) > open {
			sorted = bytes.Compare(w.key(w.members[len(w.members)-1]), w.key(m)) < 0
		}
		w.members = append(w.members, m)
	}
	members := w.members[open:]
	w.members = w.members[:open]
	w.out = append(w.out, '}')
	return sorted || w.sort(members)
}

// sort puts the members of an object that was just written in order. It fails
// if there are two of the same name.
func (w *rewriter) sort(members []member) bool {
	start := members[0].start
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(w.key(a), w.key(b)) })
	w.scratch = w.scratch[:0]
	for i, m := range members {
		if i > 0 {
			if bytes.Equal(w.key(members[i-1]), w.key(m)) {
				return false
			}
			w.scratch = append(w.scratch, ',')
		}
		w.scratch = append(w.scratch, w.out[m.start:m.end]...)
	}
	copy(w.out[start:], w.scratch)
	return true
}

// string writes a string with no more escapes than JSON needs.
func (w *rewriter) string() bool {
	text, from := w.text, w.at // from: what is not yet written
	for i := w.at + 1; ; {
		i += plain(text[i:])
		if i == len(text) || text[i] < ' ' {
			return false
		}
		if text[i] == '"' {
			w.out = append(w.out, text[from:i+1]...)
			w.at = i + 1
			return true
		}
		r, n := letter(text[i:])
		if n == 0 {
			return false
		}
		if r != asWritten {
			w.out = appendLetter(append(w.out, text[from:i]...), r)
			from = i + n
		}
		i += n
	}
}

// asWritten stands for a letter that is already written as it should be.
const asWritten = -1

// letter reads an escape or a letter that is not ASCII, and how long it is: 0
// if it is broken.
func letter(text []byte) (rune, int) {
	if text[0] != '\\' {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && n == 1:
			return r, 0
		case r == lineSeparator || r == paragraphSeparator:
			return r, n
		}
		return asWritten, n
	}
	if len(text) < len(`\n`) {
		return 0, 0
	}
	switch text[1] {
	case '"', '\\', 'b', 'f', 'n', 'r', 't':
		return asWritten, len(`\n`)
	case '/':
		return '/', len(`\/`)
	}
	const escape = len(`\u0000`)
	r, ok := unicodeEscape(text)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(r):
		return r, escape
	}
	low, _ := unicodeEscape(text[escape:])
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 2 * escape
}

func unicodeEscape(text []byte) (rune, bool) {
	if len(text) < len(`\u0000`) || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}

// Letters that JavaScript takes for ends of lines.
const (
	lineSeparator      = '\u2028'
	paragraphSeparator = '\u2029'
)

// appendLetter writes a letter as encoding/json does.
func appendLetter(out []byte, r rune) []byte {
	switch {
	case r >= ' ' && r != '"' && r != '\\' && r != lineSeparator && r != paragraphSeparator:
		return utf8.AppendRune(out, r)
	case r == '"' || r == '\\':
		return append(out, '\\', byte(r))
	}
	if i := bytes.IndexRune([]byte("\bb\ff\nn\rr\tt"), r); i >= 0 {
		return append(out, '\\', "\bb\ff\nn\rr\tt"[i+1])
	}
	const digits = "0123456789abcdef"
	return append(out, '\\', 'u', digits[r>>12], digits[r>>8&15], digits[r>>4&15], digits[r&15])
}
