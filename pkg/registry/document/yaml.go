package document

import (
	"fmt"
	"strconv"
)

// withStringKeys returns what YAML holds as JSON can say it: all keys are
// texts, spelled as the tools of Kubernetes spell them.
func withStringKeys(v any) (any, error) {
	switch v := v.(type) {
	case []any:
		for i, one := range v {
			converted, err := withStringKeys(one)
			if err != nil {
				return nil, err
			}
			v[i] = converted
		}
	case map[any]any:
		return object(v)
	}
	return v, nil
}

// object spells the keys of a mapping. Of keys that are spelled alike a text
// wins, then a whole number.
func object(v map[any]any) (map[string]any, error) {
	out := make(map[string]any, len(v))
	for _, spell := range []func(any) (string, bool){textKey, wholeKey, otherKey} {
		for key, one := range v {
			name, ok := spell(key)
			if _, known := out[name]; !ok || known {
				continue
			}
			converted, err := withStringKeys(one)
			if err != nil {
				return nil, err
			}
			out[name] = converted
		}
	}
	for key := range v {
		if !isKey(key) {
			return nil, &Flaw{Message: fmt.Sprintf("broken YAML: a key is no text, but of type %T", key), Hint: "put it into quotes"}
		}
	}
	return out, nil
}

func textKey(key any) (string, bool) {
	s, ok := key.(string)
	return s, ok
}

func wholeKey(key any) (string, bool) {
	switch k := key.(type) {
	case int:
		return strconv.Itoa(k), true
	case int64:
		return strconv.FormatInt(k, 10), true
	}
	return "", false
}

func otherKey(key any) (string, bool) {
	switch k := key.(type) {
	case bool:
		return strconv.FormatBool(k), true
	case float64:
		switch s := strconv.FormatFloat(k, 'g', -1, 32); s {
		case "+Inf":
			return ".inf", true
		case "-Inf":
			return "-.inf", true
		case "NaN":
			return ".nan", true
		default:
			return s, true
		}
	}
	return "", false
}

func isKey(key any) bool {
	switch key.(type) {
	case string, int, int64, float64, bool:
		return true
	}
	return false
}
