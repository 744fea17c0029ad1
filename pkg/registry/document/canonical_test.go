package document

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestCanonicalIsWhatTheStandardLibraryMakes(t *testing.T) {
	tests := map[string]struct {
		text string
		left bool // to the standard library
	}{
		"members in order":                   {text: `{"a":1,"b":[true,false,null]}`},
		"members out of order":               {text: ` { "b" : {"z":[ ], "y":{ }} , "a" : 1 } `},
		"a member whose name starts another": {text: `{"ab":1,"a":2,"a-":3,"":4}`},
		"members that go on with a space":    {text: `{"a!":1,"a ":2,"a":3," ":4,"":5}`},
		"spaces of every kind":               {text: "\t[\r\n1 ,\n2 ]\n"},
		"whole numbers":                      {text: `[0,-1,123456789012345,-123456789012345]`},
		"numbers that a float64 changes":     {text: `[-0,1.50,1e3,1E-7,1234567890123456789,0.1e1,1e21]`},
		"escapes that JSON needs":            {text: `["\"\\\b\f\n\r\t"]`},
		"escapes that JSON does not need":    {text: `["\/\u0041\u003c\u00e9\u000a\u0008\u001F\u007f\u0022\u005C"]`},
		"letters that are not ASCII":         {text: `{"é":"日本 𝄞"}`},
		"a letter in two escapes":            {text: `["\ud834\udd1e"]`},
		"ends of lines of JavaScript":        {text: "[\"\u2028\u2029\\u2028\"]"},
		"strings of all lengths":             {text: `["","1","12","1234567","12345678","123456789","1234567\n9"]`},
		"half a letter":                      {text: `["\ud834"]`, left: true},
		"half a letter before another":       {text: `["\ud834\u0041"]`, left: true},
		"a name twice":                       {text: `{"a":1,"b":2,"a":3}`, left: true},
		"a name with an escape":              {text: `{"a\n":1}`, left: true},
		"bytes that are no letters":          {text: "[\"\xff\"]", left: true},
		"too deep":                           {text: strings.Repeat("[", 2000) + strings.Repeat("]", 2000), left: true},
		"a comma too much":                   {text: `[1,]`, left: true},
		"a member without a value":           {text: `{"a"}`, left: true},
		"a number that is too large":         {text: `1e999`, left: true},
		"a number that starts with zero":     {text: `01`, left: true},
		"a number that ends with a point":    {text: `1.`, left: true},
		"an escape that nobody knows":        {text: `"\x"`, left: true},
		"a control character":                {text: "\"\x01\"", left: true},
		"no end":                             {text: `{"a":"`, left: true},
		"two values":                         {text: `{} {}`, left: true},
		"nothing":                            {text: ` `, left: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, ok := canonical([]byte(tt.text))
			if ok == tt.left {
				t.Fatalf("canonical(%q) decides %v", tt.text, ok)
			}
			want, err := decoded([]byte(tt.text))
			if ok && (err != nil || !bytes.Equal(got, want)) {
				t.Errorf("canonical() = %s, want %s, %v", got, want, err)
			}
		})
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{
		`{"b":[1,-0,1.5e3,"\u00e9\/\n"],"a":{"z":null,"y":true}}`, "[\"\u2028\xff\"]", `"\ud834\udd1e"`, `{"a":1,"a":2}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, ok := canonical(text)
		if !ok {
			return
		}
		want, err := decoded(text)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("canonical(%q) = %s, want %s, %v", text, got, want, err)
		}
		if again, ok := canonical(got); !ok || !bytes.Equal(again, got) {
			t.Fatalf("canonical(%q) = %s, want it unchanged", got, again)
		}
		fields, ok := Fields(got)
		var byName map[string]json.RawMessage
		if err := json.Unmarshal(got, &byName); ok && (err != nil || len(fields) != len(byName)) {
			t.Fatalf("Fields(%s) = %v, want %v, %v", got, fields, byName, err)
		}
		for _, field := range fields {
			if !bytes.Equal(byName[field.Name], field.Value) {
				t.Fatalf("Fields(%s) has %s: %s, want %s", got, field.Name, field.Value, byName[field.Name])
			}
		}
	})
}

func TestFields(t *testing.T) {
	tests := map[string]struct {
		text string
		want []string // nil if it is left to the standard library
	}{
		"members":                     {`{"":[{}],"a":"}","b":{"c":-1.5e3,"d":["]"]},"é":null}`, []string{`: [{}]`, `a: "}"`, `b: {"c":-1.5e3,"d":["]"]}`, `é: null`}},
		"no members":                  {`{}`, []string{}},
		"spaces":                      {`{"a": 1}`, nil},
		"members out of order":        {`{"b":1,"a":2}`, nil},
		"a member twice":              {`{"a":1,"a":2}`, nil},
		"an array":                    {`[1]`, nil},
		"null":                        {`null`, nil},
		"an escape that nobody needs": {`{"a":"\u0041"}`, nil},
		"a name with an escape":       {`{"a\\n":1}`, nil},
		"something behind":            {`{}{}`, nil},
		"the wrong brace":             {`{"a":{]}`, nil},
		"no end":                      {`{"a":"`, nil},
		"no value":                    {`{"a":}`, nil},
		"no comma":                    {`{"a":1"b":2}`, nil},
		"too deep":                    {`{"a":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}`, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			fields, ok := Fields([]byte(tt.text))
			if ok != (tt.want != nil) {
				t.Fatalf("Fields(%s) = %v, %v", tt.text, fields, ok)
			}
			got := []string{}
			for _, f := range fields {
				got = append(got, f.Name+": "+string(f.Value))
			}
			if diff := cmp.Diff(tt.want, got); ok && diff != "" {
				t.Errorf("Fields() (-want +got):\n%s", diff)
			}
		})
	}
}

func TestElements(t *testing.T) {
	all, ok := Elements([]byte(`["a",{"b":[]},-1]`))
	if diff := cmp.Diff([]json.RawMessage{[]byte(`"a"`), []byte(`{"b":[]}`), []byte(`-1`)}, all); !ok || diff != "" {
		t.Errorf("Elements() = %v (-want +got):\n%s", ok, diff)
	}
	if all, ok := Elements([]byte(`{"a":1}`)); ok {
		t.Errorf("Elements() = %v of an object", all)
	}
}

func TestText(t *testing.T) {
	for value, want := range map[string]string{`"a"`: "a", `""`: "", `"é\n"`: "é\n"} {
		if got, ok := Text([]byte(value)); !ok || got != want {
			t.Errorf("Text(%s) = %q, %v, want %q", value, got, ok, want)
		}
	}
	for _, value := range []string{"null", "1", `{"a":""}`} {
		if got, ok := Text([]byte(value)); ok {
			t.Errorf("Text(%s) = %q", value, got)
		}
	}
}
