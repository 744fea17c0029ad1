package document

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// plain returns how many bytes of a string come before the first that ends it,
// escapes, is a control character or is not ASCII. It looks at eight at a time.
func plain(text []byte) int {
	const (
		ones = 0x0101010101010101
		tops = 0x8080808080808080
	)
	i := 0
	for ; len(text)-i >= 8; i += 8 {
		x := binary.LittleEndian.Uint64(text[i:])
		quote, escape := x^('"'*ones), x^('\\'*ones)
		// The lowest top bit that is set is that of the first byte found.
		if found := (x | (x - ' '*ones) | (quote - ones) | (escape - ones)) & tops; found != 0 {
			return i + bits.TrailingZeros64(found)/8
		}
	}
	for ; i < len(text); i++ {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			break
		}
	}
	return i
}

var literals = [][]byte{[]byte("true"), []byte("false"), []byte("null")}

// scalar returns the length of the literal or number that a text starts with,
// 0 if there is none.
func scalar(text []byte) int {
	for _, l := range literals {
		if bytes.HasPrefix(text, l) {
			return len(l)
		}
	}
	i := 0
	if text[0] == '-' {
		i++
	}
	whole := digits(text[i:])
	if whole == 0 || whole > 1 && text[i] == '0' {
		return 0
	}
	i += whole
	if i < len(text) && text[i] == '.' {
		n := digits(text[i+1:])
		if n == 0 {
			return 0
		}
		i += 1 + n
	}
	if i == len(text) || text[i] != 'e' && text[i] != 'E' {
		return i
	}
	i++
	if i < len(text) && (text[i] == '+' || text[i] == '-') {
		i++
	}
	n := digits(text[i:])
	if n == 0 {
		return 0
	}
	return i + n
}

func digits(text []byte) int {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// isPlain reports whether a scalar is written as encoding/json writes it:
// literals, and whole numbers that a float64 surely holds.
func isPlain(token []byte) bool {
	const safe = 15 // digits
	if c := token[0]; c == 't' || c == 'f' || c == 'n' {
		return true
	}
	n := digits(bytes.TrimPrefix(token, []byte("-")))
	return n <= safe && (n == len(token) || n == len(token)-1 && token[0] == '-' && token[1] != '0')
}

// reader finds the parts of compact JSON. It takes no text that is broken, and
// none with strings that a rewriter would write in another way.
type reader struct {
	text []byte
	at   int
}

// is passes over a letter if it is the one given.
func (r *reader) is(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}

func (r *reader) value(depth int) bool {
	if r.at == len(r.text) || depth == 0 {
		return false
	}
	switch r.text[r.at] {
	case '{':
		return r.list(depth, "{}", nil)
	case '[':
		return r.list(depth, "[]", nil)
	case '"':
		return r.string()
	}
	n := scalar(r.text[r.at:])
	r.at += n
	return n > 0
}

// list passes over an object or an array, as its braces say, and shows what is
// in it. Elements of arrays have no name.
func (r *reader) list(depth int, braces string, show func(name, value []byte)) bool {
	if !r.is(braces[0]) {
		return false
	}
	for first := true; !r.is(braces[1]); first = false {
		if !first && !r.is(',') {
			return false
		}
		var name []byte
		if braces[0] == '{' {
			start := r.at + 1
			if r.at == len(r.text) || r.text[r.at] != '"' || !r.string() {
				return false
			}
			if name = r.text[start : r.at-1]; !r.is(':') {
				return false
			}
		}
		start := r.at
		if !r.value(depth - 1) {
			return false
		}
		if show != nil {
			show(name, r.text[start:r.at:r.at])
		}
	}
	return true
}

func (r *reader) string() bool {
	for i := r.at + 1; ; {
		i += plain(r.text[i:])
		if i == len(r.text) || r.text[i] < ' ' {
			return false
		}
		if r.text[i] == '"' {
			r.at = i + 1
			return true
		}
		c, n := letter(r.text[i:])
		if c != asWritten || n == 0 {
			return false
		}
		i += n
	}
}
