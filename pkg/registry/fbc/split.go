package fbc

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"unicode"

	canon "chandler.dev/olm/pkg/registry/document"
)

// maxDocument bounds the memory that one document can cost.
const maxDocument = canon.MaxBytes

var errTooLarge = fmt.Errorf("the document is larger than %d MiB", maxDocument>>20)

// document is one blob as it was written.
type document struct {
	text []byte
	line int // of its first byte in the file, from 1
	json bool
}

// documents yields the documents of a file: YAML separated by lines of three
// dashes, or JSON objects one after the other, as its first letter says.
func documents(r io.Reader) iter.Seq2[document, error] {
	return func(yield func(document, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		isJSON, err := startsJSON(in)
		switch {
		case err != nil:
			yield(document{}, err)
		case isJSON:
			splitJSON(in, yield)
		default:
			splitYAML(in, yield)
		}
	}
}

// startsJSON looks at the first letter that is no space.
func startsJSON(in *bufio.Reader) (bool, error) {
	for n := 1; n <= in.Size(); n++ {
		head, err := in.Peek(n)
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if c := head[n-1]; !unicode.IsSpace(rune(c)) {
			return c == '{', nil
		}
	}
	return false, nil
}

// splitYAML yields everything between separators. Of a part that is empty only
// the first and the last one are passed over, as in every YAML stream.
func splitYAML(in *bufio.Reader, yield func(document, error) bool) {
	doc := document{line: 1}
	line, separated := 0, false
	for {
		text, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull) {
			yield(document{}, err)
			return
		}
		if isSeparator(text) && doc.atLineStart() {
			if (separated || !blank(doc.text)) && !yield(doc, nil) {
				return
			}
			separated = true
			doc = afterSeparator(text, line+1)
		} else if doc.text = append(doc.text, text...); len(doc.text) > maxDocument {
			yield(doc, errTooLarge)
			return
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			line++
		}
	}
	if !blank(doc.text) {
		yield(doc, nil)
	}
}

func (d document) atLineStart() bool { return len(d.text) == 0 || d.text[len(d.text)-1] == '\n' }

// afterSeparator begins a document, which may start on the line of the separator.
func afterSeparator(text []byte, line int) document {
	rest := text[len("---"):]
	if blank(withoutComment(rest)) {
		return document{line: line + 1}
	}
	return document{text: append([]byte(nil), rest...), line: line}
}

// isSeparator reports whether a line starts a document.
func isSeparator(line []byte) bool {
	rest, ok := bytes.CutPrefix(line, []byte("---"))
	return ok && (len(rest) == 0 || unicode.IsSpace(rune(rest[0])))
}

func withoutComment(rest []byte) []byte {
	before, _, _ := bytes.Cut(rest, []byte(" #"))
	return before
}

func blank(text []byte) bool { return len(bytes.TrimSpace(text)) == 0 }

// scanner finds the end of a JSON object without understanding what is in it.
type scanner struct {
	depth             int
	inString, escaped bool
}

// object returns how many bytes of a text belong to the object, and whether
// it ends with them.
func (s *scanner) object(text []byte) (int, bool) {
	for i := 0; i < len(text); i++ {
		if s.inString {
			if i += s.string(text[i:]); i == len(text) {
				break
			}
			continue
		}
		switch text[i] {
		case '"':
			s.inString = true
		case '{', '[':
			s.depth++
		case '}', ']':
			if s.depth--; s.depth <= 0 {
				return i + 1, true
			}
		}
	}
	return len(text), false
}

// string returns where the quote is that ends the string; the length of the
// text if it comes later.
func (s *scanner) string(text []byte) int {
	at := 0
	if s.escaped {
		at, s.escaped = 1, false
	}
	for {
		n := bytes.IndexByte(text[at:], '"')
		s.inString = n < 0
		if s.inString {
			n = len(text) - at
		}
		before := text[at : at+n]
		escaped := (len(before)-len(bytes.TrimRight(before, `\`)))%2 == 1
		at += n
		if s.inString || !escaped {
			s.escaped = escaped
			return at
		}
		at++
	}
}

// splitJSON yields the objects of a stream, each with what is before it.
func splitJSON(in *bufio.Reader, yield func(document, error) bool) {
	doc := document{line: 1, json: true}
	line := 1
	var s scanner
	for {
		chunk, err := in.Peek(max(1, in.Buffered()))
		if len(chunk) == 0 {
			if err != nil && !errors.Is(err, io.EOF) {
				yield(document{}, err)
			} else if !blank(doc.text) {
				yield(doc, nil) // unfinished: parsing it says where
			}
			return
		}
		used, ended := s.object(chunk)
		line += bytes.Count(chunk[:used], []byte("\n"))
		doc.text = append(doc.text, chunk[:used]...)
		if len(doc.text) > maxDocument {
			yield(doc, errTooLarge)
			return
		}
		_, _ = in.Discard(used) // they are buffered
		if !ended {
			continue
		}
		doc.line += bytes.Count(doc.text[:len(doc.text)-len(bytes.TrimLeft(doc.text, " \t\r\n"))], []byte("\n"))
		if !yield(doc, nil) {
			return
		}
		doc, s = document{line: line, json: true}, scanner{}
	}
}

// where names a line of a file.
func where(file string, line int) string {
	return fmt.Sprintf("%s:%d", strings.TrimPrefix(file, "./"), line)
}
